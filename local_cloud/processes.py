"""Background processes that outlive whoever started them, known again by pid and start time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_cloud.machine_room import MachineRoomError

#: How often a waiting call looks again.
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class ProcessIdentity:
    """A process for good: pids are used again, a pid with its start time (clock ticks since boot, proc(5)) is not."""

    pid: int
    start_ticks: int

    def is_alive(self) -> bool:
        return start_ticks(self.pid) == self.start_ticks


def start_ticks(pid: int) -> int | None:
    """When process `pid` started, or None when there is none or only its exit status is left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def read_pid_file(pid_file: Path) -> ProcessIdentity | None:
    """The living process that the file names; None when the file or the process is gone."""
    try:
        identity = ProcessIdentity(**json.loads(pid_file.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return identity if identity.is_alive() else None


def start(
    command: Sequence[str | Path],
    *,
    pid_file: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    cgroups: Sequence[Path] = (),
) -> ProcessIdentity:
    """Start `command` in a session of its own, both outputs appended to `log`; nothing when `pid_file` names it alive.

    `cgroups` are folders under /sys/fs/cgroup that the process joins before it runs.
    """
    if running := read_pid_file(pid_file):
        return running
    words = [str(word) for word in command]
    if cgroups:
        # The shell joins, then becomes the command: no moment in which the command runs outside.
        joining = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'
        words = ["sh", "-c", joining, "sh", *(str(cgroup) for cgroup in cgroups), "--", *words]
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise MachineRoomError(f"{words[0]} is not installed; bin/local-cloud up says what to install") from error
    ticks = start_ticks(process.pid)
    if ticks is None:
        raise MachineRoomError(f"{words[0]} ended as soon as it started; see {log}")
    identity = ProcessIdentity(process.pid, ticks)
    unfinished = pid_file.with_name(pid_file.name + ".new")
    unfinished.write_text(json.dumps(identity.__dict__))
    os.replace(unfinished, pid_file)
    return identity


def stop(pid_file: Path, *, first: signal.Signals = signal.SIGTERM, grace_seconds: float = 10) -> None:
    """Ask the process to end with signal `first`, kill its whole session group after the grace, forget the file."""
    if identity := read_pid_file(pid_file):
        send(identity.pid, first)
        if not wait_until_gone(identity, grace_seconds):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(identity.pid, signal.SIGKILL)
            if not wait_until_gone(identity, 10):
                raise MachineRoomError(f"process {identity.pid} (of {pid_file}) does not end, not even when killed")
    pid_file.unlink(missing_ok=True)


def send(pid: int, number: int) -> None:
    """Send a signal; a process that is gone already is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def wait_until_gone(identity: ProcessIdentity, seconds: float) -> bool:
    """True as soon as the process is gone, False when it is still there after `seconds`."""
    until = time.monotonic() + seconds
    while identity.is_alive():
        if time.monotonic() > until:
            return False
        time.sleep(POLL_SECONDS)
    return True


def children(pid: int) -> list[int]:
    """The pids of a process's direct children."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
