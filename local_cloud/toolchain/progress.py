"""Says what long work is doing and how long it has taken."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Takes one line for a person.
Report = Callable[[str], None]

HEARTBEAT_SECONDS = 10.0


def to_stderr(line: str) -> None:
    """The default report."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def step(name: str, report: Report) -> Iterator[None]:
    """Report `name` at once, its elapsed seconds every 10 s, and the total at the end, also when it fails."""
    started = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            report(f"{name}: {time.monotonic() - started:.0f} s")

    report(f"{name} ...")
    heartbeat = threading.Thread(target=beat, daemon=True)
    heartbeat.start()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        done.set()
        heartbeat.join()
        report(f"{name}: {outcome} in {time.monotonic() - started:.0f} s")
