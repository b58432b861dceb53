"""The kernel's limits are raised before many machines reach them, and never lowered."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_cloud.machine_room import MachineRoomError
from local_cloud.machines import kernel_limits


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    (tmp_path / "max_user_instances").write_text("128\n")
    (tmp_path / "max_user_watches").write_text("1048576\n")
    return tmp_path


def test_what_is_too_low_is_raised_and_said_once(limits: Path) -> None:
    assert kernel_limits.ensure(limits) == ["the kernel's fs.inotify.max_user_instances: 128 before, 8192 now"]
    assert (limits / "max_user_instances").read_text() == "8192\n"
    assert (limits / "max_user_watches").read_text() == "1048576\n"
    assert kernel_limits.ensure(limits) == []


def test_where_it_cannot_be_raised_the_command_is_named(limits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(MachineRoomError, match=r"on the host: sysctl -w fs\.inotify\.max_user_instances=8192"):
        kernel_limits.ensure(limits)


def test_a_cloud_that_is_up_has_room_for_a_hundred_machines() -> None:
    kernel_limits.ensure()
    assert all(int((kernel_limits.INOTIFY / name).read_text()) >= least for name, least in kernel_limits.LEAST.items())
