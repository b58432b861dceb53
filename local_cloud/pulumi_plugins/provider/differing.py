"""Finds what changes between a resource's state and what a program now gives. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from local_cloud.pulumi_plugins.provider.checking import DEFAULTS
from local_cloud.pulumi_plugins.provider.properties import (
    ListOf,
    MapOf,
    Properties,
    Property,
    Record,
    Source,
    Text,
    Type,
)
from local_cloud.pulumi_plugins.provider.wire import has_unknown


class Kind(Enum):
    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class Change:
    kind: Kind
    replace: bool


def changes(
    properties: Properties, state: Mapping[str, Any], inputs: Mapping[str, Any], ignored: Collection[str] = ()
) -> dict[str, Change]:
    """What differs between `state` (the resource's outputs) and `inputs`, by property; `ignored` ones do not count.

    Outputs are compared, so that drift found by a refresh counts too. A property that is absent in `inputs` differs
    only if its absence means empty.
    """
    found = {}
    skip = {path.split(".")[0].split("[")[0] for path in ignored}
    for key, prop in properties.items():
        if prop.given and key not in skip and not same(prop, state.get(key), inputs.get(key)):
            kind = Kind.DELETE if inputs.get(key) is None else Kind.UPDATE if state.get(key) else Kind.ADD
            found[key] = Change(kind, prop.replace)
    return found


def same(prop: Property, old: Any, new: Any) -> bool:
    """Whether `new` asks for nothing else than `old`."""
    if has_unknown(new):
        return False
    if new is None:
        if prop.source in (Source.FILLED, Source.COMPUTED) or is_empty(old) or old == prop.default:
            return True
        # To Terraform's providers, a text that is not given is an empty one.
        return bool(prop.same and isinstance(old, str) and prop.same(old, ""))
    if prop.same and old is not None and prop.same(old, new):
        return True
    return equal(prop.type, old, new) or (prop.stored is not None and equal(prop.type, old, prop.stored(new)))


def equal(type_: Type, old: Any, new: Any) -> bool:
    if is_empty(old) and is_empty(new):
        return True
    if isinstance(type_, Text) and type_.fold and isinstance(old, str) and isinstance(new, str):
        return old.lower() == new.lower()
    if isinstance(type_, Record) and isinstance(old, Mapping) and isinstance(new, Mapping):
        return all(same(prop, old.get(key), new.get(key)) for key, prop in type_.properties.items())
    if isinstance(type_, MapOf) and isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() == new.keys() and all(equal(type_.item, old[key], new[key]) for key in new)
    if isinstance(type_, ListOf) and isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            return False
        if type_.ordered:
            return all(equal(type_.item, before, after) for before, after in zip(old, new, strict=True))
        rest = list(old)
        for item in new:
            match = next((index for index, before in enumerate(rest) if equal(type_.item, before, item)), None)
            if match is None:
                return False
            del rest[match]
        return True
    return bool(old == new)


def is_empty(value: Any) -> bool:
    """Terraform's zero values: what a property is when nobody has set it."""
    return value is None or value == "" or value is False or value == [] or value == {} or value == 0


def deletes_before_replace(properties: Properties, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """A name that the program itself chose, and keeps, cannot be given to a second resource at the same time.

    As nameRequiresDeleteBeforeReplace in https://github.com/pulumi/pulumi-terraform-bridge
    """
    made = set(inputs.get(DEFAULTS) or ())
    return any(
        prop.autoname and key not in made and not has_unknown(inputs.get(key)) and inputs.get(key) == state.get(key)
        for key, prop in properties.items()
    )
