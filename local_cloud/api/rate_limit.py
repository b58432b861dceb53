"""How many calls a token may make: 5,000 an hour and 250 a minute.

https://docs.digitalocean.com/reference/api/digitalocean/#section/Introduction/Rate-Limit
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

HOUR, MINUTE = 3600.0, 60.0


@dataclass(frozen=True)
class Allowance:
    """What the rate-limit headers say. `reset` is when the oldest counted call expires (epoch seconds)."""

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int


class RateLimit:
    """Counts calls per token in a sliding hour and minute. Limits may be changed while the cloud runs."""

    def __init__(self, per_hour: int = 5000, per_minute: int = 250, clock: Callable[[], float] = time.time) -> None:
        self.per_hour, self.per_minute = per_hour, per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: dict[str, deque[float]] = {}

    def count(self, token: str) -> Allowance:
        """Count a call, unless it is one too many: refused calls are not counted."""
        with self._lock:
            now = self._clock()
            calls = self._calls.setdefault(token, deque())
            while calls and calls[0] <= now - HOUR:
                calls.popleft()
            in_minute = [at for at in reversed(calls) if at > now - MINUTE][: self.per_minute]
            over_minute = len(in_minute) >= self.per_minute
            over_hour = len(calls) >= self.per_hour
            allowed = not over_minute and not over_hour
            if allowed:
                calls.append(now)
            frees_at = now
            if over_hour:
                frees_at = calls[0] + HOUR
            elif over_minute:
                frees_at = in_minute[-1] + MINUTE if in_minute else now + MINUTE
            oldest = calls[0] if calls else now
            return Allowance(
                allowed=allowed,
                limit=self.per_hour,
                remaining=max(0, self.per_hour - len(calls)),
                reset=int(oldest + HOUR),
                retry_after=max(1, int(frees_at - now) + 1),
            )

    def forget(self) -> None:
        """Start counting anew."""
        with self._lock:
            self._calls.clear()
