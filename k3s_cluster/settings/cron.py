"""Cron expressions as K3s reads them: github.com/robfig/cron at v3.0.1, parser.go (ParseStandard, getRange)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMED = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


@dataclass(frozen=True)
class _Field:
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int | None:
        if text.lower() in self.names:
            return self.least + self.names.index(text.lower())
        return int(text) if re.fullmatch(r"\d+", text, re.ASCII) else None


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 6, _DAYS),
)


def problem(expression: str) -> str | None:
    """What keeps K3s from reading `expression`; None where nothing does."""
    if expression.startswith("@"):
        # pkg.go.dev/time, ParseDuration.
        good = expression in _NAMED or re.fullmatch(r"@every (\d+(\.\d+)?(ms|s|m|h))+", expression, re.ASCII)
        return None if good else f"must be {', '.join(f'`{each}`' for each in _NAMED)}, or `@every 6h`"
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        return "must be a cron expression of five fields, such as `0 */12 * * *`, or `@every 6h`"
    return next((found for field, text in zip(_FIELDS, fields, strict=True) for found in _wrong(field, text)), None)


def _wrong(field: _Field, text: str) -> Iterator[str]:
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, hyphen, high = span.partition("-")
        if "/" in part and not (step.isascii() and step.isdigit() and int(step) > 0):
            yield f"has `{part}` for the {field.name}, and a step must be a number above zero, such as `*/2`"
        if low in ("*", "?") and not hyphen:
            continue
        first, last = field.number(low), field.number(high if hyphen else low)
        if first is None or last is None or min(first, last) < field.least or max(first, last) > field.most:
            names = f", or a name such as `{field.names[1]}`" if field.names else ""
            yield f"has `{part}` for the {field.name}, which goes from {field.least} to {field.most}{names}"
        elif first > last:
            yield f"has `{part}` for the {field.name}, which ends before it begins"
