"""One control group per machine: two machines never share a tree, and each has its memory limit and its pause button.

Works with cgroup v1 (one folder per controller) and with v2 (one folder).
"""

from __future__ import annotations

import time
from pathlib import Path

from local_cloud.machine_room import MachineRoomError
from local_cloud.processes import POLL_SECONDS

ROOT = Path("/sys/fs/cgroup")
#: The v1 hierarchies that matter here: systemd's two, because a machine's systemd rules over the one it starts in.
V1_HIERARCHIES = ("systemd", "unified", "freezer", "memory", "pids", "cpu", "cpuacct", "devices", "blkio")


def is_v2() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def folders(name: str) -> list[Path]:
    """Where group `name` is, in every hierarchy of this host that matters."""
    if is_v2():
        return [ROOT / name]
    return [ROOT / hierarchy / name for hierarchy in V1_HIERARCHIES if (ROOT / hierarchy).is_dir()]


def ensure(name: str, memory_mib: int) -> list[Path]:
    """Make the group with its memory limit; returns the folders a process joins by their cgroup.procs."""
    groups = folders(name)
    for group in groups:
        group.mkdir(exist_ok=True)
    limit = "memory.max" if is_v2() else "memory.limit_in_bytes"
    for group in groups:
        if (group / limit).exists():
            (group / limit).write_text(str(memory_mib * 1024 * 1024))
    return groups


def pids(name: str) -> set[int]:
    """Every process of the group and of the groups below it."""
    found: set[int] = set()
    for group in folders(name):
        for procs in group.rglob("cgroup.procs") if group.is_dir() else ():
            try:
                found.update(int(pid) for pid in procs.read_text().split())
            except OSError:
                continue  # gone in this moment
    return found


def freeze(name: str, frozen: bool) -> None:
    """Stop every process of the group where it stands, or let it go on."""
    if is_v2():
        file, value = ROOT / name / "cgroup.freeze", "1" if frozen else "0"
    else:
        file, value = ROOT / "freezer" / name / "freezer.state", "FROZEN" if frozen else "THAWED"
    if file.exists():
        file.write_text(value)
    elif frozen:
        raise MachineRoomError(f"this kernel cannot pause a machine: no {file}")


def remove(name: str) -> None:
    """Remove the group, with the groups below it. MachineRoomError when a process will not leave it."""
    until = time.monotonic() + 10
    for group in folders(name):
        while group.is_dir():
            for child in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                _rmdir(child)
            if _rmdir(group):
                break
            if time.monotonic() > until:
                raise MachineRoomError(f"control group {group} does not become empty")
            time.sleep(POLL_SECONDS)


def _rmdir(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
