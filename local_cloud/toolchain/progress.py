"""Says what long work is doing and how long it has taken."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

#: Takes one line for a person.
Report = Callable[[str], None]

HEARTBEAT_SECONDS = 10.0
#: How often a terminal is drawn anew.
REDRAW_SECONDS = 1.0


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


class Board:
    """Several things under way at a time: a line each, kept up to date in place on a terminal.

    In a log a line says that a thing begins, one that it ended, and one every 10 s what all are at.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._lock = threading.Lock()
        self._begun: dict[str, float] = {}
        self._details: dict[str, str] = {}
        self._drawn = 0
        self._closed = threading.Event()
        self._beat = threading.Thread(target=self._beats, daemon=True)

    def __enter__(self) -> Board:
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._beat.join()

    @contextmanager
    def thing(self, name: str) -> Iterator[Report]:
        """`name` is under way. The report it gives takes what it does just now, which only a terminal shows."""
        started = time.monotonic()
        with self._lock:
            self._begun[name] = started
            self._show("" if self._live else f"{name} ...")
        outcome = "failed"
        try:
            yield lambda line: self._details.__setitem__(name, line)
            outcome = "done"
        finally:
            with self._lock:
                del self._begun[name]
                self._show(f"{name}: {outcome} in {time.monotonic() - started:.0f} s")

    def _beats(self) -> None:
        while not self._closed.wait(REDRAW_SECONDS if self._live else HEARTBEAT_SECONDS):
            with self._lock:
                if self._live:
                    self._show("")
                elif self._begun:
                    now = time.monotonic()
                    self._show(", ".join(f"{name}: {now - begun:.0f} s" for name, begun in self._begun.items()))

    def _show(self, line: str) -> None:
        """Put `line`, if any, where it stays, and below it what is under way."""
        if not self._live:
            print(line, file=self._stream, flush=True)
            return
        width = max(shutil.get_terminal_size().columns - 1, 20)
        now = time.monotonic()
        under_way = [
            f"{name}: {now - begun:.0f} s   {self._details.get(name, '')}"[:width]
            for name, begun in self._begun.items()
        ]
        # ECMA-48: to the start of the first line that was drawn, and erase from there to the end of the screen.
        back = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        lines = [*([line] if line else []), *under_way]
        self._stream.write(back + "".join(f"{text}\n" for text in lines))
        self._stream.flush()
        self._drawn = len(under_way)
