"""Limits of this host's kernel that all machines share: raised before so many machines are up that they are reached."""

from __future__ import annotations

from pathlib import Path

from local_cloud.machine_room import MachineRoomError

INOTIFY = Path("/proc/sys/fs/inotify")
#: For a hundred machines. The kernel's default of 128 instances for each user (inotify(7)) is enough for eleven: then
#: the next one's systemd stops at its start, with "Too many open files". All machines' root is this host's root.
LEAST = {"max_user_instances": 8192, "max_user_watches": 524288}


def ensure(folder: Path = INOTIFY) -> list[str]:
    """Raise what is lower; what was raised, in words. MachineRoomError with the command where that is not allowed."""
    raised = []
    for name, least in LEAST.items():
        limit = folder / name
        before = int(limit.read_text())
        if before >= least:
            continue
        try:
            limit.write_text(f"{least}\n")
        except OSError as error:
            raise MachineRoomError(
                f"the kernel's fs.inotify.{name} is {before}, too low for many machines, and cannot be raised "
                f"from here ({error.strerror}); on the host: sysctl -w fs.inotify.{name}={least}"
            ) from None
        raised.append(f"the kernel's fs.inotify.{name}: {before} before, {least} now")
    return raised
