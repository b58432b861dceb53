"""Whole numbers as people write them: ASCII digits, and so many that no machine chokes on them."""

from __future__ import annotations

import re

#: Python itself refuses to read more than 4,300 (docs.python.org/3/library/stdtypes.html, "Integer string conversion").
_MOST_DIGITS = 9


def whole(text: str) -> int | None:
    """The number that `text` is, below zero too; None for anything else."""
    return int(text) if re.fullmatch(rf"-?[0-9]{{1,{_MOST_DIGITS}}}", text) else None
