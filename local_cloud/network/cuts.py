"""Cuts: pairs of hosts between which no packet passes, in either direction, whatever the cloud's firewalls say.

A table of its own in the backbone, so that a change of the cloud's rules leaves it alone. Connections that stand are
cut as well: their packets are lost without a word, as on a broken line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import IPv4Address

from local_cloud.commands import run
from local_cloud.network.namespaces import BACKBONE, inside

Pair = tuple[IPv4Address, IPv4Address]

_TABLE = """
add table inet cuts
add set inet cuts pairs { type ipv4_addr . ipv4_addr; }
add chain inet cuts forward { type filter hook forward priority filter - 1; policy accept; }
flush chain inet cuts forward
add rule inet cuts forward ip saddr . ip daddr @pairs drop
"""


def cut(some: Iterable[IPv4Address], others: Iterable[IPv4Address]) -> None:
    """Let nothing pass between any of `some` and any of `others`. Nothing happens where nothing passes."""
    _nft(_TABLE + _elements("add", _both_ways(some, others)))


def mend(some: Iterable[IPv4Address], others: Iterable[IPv4Address]) -> None:
    """Undo `cut`. Nothing happens where nothing is cut."""
    wanted = set(_both_ways(some, others))
    _remove([pair for pair in current() if pair in wanted])


def forget(addresses: Iterable[IPv4Address]) -> None:
    """The hosts with these addresses are gone: whoever gets an address next is not cut off."""
    gone = set(addresses)
    _remove([pair for pair in current() if gone & set(pair)])


def current() -> list[Pair]:
    """What is cut, each direction by itself."""
    listed = json.loads(run([*inside(BACKBONE), "nft", "-j", "list", "sets", "inet"]))["nftables"]
    found = [entry["set"] for entry in listed if "set" in entry and entry["set"]["table"] == "cuts"]
    elements = [element["concat"] for each in found for element in each.get("elem", [])]
    return [(IPv4Address(source), IPv4Address(target)) for source, target in elements]


def _both_ways(some: Iterable[IPv4Address], others: Iterable[IPv4Address]) -> list[Pair]:
    there = [(one, other) for one in some for other in others]
    return [*there, *((other, one) for one, other in there)]


def _remove(pairs: list[Pair]) -> None:
    if pairs:
        _nft(_elements("delete", pairs))


def _elements(verb: str, pairs: list[Pair]) -> str:
    listed = ", ".join(f"{source} . {target}" for source, target in pairs)
    return f"{verb} element inet cuts pairs {{ {listed} }}\n"


def _nft(script: str) -> None:
    run([*inside(BACKBONE), "nft", "-f", "-"], stdin=script)
