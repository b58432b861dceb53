"""What was asked and answered: a log of calls, and on demand a recording of whole requests and answers."""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from pathlib import Path
from typing import Any

KEPT_CALLS = 10_000


class Traffic:
    """The last calls in memory and all of them in a file of JSON lines; bodies only while recording is on."""

    def __init__(self, log_file: Path) -> None:
        self._lock = threading.Lock()
        self._log_file = log_file
        self._calls: deque[dict[str, Any]] = deque(maxlen=KEPT_CALLS)
        self.recording: Path | None = None

    def note(self, call: dict[str, Any], exchange: dict[str, Any]) -> None:
        """Remember a call (no secrets in it); `exchange`, with bodies, is written only while recording."""
        with self._lock:
            self._calls.append(call)
            _append(self._log_file, call)
            if self.recording is not None:
                _append(self.recording, exchange)

    def calls(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._calls)

    def forget(self) -> None:
        """Empty the log, in memory and on disk."""
        with self._lock:
            self._calls.clear()
            self._log_file.unlink(missing_ok=True)

    def record_to(self, path: Path | None) -> None:
        """Write whole exchanges, secrets included, to a new file that only its owner can read; None ends it."""
        with self._lock:
            if path is not None:
                path.unlink(missing_ok=True)
                _append_text(path, "")
            self.recording = path


def _append(path: Path, entry: dict[str, Any]) -> None:
    _append_text(path, json.dumps(entry) + "\n")


def _append_text(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as file:
        file.write(text)
