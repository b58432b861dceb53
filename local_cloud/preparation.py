"""`python -m local_cloud.preparation`: what `make demo` needs and is built or downloaded once, side by side.

With --plan it only says what that will be, and how long it may take here. That needs nothing but Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local_cloud import paths
from local_cloud.k3s import releases
from local_cloud.machine_room import MachineRoomError
from local_cloud.machines.image import ensure_image, image_is_built
from local_cloud.toolchain.go import ToolchainError, version_of
from local_cloud.toolchain.progress import Board, Report

#: Processors of the machines that the seconds below were measured on: 257 and 459 s, 142 and 213 s.
MEASURED_ON = 2
K3S_SECONDS = 360
PULUMI_SECONDS = 180


@dataclass(frozen=True)
class Part:
    """One thing to get ready: seconds are those of its own work, with nothing else on the machine."""

    name: str
    how: str
    seconds: int
    ready: bool
    #: Compilers use all processors at a time; the rest is one process, which mostly waits.
    compiles: bool = False


def parts() -> list[Part]:
    """All of it, as things are now."""
    environment = paths.CHECKOUT / ".venv" / "made-from"
    cached = (path.name for path in paths.CACHE.glob("pulumi-*"))
    pulumi = (paths.TOOLS_BIN / "pulumi").exists() or any(not name.startswith("pulumi-resource-") for name in cached)
    return [
        Part("Python packages", "download into .venv", 20, environment.exists()),
        Part("K3s stand-in", "real Kubernetes, compiled from its Go modules", K3S_SECONDS, _k3s_is_built(), True),
        Part("Pulumi", "download, or compiled from its Go modules", PULUMI_SECONDS, pulumi, True),
        Part("droplets' image", "from the distribution's packages", 30, image_is_built()),
        Part("cluster", "started by Pulumi", 45, ready=False),
    ]


def seconds(part: Part, processors: int) -> float:
    """What the part takes here."""
    return part.seconds * MEASURED_ON / processors if part.compiles else part.seconds


def plan(todo: Sequence[Part], processors: int) -> list[str]:
    """The plan in lines for a person. Compiling goes on alone, and the rest beside it where it can."""
    lines = []
    for part in todo:
        when = "is there already" if part.ready else f"{part.how}, {_about(seconds(part, processors))}"
        lines.append(f"  {part.name + ':':18} {when}")
    total = sum(seconds(part, processors) for part in todo if not part.ready)
    return [*lines, f"  together {_about(total)} on {processors} processors, more where others use them too"]


def prepare(board: Board) -> None:
    """Build what is missing. Raises `ToolchainError` with the first failure, when all has ended."""
    works: dict[str, Callable[[Report], None]] = {
        "K3s stand-in": lambda report: _as_root("k3s", report),
        "droplets' image": lambda report: _as_root("image", report),
        "Pulumi": _pulumi,
    }

    def run(name: str) -> None:
        with board.thing(name) as report:
            works[name](report)

    with ThreadPoolExecutor(len(works)) as threads:
        for done in [threads.submit(run, name) for name in works]:
            done.result()


def build(what: str, report: Report) -> None:
    """Build `what`, image or k3s, as root: machines run from root's cache."""
    if what == "image":
        ensure_image(report)
    else:
        releases.build(releases.VERSIONS[0], report=report)


def _pulumi(report: Report) -> None:
    # Needs the virtual environment, which a plan is made without.
    from local_cloud.toolchain.__main__ import ensure

    ensure(report)


def _as_root(what: str, report: Report) -> None:
    """bin/local-cloud prepare, whose last lines are the message if it fails."""
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    command = [*prefix, str(paths.CHECKOUT / "bin" / "local-cloud"), "prepare", what]
    last: deque[str] = deque(maxlen=20)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            report(last[-1])
    if process.returncode:
        raise ToolchainError("\n".join(last) or f"{' '.join(command)} failed ({process.returncode})")


def _k3s_is_built() -> bool:
    go = shutil.which("go")
    return bool(go) and releases.is_built(releases.VERSIONS[0], version_of(Path(go or "")))


def _about(number: float) -> str:
    return f"about {number:.0f} s" if number < 90 else f"about {number / 60:.0f} min"


def main(arguments: Sequence[str]) -> int:
    try:
        if "--plan" in arguments:
            print("\n".join(plan(parts(), os.cpu_count() or 1)))
            return 0
        with Board() as board:
            prepare(board)
    except (ToolchainError, MachineRoomError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; it can simply be run again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
