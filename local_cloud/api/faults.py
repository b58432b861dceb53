"""Calls that are made to fail on purpose: a number of answers with an error, or none at all."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

#: However long a hang is asked to last, a thread comes back after this many seconds.
LONGEST_HANG = 600.0


@dataclass
class Fault:
    """`method` and `path` are regular expressions that must match whole. `times` is how often it still strikes.

    `status` is the HTTP code answered, or `hang_seconds` the time without an answer. `when` says whether the call
    takes effect first: an answer that got lost on its way back.
    """

    id: int
    method: str
    path: str
    times: int
    status: int = 500
    hang_seconds: float = 0.0
    when: Literal["before", "after"] = "before"
    lifted: threading.Event = field(default_factory=threading.Event, repr=False)

    def matches(self, method: str, path: str) -> bool:
        return bool(re.fullmatch(self.method, method) and re.fullmatch(self.path, path))


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._next_id = 1

    def add(
        self,
        method: str,
        path: str,
        times: int,
        status: int = 500,
        hang_seconds: float = 0.0,
        when: Literal["before", "after"] = "before",
    ) -> Fault:
        """Raises ValueError if a pattern is not a regular expression."""
        for pattern in (method, path):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        with self._lock:
            fault = Fault(self._next_id, method, path, times, status, min(hang_seconds, LONGEST_HANG), when)
            self._next_id += 1
            self._faults.append(fault)
            return fault

    def all(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def lift(self) -> None:
        """Forget all faults; calls that hang are answered."""
        with self._lock:
            for fault in self._faults:
                fault.lifted.set()
            self._faults.clear()

    def strike(self, method: str, path: str) -> Fault | None:
        """The fault that hits this call, used up by one; None if there is none."""
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and fault.matches(method, path):
                    fault.times -= 1
                    return fault
            return None
