"""Which of an account's domains a name is in. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def domain_of(name: str, domains: Iterable[str]) -> str | None:
    """The one of `domains` that `name` is in: the longest, as DNS delegates; None if there is none."""
    around = [domain for domain in domains if name == domain or name.endswith(f".{domain}")]
    return max(around, key=len, default=None)
