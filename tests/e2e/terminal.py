"""What a person sees on a terminal, where Pulumi draws a table of rows and draws it anew as things go on."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from tests.e2e.stack import CHECKOUT, COMMAND_SECONDS, LOCAL, CommandFailed, Stack

ROWS, COLUMNS = 50, 200
#: Control sequences: colours, and moves of the cursor (ECMA-48, 5.4).
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def up_on_terminal(stack: Stack) -> list[str]:
    """`pulumi up` as a person runs it: every line that was ever shown, in order."""
    status, lines = _shown(LOCAL, "pulumi", "up", "--yes", "--skip-preview", PULUMI_STACK=stack.name)
    if status != 0:
        raise CommandFailed("pulumi up ended with {}:\n{}".format(status, "\n".join(lines[-60:])))
    return lines


def _shown(*command: str, **environment: str) -> tuple[int, list[str]]:
    """Run a command on a terminal: its exit status, and every line that was ever shown, in order."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env={**os.environ, "TERM": "xterm-256color", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    text, until = b"", time.monotonic() + COMMAND_SECONDS
    try:
        while time.monotonic() < until:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:  # EIO: nobody has the other end open any more
                break
            if not part:
                break
            text += part
    finally:
        # Nothing where it has ended; else it must not go on beside what clears up after it.
        if process.poll() is None and time.monotonic() >= until:
            os.killpg(process.pid, signal.SIGKILL)
        os.close(ours)
        process.wait(timeout=30)
    shown = _CONTROL.sub("", text.decode(errors="replace"))
    return process.returncode, [line.strip() for line in re.split(r"[\r\n]+", shown) if line.strip()]
