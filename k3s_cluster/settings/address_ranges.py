"""The address ranges inside a cluster: for pods and for Services. They overlap neither each other nor the VPC."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network

from k3s_cluster import k3s_version
from k3s_cluster.immutable_settings import DEFAULTS, DNS_ADDRESS
from k3s_cluster.settings.k3s_flags import SETTINGS

SETTING = SETTINGS["server"]
#: kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager ("--node-cidr-mask-size").
NODE_PREFIX = 24
NODE_PREFIX_FLAG = "node-cidr-mask-size"
#: github.com/kubernetes/kubernetes, pkg/controlplane/instance.go ("must be at least 8 IP addresses"); and K3s takes the
#: tenth for DNS, unless it is told another one (github.com/k3s-io/k3s, pkg/cli/server/server.go).
SERVICES_LEAST, SERVICES_LEAST_WITH_DNS = 29, 28
#: cmd/kube-apiserver/app/options/validation.go: 20 bits, until v1.34 turned off the old allocator of addresses.
SERVICES_MOST, SERVICES_MOST_BEFORE = 12, 34
_USED_BY = {"cluster-cidr": "pods", "service-cidr": "Services"}


def ranges(config: Mapping[str, object]) -> dict[str, IPv4Network]:
    """`cluster-cidr` and `service-cidr` of a cluster with these K3s settings. ValueError if one cannot be read."""
    return {key: _network(_one(config.get(key, DEFAULTS[key]))) for key in _USED_BY}


def overlaps(config: Mapping[str, object], network: IPv4Network, whose: str) -> list[str]:
    """A line for each range of the cluster that overlaps `network`; `whose` says which setting that is."""
    try:
        found = ranges(config)
    except ValueError:
        return []
    return [
        f"{SETTING}: `{key}: {inside}` overlaps `{network}` of {whose}; choose ranges that do not overlap."
        if key in config
        else f"{whose}: `{network}` overlaps {inside}, which K3s gives to {_USED_BY[key]}; choose another range, or "
        f"another `{key}` in {SETTING} before the cluster is made."
        for key, inside in found.items()
        if inside.overlaps(network)
    ]


def problems(config: Mapping[str, object], nodes: int, version: str) -> list[str]:
    """What is wrong with the ranges in `config`, a line each, in a cluster of so many nodes with this K3s."""
    found = []
    for key in (*_USED_BY, "cluster-dns"):
        if key in config and (wrong := _unreadable(key, config[key])):
            found.append(f"{SETTING}: `{key}` {wrong}.")
    if found:
        return found
    inside = ranges(config)
    pods, services = inside["cluster-cidr"], inside["service-cidr"]
    if pods.overlaps(services):
        found.append(f"{SETTING}: `cluster-cidr` is {pods} and `service-cidr` is {services}; they must not overlap.")
    minor, *_ = k3s_version.parse(version) or (0,)
    largest = SERVICES_MOST if minor < SERVICES_MOST_BEFORE else 0
    smallest = SERVICES_LEAST if "cluster-dns" in config else SERVICES_LEAST_WITH_DNS
    if not largest <= services.prefixlen <= smallest:
        sizes = f"between /{largest} and /{smallest}" if largest else f"/{smallest} or larger"
        found.append(f"{SETTING}: `service-cidr: {services}` must be {sizes}.")
    elif "cluster-dns" in config:
        found += _dns(IPv4Address(_one(config["cluster-dns"])), services)
    if NODE_PREFIX_FLAG not in str(config.get("kube-controller-manager-arg", "")):
        places = 2 ** (NODE_PREFIX - pods.prefixlen) if pods.prefixlen <= NODE_PREFIX else 0
        if places < nodes:
            found.append(
                f"{SETTING}: `cluster-cidr: {pods}` is enough for {places} nodes, of which each takes a "
                f"/{NODE_PREFIX}, and this stack has {nodes}; choose a larger range, or fewer nodes."
            )
    return found


def _dns(address: IPv4Address, services: IPv4Network) -> list[str]:
    taken = {services.network_address, services[1], services.broadcast_address}
    if address in services and address not in taken:
        return []
    # kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation; the first is that of `kubernetes`.
    example = services[min(DNS_ADDRESS, services.num_addresses - 2)]
    return [
        f"{SETTING}: `cluster-dns: {address}` must be a free address of `service-cidr`, which is {services}, such as "
        f"`{example}`."
    ]


def _unreadable(key: str, value: object) -> str | None:
    """What a value must be, where it is not that."""
    try:
        text = _one(value)
        if key == "cluster-dns":
            IPv4Address(text)
        else:
            _network(text)
    except ValueError as error:
        what = "address, such as `10.43.0.10`" if key == "cluster-dns" else f"range, such as `{DEFAULTS[key]}`"
        return f"must be one IPv4 {what} ({error})"
    return None


def _network(text: str) -> IPv4Network:
    """As Go reads it (pkg.go.dev/net, ParseCIDR): with a length, and without the bits behind it. Raises ValueError."""
    if not re.fullmatch(r"[0-9.]+/[0-9]{1,2}", text):
        raise ValueError("with its length behind a slash")
    return IPv4Network(text, strict=False)


def _one(value: object) -> str:
    """The only text in a value, which K3s takes as a list, too. ValueError if there are more, or one is IPv6."""
    texts = [part.strip() for text in (value if isinstance(value, list) else [value]) for part in str(text).split(",")]
    # docs.k3s.io/networking/basic-network-options: for IPv6 each node needs an address of it as well.
    if len(texts) != 1 or ":" in texts[0]:
        raise ValueError("nodes have IPv4 addresses only")
    return texts[0]
