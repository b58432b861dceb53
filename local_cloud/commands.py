"""Runs a program to its end, and turns a failure into one message that says what failed and why."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from local_cloud.machine_room import MachineRoomError


def run(
    command: Sequence[str | Path],
    *,
    stdin: str | None = None,
    timeout_seconds: float = 60,
) -> str:
    """Run `command`, give it `stdin`, return what it wrote to stdout. MachineRoomError when it fails or is too slow."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout_seconds, check=False)
    except FileNotFoundError as error:
        raise MachineRoomError(f"{words[0]} is not installed; bin/local-cloud up says what to install") from error
    except subprocess.TimeoutExpired as error:
        raise MachineRoomError(f"{' '.join(words)}: no end after {timeout_seconds:.0f} s") from error
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip() or "no message")[-2000:]
        raise MachineRoomError(f"{' '.join(words)} failed ({done.returncode}): {reason}")
    return done.stdout
