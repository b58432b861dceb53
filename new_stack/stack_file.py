"""What the config file of a new stack holds: pure, from Pulumi.yaml and the files of the stacks there are."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from k3s_cluster import go_yaml

WIDTH = 118
#: The most that namePrefix may have; k3s_cluster/settings says why.
PREFIX_LENGTH = 24
#: Where new VPC ranges are looked for: what the default, 10.10.10.0/24, is the first of.
RANGES = IPv4Network("10.10.0.0/16")
FIRST_RANGE = IPv4Network("10.10.10.0/24")


class NoRoom(Exception):
    """Every range that could be offered is taken."""


@dataclass(frozen=True)
class Taken:
    """What other stacks' files use, so that a stack in the same account needs another one."""

    prefixes: frozenset[str]
    ranges: tuple[IPv4Network, ...]


def taken(declared: Mapping[str, Mapping[str, Any]], files: Collection[Mapping[str, Any]]) -> Taken:
    """From the settings in each stack's file; what a file does not set is at its default."""

    def used(key: str) -> set[str]:
        return {str(file.get(key, declared[key]["default"])) for file in files}

    ranges = []
    for text in sorted(used("vpcCidr")):
        try:
            ranges.append(IPv4Network(text))
        except ValueError:
            continue
    return Taken(frozenset(used("namePrefix")), tuple(ranges))


def free_prefix(stack: str, others: Taken) -> str:
    """`k3s-STACK` in the letters that names in DigitalOcean may have, with a number behind it where it is taken."""
    wanted = "k3s-" + (re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-") or "stack")
    endings = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    prefixes = (wanted[: PREFIX_LENGTH - len(ending)].rstrip("-") + ending for ending in endings)
    return next(prefix for prefix in prefixes if prefix not in others.prefixes)


def free_range(others: Taken) -> IPv4Network:
    """The first /24 from 10.10.10.0 on that no other stack's range overlaps. Raises NoRoom."""
    for candidate in RANGES.subnets(new_prefix=24):
        if candidate >= FIRST_RANGE and not any(candidate.overlaps(other) for other in others.ranges):
            return candidate
    raise NoRoom(f"every /24 from {FIRST_RANGE} on is used by another stack's file")


def text(stack: str, project: str, chosen: Mapping[str, str], declared: Mapping[str, Mapping[str, Any]]) -> str:
    """A file that sets `chosen` and shows every other setting, commented out, with its default and what it is for."""
    return "\n".join([*_head(stack), *_settings(project, chosen, declared)]) + "\n"


def _head(stack: str) -> Iterator[str]:
    yield f"# The settings of the stack {stack}. What is commented out has the default that is shown."
    yield "config:"


def _settings(project: str, chosen: Mapping[str, str], declared: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for key, entry in declared.items():
        description = " ".join(str(entry.get("description", "")).split())
        yield from textwrap.wrap(description, WIDTH, initial_indent="  # ", subsequent_indent="  # ")
        if key in chosen:
            yield f"  {project}:{key}: {_scalar(chosen[key])}"
        else:
            yield f"  #{project}:{key}: {_scalar(entry.get('default', ''))}"


def _scalar(value: Any) -> str:
    """A value on one line, as Pulumi reads it."""
    return go_yaml.dump(value, flow=True).removesuffix("\n").removesuffix("\n...")
