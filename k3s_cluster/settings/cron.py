"""Cron expressions as K3s reads them: github.com/robfig/cron at v3.0.1, parser.go (ParseStandard, getRange)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from k3s_cluster.settings.numbers import whole

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: The most that a year can have.
_DAYS_OF_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
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
        return whole(text)


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
    wrong = next((found for field, text in zip(_FIELDS, fields, strict=True) for found in _wrong(field, text)), None)
    return wrong or _never(fields)


def _never(fields: list[str]) -> str | None:
    """What is wrong with a date that no year has. Beside a day of the week, either is enough (spec.go, dayMatches)."""
    _, _, day, month, weekday = fields
    days, months = _values(_FIELDS[2], day), _values(_FIELDS[3], month)
    if _any(weekday) and min(days) > max(_DAYS_OF_MONTH[each - 1] for each in months):
        return f"is never due: no month that `{month}` names has day {min(days)}"
    return None


def _any(text: str) -> bool:
    return any(part in ("*", "?", "*/1", "?/1") for part in text.split(","))


def _values(field: _Field, text: str) -> set[int]:
    """What a field that is not wrong stands for."""
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        low, hyphen, high = span.partition("-")
        if low in ("*", "?"):
            first, last = field.least, field.most
        else:
            first = field.number(low) or field.least
            # With a step, one number is the beginning of a range: parser.go, getRange.
            last = field.number(high) or first if hyphen else field.most if slash else first
        found |= set(range(first, last + 1, int(step) if slash else 1))
    return found


def _wrong(field: _Field, text: str) -> Iterator[str]:
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, hyphen, high = span.partition("-")
        if "/" in part and (whole(step) or 0) <= 0:
            yield f"has `{part}` for the {field.name}, and a step must be a number above zero, such as `*/2`"
        if low in ("*", "?") and not hyphen:
            continue
        first, last = field.number(low), field.number(high if hyphen else low)
        if first is None or last is None or min(first, last) < field.least or max(first, last) > field.most:
            names = f", or a name such as `{field.names[1]}`" if field.names else ""
            yield f"has `{part}` for the {field.name}, which goes from {field.least} to {field.most}{names}"
        elif first > last:
            yield f"has `{part}` for the {field.name}, which ends before it begins"
