"""Checks what a program gives for a resource, and adds the defaults. Pure functions."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_cloud.pulumi_plugins.provider.properties import (
    Anything,
    Flag,
    ListOf,
    MapOf,
    Number,
    Properties,
    Property,
    Record,
    Source,
    Text,
    Type,
    Whole,
)
from local_cloud.pulumi_plugins.provider.wire import Unknown

#: The input in which Terraform-based plugins remember which inputs are defaults, so that state can change hands.
DEFAULTS = "__defaults"


@dataclass
class Checked:
    """Inputs with defaults and right types, and what is wrong: pairs of a property's path and a reason."""

    inputs: dict[str, Any]
    failures: list[tuple[str, str]] = field(default_factory=list)


class WrongType(ValueError):
    """The message says what was expected."""


def given_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs without the plugin's own marks and without empty ones."""
    return {key: value for key, value in inputs.items() if not key.startswith("__") and value is not None}


def check(properties: Properties, news: Mapping[str, Any], olds: Mapping[str, Any], automatic_name: str) -> Checked:
    """Check `news`. A name that was made before (in `olds`) is kept, otherwise `automatic_name` is used."""
    given = given_inputs(news)
    checked = Checked({})
    for key, value in check_record(properties, given, "", checked.failures):
        checked.inputs[key] = value
    was_default = set(olds.get(DEFAULTS) or ())
    defaults = []
    for key, prop in properties.items():
        if prop.given and key not in given:
            value = prop.default
            if prop.autoname:
                value = olds[key] if key in was_default and olds.get(key) else automatic_name
            if value is not None:
                checked.inputs[key] = value
                defaults.append(key)
    checked.inputs[DEFAULTS] = sorted(defaults)
    return checked


def check_record(
    properties: Properties, given: Mapping[str, Any], path: str, failures: list[tuple[str, str]]
) -> Iterator[tuple[str, Any]]:
    """The given values with their right types; what is wrong is added to `failures`."""
    for key, value in given.items():
        where = f"{path}{key}"
        prop = properties.get(key)
        if prop is None or not prop.given:
            failures.append((where, unknown_property(key, properties)))
            continue
        yield key, check_value(prop, value, where, failures)
    for key, prop in properties.items():
        if prop.source is Source.REQUIRED and key not in given:
            failures.append((f"{path}{key}", f"missing required property '{key}'"))


def unknown_property(key: str, properties: Properties) -> str:
    known = [name for name, prop in properties.items() if prop.given]
    near = difflib.get_close_matches(key, known, n=1)
    if key in properties:
        return f"'{key}' is an output and cannot be set"
    return f"unknown property '{key}'" + (f", did you mean '{near[0]}'?" if near else "")


def check_value(prop: Property, value: Any, path: str, failures: list[tuple[str, str]]) -> Any:
    value = conform(prop.type, value, path, failures)
    if prop.rule and not isinstance(value, Unknown) and (reason := prop.rule(value)):
        failures.append((path, reason))
    return value


def conform(type_: Type, value: Any, path: str, failures: list[tuple[str, str]]) -> Any:
    """`value` as `type_`, converting between text, numbers and flags as the official plugin does."""
    if isinstance(value, Unknown) or isinstance(type_, Anything):
        return value
    try:
        if isinstance(type_, ListOf):
            if not isinstance(value, list):
                raise WrongType(f"expected a list, got {describe(value)}")
            if len(value) < type_.least:
                raise WrongType(f"expected at least {type_.least} item")
            return [conform(type_.item, item, f"{path}[{index}]", failures) for index, item in enumerate(value)]
        if isinstance(type_, MapOf | Record):
            if not isinstance(value, Mapping):
                raise WrongType(f"expected an object, got {describe(value)}")
            if isinstance(type_, MapOf):
                return {key: conform(type_.item, item, f"{path}.{key}", failures) for key, item in value.items()}
            given = given_inputs(value)
            record = dict(check_record(type_.properties, given, f"{path}.", failures))
            defaults = {key: prop.default for key, prop in type_.properties.items() if prop.default is not None}
            return {**defaults, **record}
        return conform_simple(type_, value)
    except WrongType as error:
        failures.append((path, str(error)))
        return value


def conform_simple(type_: Text | Whole | Number | Flag, value: Any) -> Any:
    """Raises `WrongType`."""
    if isinstance(type_, Text):
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, int | float):
            value = f"{value:.15g}"
        if not isinstance(value, str):
            raise WrongType(f"expected a string, got {describe(value)}")
        known = [choice.lower() if type_.fold else choice for choice in type_.choices]
        if type_.choices and (value.lower() if type_.fold else value) not in known:
            raise WrongType(f"expected one of {', '.join(type_.choices)}, got '{value}'")
        return value
    if isinstance(type_, Flag):
        if isinstance(value, str) and value in ("true", "false"):
            return value == "true"
        if not isinstance(value, bool):
            raise WrongType(f"expected true or false, got {describe(value)}")
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongType(f"expected a number, got {describe(value)}")
    if isinstance(type_, Number):
        return value
    if value != int(value):
        raise WrongType(f"expected a whole number, got {value}")
    if (type_.least is not None and value < type_.least) or (type_.most is not None and value > type_.most):
        raise WrongType(f"expected a number from {type_.least} to {type_.most}, got {int(value)}")
    return int(value)


def describe(value: Any) -> str:
    """The type of a wrong value; never the value itself, which may be a secret."""
    if isinstance(value, Mapping):
        return "an object"
    return {list: "a list", str: "a string", bool: "a boolean"}.get(type(value), "a number")


def automatic_name(name: str, seed: bytes) -> str:
    """`name`, a dash and seven hex digits, the same in a preview and in its update (`seed` is the engine's)."""
    return f"{name}-{hashlib.sha256(seed).hexdigest()[:7]}"
