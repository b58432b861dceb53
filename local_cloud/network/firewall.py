"""All rules of the cloud as one nftables table in the backbone, made by a pure function and replaced in one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from local_cloud import addresses
from local_cloud.commands import run
from local_cloud.machine_room import HostRules, NetworkRules, Peers
from local_cloud.network.namespaces import BACKBONE, PRIVATE_PREFIX, PRIVATE_RANGES, inside

EVERYWHERE = IPv4Network("0.0.0.0/0")


def ruleset(rules: NetworkRules) -> str:
    """The nft script for `rules`. It replaces the table that may be there; connections that stand keep standing."""
    return "\n".join(_script(rules)) + "\n"


def apply(rules: NetworkRules) -> None:
    """Make `rules` the backbone's rules. MachineRoomError when nft refuses them; the old ones stay then."""
    run([*inside(BACKBONE), "nft", "-f", "-"], stdin=ruleset(rules))


def ensure() -> None:
    """Close everything when no rules are there yet: a new backbone passes nothing before it is told what."""
    if "table inet cloud" not in run([*inside(BACKBONE), "nft", "list", "tables"]).splitlines():
        apply(NetworkRules())


def _script(rules: NetworkRules) -> Iterator[str]:
    hosts = sorted(rules.hosts, key=lambda host: host.public_ip)
    # Adding first makes the deletion valid when there is no table yet: nft(8), "add" of what exists is no error.
    yield "add table inet cloud"
    yield "delete table inet cloud"
    yield "table inet cloud {"
    for host in hosts:
        if host.outbound is not None:
            yield from _chain(_name("out", host), (_match(peers, "daddr", "return") for peers in host.outbound), "drop")
        if host.inbound is None:
            yield from _chain(_name("in", host), (), "accept")
        else:
            yield from _chain(_name("in", host), (_match(peers, "saddr", "accept") for peers in host.inbound), "drop")
    yield from _map("outbound", ((host, "out") for host in hosts if host.outbound is not None))
    yield from _map("inbound", ((host, "in") for host in hosts))
    yield from _reserved(rules.reserved)
    yield from _chain("vpcs", _vpc_isolation(rules.vpcs), None)
    yield "  chain forward {"
    yield "    type filter hook forward priority filter; policy drop;"
    yield "    ct state established,related accept"
    yield "    ct state invalid drop"
    yield "    jump vpcs"
    yield "    ip saddr vmap @outbound"
    yield "    ip daddr vmap @inbound"
    yield "  }"
    yield "  chain input {"
    yield "    type filter hook input priority filter; policy drop;"
    yield '    iifname "lo" accept'
    yield "    ct state established,related accept"
    # The metadata service is the hypervisor's own: no cloud firewall stands before it.
    yield f"    ip daddr {addresses.METADATA} ip saddr {addresses.PUBLIC} tcp dport 80 accept"
    yield f"    ip daddr {addresses.METADATA} drop"
    yield "    ip saddr vmap @outbound"
    yield f"    ip daddr {addresses.API} tcp dport {addresses.API_PORT} accept"
    yield f"    ip daddr {{ {addresses.K3S_DOWNLOADS}, {addresses.SPACES} }} tcp dport 443 accept"
    resolvers = ", ".join(str(resolver) for resolver in addresses.RESOLVERS)
    yield f"    ip daddr {{ {resolvers} }} udp dport 53 accept"
    yield f"    ip daddr {{ {resolvers} }} tcp dport 53 accept"
    yield "    icmp type echo-request accept"
    # A closed port of the cloud's own hosts says so: nobody should wait for a time-out to learn it.
    yield "    reject with icmpx type port-unreachable"
    yield "  }"
    yield "}"


def _reserved(reserved: Iterable[tuple[IPv4Address, IPv4Address]]) -> Iterator[str]:
    """What comes to a reserved address goes to its droplet, whose own firewalls then say what may pass."""
    yield "  chain prerouting {"
    yield "    type nat hook prerouting priority dstnat;"
    pairs = sorted(reserved)
    for address, droplet in pairs:
        yield f"    ip daddr {address} dnat ip to {droplet}"
    yield "  }"
    yield "  chain postrouting {"
    yield "    type nat hook postrouting priority srcnat;"
    for address, droplet in pairs:
        # A droplet that asks for its own reserved address would take an answer from itself for a forgery.
        yield f"    ip saddr {droplet} ip daddr {droplet} snat ip to {address}"
    yield "  }"


def _vpc_isolation(vpcs: Iterable[IPv4Network]) -> Iterator[str]:
    """Private addresses talk inside their VPC only. Strict reverse-path filtering has vouched for the source."""
    wires = f'iifname "{PRIVATE_PREFIX}*"'
    for vpc in sorted(vpcs):
        yield f'{wires} oifname "{PRIVATE_PREFIX}*" ip saddr {vpc} ip daddr {vpc} return'
    yield f"{wires} drop"
    yield f"ip daddr {{ {', '.join(str(network) for network in PRIVATE_RANGES)} }} drop"


def _match(peers: Peers, side: str, verdict: str) -> str | None:
    """One rule of a firewall, or None for a rule that names nobody (a tag that no droplet has)."""
    if not peers.networks:
        return None
    networks = list(collapse_addresses(peers.networks))
    where = "" if EVERYWHERE in networks else f"ip {side} {{ {', '.join(str(network) for network in networks)} }} "
    what = f"ip protocol {peers.protocol}"
    if peers.ports is not None and peers.protocol != "icmp":
        first, last = peers.ports
        what = f"{peers.protocol} dport {first}" if first == last else f"{peers.protocol} dport {first}-{last}"
    return f"{where}{what} {verdict}"


def _name(direction: str, host: HostRules) -> str:
    return f"{direction}_{int(host.public_ip):08x}"


def _chain(name: str, rules: Iterable[str | None], last: str | None) -> Iterator[str]:
    yield f"  chain {name} {{"
    for rule in (*rules, last):
        if rule is not None:
            yield f"    {rule}"
    yield "  }"


def _map(name: str, entries: Iterable[tuple[HostRules, str]]) -> Iterator[str]:
    elements = [
        f"{address} : jump {_name(direction, host)}"
        for host, direction in entries
        for address in (host.public_ip, host.private_ip)
    ]
    yield f"  map {name} {{"
    yield "    type ipv4_addr : verdict"
    if elements:
        yield f"    elements = {{ {', '.join(elements)} }}"
    yield "  }"
