"""Filters and sorts of functions that return lists. Pure functions.

As https://registry.terraform.io/providers/digitalocean/digitalocean/latest/docs/data-sources/sizes describes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from local_cloud.pulumi_plugins.provider.properties import Flag, ListOf, Property, Record, Text, optional, required
from local_cloud.pulumi_plugins.provider.resource import ProviderError


def filters_property(function: str) -> Property:
    """The `filters` argument of the function of that name."""
    return optional(
        ListOf(
            Record(
                f"{function}Filter",
                {
                    "key": required(Text()),
                    "values": required(ListOf(Text())),
                    "all": optional(Flag(), default=False),
                    "matchBy": optional(Text(choices=("exact", "re", "substring")), default="exact"),
                },
            )
        )
    )


def sorts_property(function: str) -> Property:
    """The `sorts` argument of the function of that name."""
    record = Record(f"{function}Sort", {"key": required(Text()), "direction": optional(Text(choices=("asc", "desc")))})
    return optional(ListOf(record))


def select(
    items: Sequence[Mapping[str, Any]], filters: Sequence[Mapping[str, Any]], sorts: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The items that pass all filters, in the order of the sorts. Keys are Terraform's names (`price_monthly`)."""
    chosen = [item for item in items if all(passes(item, wanted) for wanted in filters)]
    for sort in reversed(sorts):
        key = property_of(sort["key"], items)
        chosen.sort(key=itemgetter(key), reverse=sort.get("direction") == "desc")
    return chosen


def passes(item: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    value = item[property_of(wanted["key"], [item])]
    values = value if isinstance(value, list) else [value]
    if wanted.get("all"):
        return all(any(matches(one, text, wanted) for one in values) for text in wanted["values"])
    return any(matches(one, text, wanted) for one in values for text in wanted["values"])


def matches(value: Any, text: str, wanted: Mapping[str, Any]) -> bool:
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, int | float):
        return float(text) == value
    how = wanted.get("matchBy", "exact")
    if how == "re":
        return re.search(text, value) is not None
    return text in value if how == "substring" else text == value


def property_of(key: str, items: Sequence[Mapping[str, Any]]) -> str:
    """Our name for Terraform's `price_monthly`. Raises `ProviderError` for a key that the items do not have."""
    first, *rest = key.split("_")
    name = first + "".join(part.capitalize() for part in rest)
    if items and name not in items[0]:
        raise ProviderError(f"'{key}' is no key to filter or sort by; there are {', '.join(sorted(items[0]))}")
    return name
