"""Load balancer sizes: the old slugs, and the nodes (`size_unit`) each stands for (API reference)."""

from __future__ import annotations

SIZE_UNITS = {"lb-small": 1, "lb-medium": 3, "lb-large": 6}
#: Regions where only the old slugs are taken (API reference, `size_unit`).
SLUG_ONLY_REGIONS = ("ams2", "nyc2", "sfo1")


def size_slug(size_unit: int) -> str:
    """The slug whose number of nodes comes closest from below."""
    return max((slug for slug, units in SIZE_UNITS.items() if units <= size_unit), key=lambda slug: SIZE_UNITS[slug])
