"""A state kept in files (`pulumi login file://...`) that a killed run left half written.

Each file of it is replaced in one step; the small file of attributes beside it is not, and an empty one makes every
command fail with `failed to load checkpoint: EOF`. It may be missing: github.com/google/go-cloud,
blob/fileblob/attrs.go (setAttrs, getAttrs).
"""

from __future__ import annotations

from pathlib import Path

SCHEME = "file://"


def remove_half_written(backend_url: str) -> list[Path]:
    """Remove empty files of attributes beside those of the state, and return them; none with another backend."""
    if not backend_url.startswith(SCHEME):
        return []
    root = Path(backend_url.removeprefix(SCHEME).partition("?")[0]).expanduser()
    empty = [path for path in sorted(root.glob(".pulumi/**/*.attrs")) if path.stat().st_size == 0]
    for path in empty:
        path.unlink()
    return empty
