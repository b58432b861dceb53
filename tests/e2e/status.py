"""`bin/status` as a person runs it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.e2e.stack import CHECKOUT, LOCAL, Stack, run

STATUS = str(CHECKOUT / "bin/status")


def status(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The screen; the exit status is 0 for a cluster that is well, 1 for one that is not, 2 for none."""
    return run(LOCAL, STATUS, stack.name, *arguments, check=False)


def status_json(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(status(stack, "--json").stdout)
    return found
