"""What make demo says before and while it gets things ready."""

from __future__ import annotations

import io
import subprocess
import sys
import time

import pytest

from local_cloud import paths
from local_cloud.preparation import Part, plan
from local_cloud.toolchain import progress
from local_cloud.toolchain.go import memory_share
from local_cloud.toolchain.progress import Board


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_plan_counts_only_what_is_missing_and_compiling_by_processors() -> None:
    todo = [
        Part("Pulumi", "compiled", 400, ready=False, compiles=True),
        Part("image", "made", 30, ready=False),
        Part("K3s", "compiled", 1000, ready=True, compiles=True),
    ]
    pulumi, image, k3s, together = plan(todo, processors=8)
    assert pulumi == "  Pulumi:            compiled, about 2 min"
    assert image.endswith("made, about 30 s")
    assert k3s.endswith("is there already")
    assert "about 2 min on 8 processors" in together


def test_the_plan_needs_nothing_but_python() -> None:
    """It is made before there is a virtual environment."""
    command = [sys.executable, "-S", "-m", "local_cloud.preparation", "--plan"]
    done = subprocess.run(command, cwd=paths.CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Pulumi:" in done.stdout


def test_in_a_log_each_thing_has_a_line_at_its_start_and_its_end() -> None:
    log = io.StringIO()
    with Board(log) as board, board.thing("image") as of_image:
        of_image("unpacking")
        with pytest.raises(ValueError, match="broken"), board.thing("K3s"):
            raise ValueError("broken")
    assert log.getvalue() == "image ...\nK3s ...\nK3s: failed in 0 s\nimage: done in 0 s\n"


def test_in_a_log_one_line_a_beat_tells_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.01)
    log = io.StringIO()
    with Board(log) as board, board.thing("image"), board.thing("K3s"):
        for _ in range(500):
            if "image: 0 s, K3s: 0 s\n" in log.getvalue():
                break
            time.sleep(0.01)
    assert "image: 0 s, K3s: 0 s\n" in log.getvalue()


def test_on_a_terminal_lines_are_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 60)
    terminal = Terminal()
    with Board(terminal) as board, board.thing("image") as of_image:
        of_image("unpacking")
        with board.thing("K3s"):
            pass
    assert terminal.getvalue() == (
        "image: 0 s   \n"
        "\x1b[1F\x1b[Jimage: 0 s   unpacking\nK3s: 0 s   \n"
        "\x1b[2F\x1b[JK3s: done in 0 s\nimage: 0 s   unpacking\n"
        "\x1b[1F\x1b[Jimage: done in 0 s\n"
    )


def test_the_compilers_of_all_processors_leave_half_of_the_memory() -> None:
    assert memory_share(available_mib=16000, processors=4) == 2000
    assert memory_share(available_mib=100, processors=8) == 256
