"""The rules for `firewallRules`: what else may come in to servers or agents, besides what the cluster needs itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from k3s_cluster.settings.model import FirewallNodes, FirewallProtocol, InboundRule
from k3s_cluster.settings.values import Refused, admin_range, either, entries_of, require_known

Choice = TypeVar("Choice", bound=str)

_PROTOCOLS: tuple[FirewallProtocol, ...] = ("tcp", "udp")
_NODES: tuple[FirewallNodes, ...] = ("all", "servers", "agents")
_KEYS = ("ports", "sources", "protocol", "nodes")
#: docs.digitalocean.com/products/networking/firewalls/details/limits: 50 rules for each firewall, of which the stack's
#: own take up to 12, and 1,000 sources for each rule.
RULES_MOST, SOURCES_MOST = 36, 1000
#: What has a setting of its own, or is between nodes: by protocol, first and last port, and what to do instead.
_TAKEN: Sequence[tuple[FirewallProtocol, int, int, str]] = (
    ("tcp", 22, 22, "adminCidrs says who reaches SSH"),
    ("tcp", 6443, 6443, "adminCidrs says who reaches the API"),
    ("tcp", 6440, 6440, "the load balancer's health checks alone go there"),
    ("tcp", 2379, 2380, "etcd's members alone reach each other there"),
    ("tcp", 10250, 10250, "the kubelet is for the cluster's own nodes"),
    ("udp", 8472, 8472, "Flannel's packets, which nobody signs, are for the cluster's own nodes"),
    ("udp", 51820, 51821, "Flannel's packets are for the cluster's own nodes"),
)


def firewall_rules(raw: str) -> tuple[InboundRule, ...]:
    entries = entries_of(raw, "a list of rules, each with ports and sources")
    if len(entries) > RULES_MOST:
        raise Refused(f"has {len(entries)} rules, and there is room for {RULES_MOST}")
    rules = tuple(_rule(entry, f"in rule {index + 1}") for index, entry in enumerate(entries))
    if problem := next(_doubles(rules), None):
        raise Refused(problem)
    return rules


def _rule(entry: Mapping[str, object], where: str) -> InboundRule:
    require_known(entry, _KEYS, where)
    protocol, nodes = _one_of(entry, "protocol", _PROTOCOLS, where), _one_of(entry, "nodes", _NODES, where)
    ports = _ports(entry.get("ports"), where)
    for taken, first, last, instead in _TAKEN:
        if taken == protocol and ports[0] <= last and first <= ports[1]:
            raise Refused(f"opens {protocol} port {first} {where}, and {instead}")
    sources = entry.get("sources")
    if not isinstance(sources, list) or not sources or not all(isinstance(source, str) for source in sources):
        raise Refused(f"has no list of sources {where}, such as `198.51.100.0/24`, or `0.0.0.0/0` for everybody")
    if len(sources) > SOURCES_MOST:
        raise Refused(f"has {len(sources)} sources {where}, and a rule takes {SOURCES_MOST}; give larger networks")
    return InboundRule(nodes, protocol, ports, tuple(dict.fromkeys(admin_range(source) for source in sources)))


def _one_of(entry: Mapping[str, object], key: str, allowed: tuple[Choice, ...], where: str) -> Choice:
    """The entry's choice; the first of those `allowed` where it has none."""
    given = entry.get(key, allowed[0])
    for choice in allowed:
        if choice == given:
            return choice
    raise Refused(f"has `{given}` for {key} {where}, which must be {either(allowed)}")


def _ports(given: object, where: str) -> tuple[int, int]:
    # `pulumi config set --path` makes a number of digits.
    text = str(given) if isinstance(given, (str, int)) and not isinstance(given, bool) else ""
    found = re.fullmatch(r"([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?", text)
    if found:
        first, last = int(found[1]), int(found[2] or found[1])
        if first <= last <= 65535:
            return first, last
    shown = "no ports" if given is None else f"`{given}` for ports"
    raise Refused(f"has {shown} {where}, which must be a port or a range such as `30000-32767`, up to 65535")


def _doubles(rules: Sequence[InboundRule]) -> Iterator[str]:
    """DigitalOcean's API takes no two rules of one protocol and range in a firewall."""
    for number, rule in enumerate(rules):
        for other in rules[:number]:
            same = (rule.protocol, rule.ports) == (other.protocol, other.ports)
            if same and (rule.nodes == other.nodes or "all" in (rule.nodes, other.nodes)):
                yield f"has two rules for {rule.protocol} {rule.port_range}; give all their sources to one"
