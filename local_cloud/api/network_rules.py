"""From firewalls, tags and trusted sources to what may pass to and from each host. Pure.

Droplets: the union of all firewalls that name them or one of their tags, and no limit where none does
(https://docs.digitalocean.com/products/networking/firewalls/). Databases: everyone while they have no trusted
source, else only those (https://docs.digitalocean.com/products/databases/postgresql/how-to/secure/). Load
balancers: their entry ports, from whom their own firewall lets in, deny before allow. IPv6 addresses are passed
over: the local cloud's network is IPv4 only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from local_cloud.api.records import (
    Database,
    DatabaseRule,
    Droplet,
    Firewall,
    FirewallPeers,
    FirewallRule,
    LoadBalancer,
    ReservedIp,
    Vpc,
)
from local_cloud.machine_room import HostRules, NetworkRules, Peers

EVERYONE = IPv4Network("0.0.0.0/0")


def network_rules(
    vpcs: Sequence[Vpc],
    droplets: Sequence[Droplet],
    firewalls: Sequence[Firewall],
    load_balancers: Sequence[LoadBalancer],
    databases: Sequence[Database],
    reserved_ips: Sequence[ReservedIp] = (),
) -> NetworkRules:
    """All rules of the cloud, resolved to addresses."""
    hosts = [
        *(_droplet_rules(droplet, firewalls, droplets, load_balancers) for droplet in droplets),
        *(_load_balancer_rules(balancer) for balancer in load_balancers),
        *(_database_rules(database, droplets) for database in databases),
    ]
    public = {droplet.id: IPv4Address(droplet.public_ip) for droplet in droplets}
    return NetworkRules(
        vpcs=tuple(IPv4Network(vpc.ip_range) for vpc in vpcs),
        hosts=tuple(hosts),
        reserved=tuple(
            (IPv4Address(each.id), public[each.droplet_id]) for each in reserved_ips if each.droplet_id in public
        ),
    )


def firewalls_of(droplet: Droplet, firewalls: Iterable[Firewall]) -> list[Firewall]:
    """The firewalls that name the droplet or one of its tags."""
    return [each for each in firewalls if droplet.id in each.droplet_ids or set(droplet.tags) & set(each.tags)]


def port_range(ports: str) -> tuple[int, int] | None:
    """First and last of "22", "8000-9000"; None for all ("0", "all" or nothing). ValueError if it is none of these."""
    if ports in ("", "0", "all"):
        return None
    first, _, last = ports.partition("-")
    low, high = int(first), int(last or first)
    if not 1 <= low <= high <= 65535:
        raise ValueError(f"{ports} is not a range of ports between 1 and 65535")
    return low, high


def ipv4_network(address: str) -> IPv4Network | None:
    """The network of an address or CIDR; None if it is IPv6. ValueError if it is neither."""
    if ":" in address:
        return None
    return IPv4Network(address, strict=False)


def without(networks: Iterable[IPv4Network], denied: Iterable[IPv4Network]) -> tuple[IPv4Network, ...]:
    """`networks` less everything in `denied`."""
    left = list(networks)
    for hole in denied:
        rest: list[IPv4Network] = []
        for network in left:
            if not network.overlaps(hole):
                rest.append(network)
            elif hole.subnet_of(network):
                rest.extend(network.address_exclude(hole))
        left = rest
    return tuple(collapse_addresses(left))


def _droplet_rules(
    droplet: Droplet, firewalls: Sequence[Firewall], droplets: Sequence[Droplet], balancers: Sequence[LoadBalancer]
) -> HostRules:
    mine = firewalls_of(droplet, firewalls)
    return HostRules(
        public_ip=IPv4Address(droplet.public_ip),
        private_ip=IPv4Address(droplet.private_ip),
        inbound=_resolve([rule for wall in mine for rule in wall.inbound], droplets, balancers) if mine else None,
        outbound=_resolve([rule for wall in mine for rule in wall.outbound], droplets, balancers) if mine else None,
    )


def _resolve(
    rules: Iterable[FirewallRule], droplets: Sequence[Droplet], balancers: Sequence[LoadBalancer]
) -> tuple[Peers, ...]:
    resolved = []
    for rule in rules:
        networks = _peer_networks(rule.peers, droplets, balancers)
        if networks:
            ports = None if rule.protocol == "icmp" else port_range(rule.ports)
            resolved.append(Peers(protocol=rule.protocol, ports=ports, networks=networks))
    return tuple(dict.fromkeys(resolved))


def _peer_networks(
    peers: FirewallPeers, droplets: Sequence[Droplet], balancers: Sequence[LoadBalancer]
) -> tuple[IPv4Network, ...]:
    networks = [network for address in peers.addresses if (network := ipv4_network(address)) is not None]
    for droplet in droplets:
        if droplet.id in peers.droplet_ids or set(droplet.tags) & set(peers.tags):
            networks += _addresses_of(droplet)
    for balancer in balancers:
        if balancer.id in peers.load_balancer_uids:
            networks += _addresses_of(balancer)
    return tuple(collapse_addresses(networks))


def _addresses_of(host: Droplet | LoadBalancer) -> list[IPv4Network]:
    return [IPv4Network(host.public_ip), IPv4Network(host.private_ip)]


def _load_balancer_rules(balancer: LoadBalancer) -> HostRules:
    allowed = [network for entry in balancer.allow if (network := _entry_network(entry)) is not None]
    denied = [network for entry in balancer.deny if (network := _entry_network(entry)) is not None]
    networks = without(allowed if balancer.allow else [EVERYONE], denied)
    return HostRules(
        public_ip=IPv4Address(balancer.public_ip),
        private_ip=IPv4Address(balancer.private_ip),
        inbound=tuple(
            Peers(protocol="tcp", ports=(rule.entry_port, rule.entry_port), networks=networks)
            for rule in balancer.forwarding_rules
            if networks
        ),
        outbound=None,
    )


def _entry_network(entry: str) -> IPv4Network | None:
    """The network of a load balancer's firewall entry: `ip:1.2.3.4` or `cidr:1.2.0.0/16`."""
    return ipv4_network(entry.partition(":")[2])


def _database_rules(database: Database, droplets: Sequence[Droplet]) -> HostRules:
    sources = [network for rule in database.rules for network in _trusted(rule, droplets)]
    networks = tuple(collapse_addresses(sources)) if database.rules else (EVERYONE,)
    port = (database.port, database.port)
    return HostRules(
        public_ip=IPv4Address(database.public_ip),
        private_ip=IPv4Address(database.private_ip),
        inbound=(Peers(protocol="tcp", ports=port, networks=networks),) if networks else (),
        outbound=None,
    )


def _trusted(rule: DatabaseRule, droplets: Sequence[Droplet]) -> list[IPv4Network]:
    """The addresses of a trusted source. Kubernetes clusters and apps are not of this cloud: they have none."""
    if rule.type == "ip_addr":
        network = ipv4_network(rule.value)
        return [] if network is None else [network]
    if rule.type == "droplet":
        return [each for droplet in droplets if str(droplet.id) == rule.value for each in _addresses_of(droplet)]
    if rule.type == "tag":
        return [each for droplet in droplets if rule.value in droplet.tags for each in _addresses_of(droplet)]
    return []
