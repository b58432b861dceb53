"""What will work, but not well or not safely: settings in, warnings out. Pure; no account is needed."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

from k3s_cluster import datastore_connections
from k3s_cluster.settings import ClusterSettings, ManagedDatastoreSettings
from k3s_cluster.settings.values import PRIVATE_RANGES

#: Connections that a database takes for each GiB of memory, docs.digitalocean.com/products/databases/postgresql/
#: details/limits and .../mysql/details/limits.
CONNECTIONS_PER_GIB = {"pg": 25, "mysql": 75}
#: Of which DigitalOcean keeps some for maintenance (the same pages).
RESERVED_CONNECTIONS = 3
#: Private (RFC 1918, RFC 4193), shared (RFC 6598), of one host and of one link: nothing on the internet is there.
NOT_ON_THE_INTERNET = (
    *PRIVATE_RANGES,
    *map(ip_network, ("100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "fc00::/7", "fe80::/10", "::1/128")),
)


def warnings(settings: ClusterSettings) -> list[str]:
    """A line with figures for each thing to know before this stack is made."""
    found = []
    if isinstance(settings.datastore, ManagedDatastoreSettings):
        found += _connections(settings.datastore, settings.servers.count)
    if settings.access.open_to_everyone:
        everyone = ", ".join(str(network) for network in settings.access.admin_cidrs if network.prefixlen == 0)
        found.append(
            f"adminCidrs: {everyone} lets the whole internet reach SSH (port 22) and the Kubernetes API (port 6443); "
            "`pulumi config set --path 'adminCidrs[0]' 198.51.100.7/32`, with your own address, narrows it."
        )
    elif all(_is_private(network) for network in settings.access.admin_cidrs):
        ranges = ", ".join(str(network) for network in settings.access.admin_cidrs)
        found.append(
            f"adminCidrs: {ranges} {'is' if len(settings.access.admin_cidrs) == 1 else 'are'} private, and SSH and the "
            "API are reached at public addresses: `pulumi up` itself will not get in. Set the address that the "
            "internet sees you at."
        )
    return found


def _is_private(network: IPv4Network | IPv6Network) -> bool:
    return any(network.version == each.version and network.subnet_of(each) for each in NOT_ON_THE_INTERNET)  # type: ignore[arg-type]


def connection_limit(engine: str, size: str) -> int | None:
    """How many connections K3s may have to a database of this size; None where the size does not tell its memory."""
    memory = re.search(r"-(\d+)gb$", size)
    if memory is None or engine not in CONNECTIONS_PER_GIB:
        return None
    return CONNECTIONS_PER_GIB[engine] * int(memory[1]) - RESERVED_CONNECTIONS


def _connections(datastore: ManagedDatastoreSettings, servers: int) -> list[str]:
    limit = connection_limit(datastore.engine, datastore.size)
    needed = datastore_connections.AT_MOST + (servers - 1) * datastore_connections.OTHERWISE[datastore.engine]
    if limit is None or needed <= limit:
        return []
    whose = "its server" if servers == 1 else f"{servers} servers"
    fewer = "" if servers == 1 else " or fewer servers"
    return [
        f"datastoreSize: `{datastore.size}` takes {limit} connections, and {whose} may have {needed} while one starts "
        f"or is asked much at once; what gets none fails. Choose a larger datastoreSize{fewer}."
    ]
