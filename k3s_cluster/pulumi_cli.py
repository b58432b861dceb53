"""Pulumi's command line, as the commands in bin/ use it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

#: Set while `bin/recover` looks at what a run would make: it makes nothing, and has no passphrase to open a backup.
RECOVERING = "K3S_RECOVERING"


class PulumiError(Exception):
    """A command of Pulumi's failed: the message says which, and why in Pulumi's own words."""


def pulumi(*arguments: str, stdin: str = "", folder: Path | None = None, seconds: float | None = None) -> str:
    """What `pulumi ARGUMENTS` prints, run in `folder` or here. It asks nothing.

    PulumiError if it fails, or takes longer than `seconds`.
    """
    command = ["pulumi", "--non-interactive", "--color", "never", *arguments]
    called = f"`pulumi {' '.join(arguments[:2])}`"
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, cwd=folder, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )
    except FileNotFoundError:
        raise PulumiError("there is no `pulumi` on PATH; on the local cloud, put `bin/local` in front") from None
    except subprocess.TimeoutExpired:
        raise PulumiError(f"{called} took over {seconds:.0f} s") from None
    if done.returncode != 0:
        raise PulumiError(f"{called} failed:\n{_errors(done.stdout) or done.stderr.strip()}")
    return done.stdout


def _errors(printed: str) -> str:
    """The errors in what was printed: in a plan's JSON answer among much else, or in lines of their own."""
    try:
        diagnostics = json.loads(printed)["diagnostics"]
    except (ValueError, KeyError, TypeError):
        lines = (line.strip() for line in printed.splitlines())
        return "\n".join(dict.fromkeys(line for line in lines if line.startswith("error:")))
    return "\n".join(each["message"].strip() for each in diagnostics if each.get("severity") == "error")
