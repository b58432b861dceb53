"""Properties of resources: their types, and who gives them a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class Text:
    """A string. `choices` limits it; `fold` compares it without regard to case, as some Terraform fields do."""

    choices: tuple[str, ...] = ()
    fold: bool = False


@dataclass(frozen=True)
class Whole:
    """An integer, in the range from `least` to `most` if given."""

    least: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class Number:
    """A number."""


@dataclass(frozen=True)
class Flag:
    """True or false."""


@dataclass(frozen=True)
class ListOf:
    """A list. With `ordered=False` the order means nothing (Terraform's sets)."""

    item: Type
    ordered: bool = True
    least: int = 0


@dataclass(frozen=True)
class MapOf:
    """An object with any keys."""

    item: Type


@dataclass(frozen=True)
class Record:
    """An object with known keys. `name` is that of the type in the official plugin's schema."""

    name: str
    properties: Mapping[str, Property]


#: Anything; used where the official plugin passes a map through (`keepers`).
@dataclass(frozen=True)
class Anything:
    """Any value."""


Type = Text | Whole | Number | Flag | ListOf | MapOf | Record | Anything


class Source(Enum):
    """Who gives a property its value."""

    #: The program must.
    REQUIRED = "required"
    #: The program may; absent means empty.
    OPTIONAL = "optional"
    #: The program may, else the cloud does.
    FILLED = "filled"
    #: The cloud does.
    COMPUTED = "computed"


@dataclass(frozen=True)
class Property:
    """One property of a resource.

    `replace`: a change makes a new resource. `secret`: the engine must hide it. `default`: what absence stands for.
    `autoname`: absent, it gets the resource's name and seven hex digits. `stored`: how the value looks in the state,
    when that differs from what the program gave. `rule`: says what is wrong with a value, or None. `same`: whether
    two values mean the same to the cloud.
    """

    type: Type
    source: Source = Source.OPTIONAL
    replace: bool = False
    secret: bool = False
    default: Any = None
    autoname: bool = False
    stored: Callable[[Any], Any] | None = None
    rule: Callable[[Any], str | None] | None = None
    same: Callable[[Any, Any], bool] | None = field(default=None)

    @property
    def given(self) -> bool:
        """Whether a program may give it."""
        return self.source is not Source.COMPUTED


def required(type_: Type, **more: Any) -> Property:
    """A property that the program must give."""
    return Property(type_, Source.REQUIRED, **more)


def optional(type_: Type, **more: Any) -> Property:
    """A property that the program may give."""
    return Property(type_, Source.OPTIONAL, **more)


def filled(type_: Type, **more: Any) -> Property:
    """A property that the program may give, and the cloud gives otherwise."""
    return Property(type_, Source.FILLED, **more)


def computed(type_: Type, **more: Any) -> Property:
    """A property that the cloud gives."""
    return Property(type_, Source.COMPUTED, **more)


def named(**more: Any) -> Property:
    """A name, made from the resource's name in the program where it is not given."""
    return Property(Text(), Source.OPTIONAL, autoname=True, rule=not_empty, **more)


def not_empty(value: Any) -> str | None:
    """The rule of names and ids."""
    return None if value != "" else "must not be empty"


Properties = Mapping[str, Property]
