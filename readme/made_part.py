"""A part of README that is made from something else, between two markers."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def with_part(text: str, begin: str, made: str, end: str) -> str:
    """`text` with `made` between its markers. ValueError if it does not have each of them once."""
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"README must hold {begin} and {end} once each")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{made}\n{end}{after}"
