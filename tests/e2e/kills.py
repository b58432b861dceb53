"""Kills a run of Pulumi at a chosen moment, as the kernel or a lost machine would."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from local_cloud import control
from tests.e2e.stack import ORPHANS_SECONDS, wait_for

MOMENT_SECONDS = 300


def hang(method: str, path: str, times: int = 1) -> None:
    """Let the next calls of the API take effect and get no answer; `path` is a regular expression."""
    fault = {"method": method, "path": path, "times": times, "hang_seconds": 600, "when": "after"}
    control.call("POST", "faults", fault)


def calls_hang() -> bool:
    """True when every call that was to hang does."""
    return all(fault["times"] == 0 for fault in control.call("GET", "faults")["faults"])


def kill(pulumi: subprocess.Popen[str], what: str, has_come: Callable[[], bool]) -> float:
    """Kill `pulumi` when the moment has come; how many seconds after this call. Its plugins are gone afterwards."""
    began = time.monotonic()

    def at_work_and_come() -> bool:
        assert pulumi.poll() is None, f"it ended before it was killed:\n{pulumi.communicate()[0][-6000:]}"
        return has_come()

    try:
        wait_for(f"the moment {what}", at_work_and_come, MOMENT_SECONDS)
    finally:
        # bin/local has become pulumi itself; its plugins are left to notice.
        pulumi.kill()
    ran = time.monotonic() - began
    wait_until_gone(pulumi)
    control.call("DELETE", "faults")
    return ran


def wait_until_gone(pulumi: subprocess.Popen[str]) -> None:
    """Return when a `pulumi` that was killed has ended, and its plugins with it."""
    pulumi.wait(timeout=60)
    assert pulumi.stdout is not None
    pulumi.stdout.close()
    time.sleep(ORPHANS_SECONDS)
