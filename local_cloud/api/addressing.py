"""Which address or range something new gets. Pure: the lowest free one, and none that was given up a moment ago."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from ipaddress import IPv4Address, IPv4Network

#: An address stays unused this long after what had it was destroyed, so that nothing talks to the wrong machine.
COOLING_SECONDS = 300.0
#: Where ranges of VPCs that name none come from, /20 each as DigitalOcean's are.
GENERATED_RANGES = IPv4Network("10.104.0.0/13")
PRIVATE_RANGES = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
#: Ranges that DigitalOcean keeps for itself:
#: https://docs.digitalocean.com/products/networking/vpc/concepts/plan-your-network/
RESERVED_RANGES = (
    IPv4Network("10.229.0.0/16"),
    IPv4Network("10.244.0.0/16"),
    IPv4Network("10.245.0.0/16"),
    IPv4Network("10.246.0.0/24"),
)


class NoAddressLeft(Exception):
    """Every address of the network is in use."""


def free_address(
    network: IPv4Network, taken: Set[IPv4Address], released: Mapping[IPv4Address, float], now: float
) -> IPv4Address:
    """The lowest address of `network` that is free and cool; else the one that has been free longest.

    The first host is the gateway and never given. `released` says when (epoch seconds) addresses became free.
    """
    gateway = network.network_address + 1
    free = (address for address in network.hosts() if address != gateway and address not in taken)
    warm: list[tuple[float, IPv4Address]] = []
    for address in free:
        since = released.get(address)
        if since is None or now - since >= COOLING_SECONDS:
            return address
        warm.append((since, address))
    if not warm:
        raise NoAddressLeft(f"every address of {network} is in use")
    return min(warm)[1]


def free_range(taken: Iterable[IPv4Network]) -> IPv4Network:
    """A /20 that overlaps no range in `taken`."""
    used = tuple(taken)
    for candidate in GENERATED_RANGES.subnets(new_prefix=20):
        if not any(candidate.overlaps(other) for other in used):
            return candidate
    raise NoAddressLeft(f"every range of {GENERATED_RANGES} is in use")


def range_problem(text: str, taken: Iterable[IPv4Network]) -> str | None:
    """Why a VPC may not have the range `text`, in the API's words, or None."""
    try:
        network = IPv4Network(text)
    except ValueError:
        return "ip_range is not a valid CIDR: give a network address and a prefix, such as 10.10.10.0/24"
    if not any(network.subnet_of(private) for private in PRIVATE_RANGES):
        return "ip_range must be in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
    if not 16 <= network.prefixlen <= 28:
        return "ip_range may not be smaller than /28 nor larger than /16"
    if any(network.overlaps(reserved) for reserved in RESERVED_RANGES):
        return "ip_range overlaps with a range that is reserved for internal use"
    if any(network.overlaps(other) for other in taken):
        return "This range/size overlaps with another VPC network in your account"
    return None
