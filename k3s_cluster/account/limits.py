"""What will work, but not well or not safely: settings in, warnings out. Pure; no account is needed."""

from __future__ import annotations

import re

from k3s_cluster.settings import ClusterSettings, ManagedDatastoreSettings

#: Connections that a database takes for each GiB of memory, docs.digitalocean.com/products/databases/postgresql/
#: details/limits and .../mysql/details/limits.
CONNECTIONS_PER_GIB = {"pg": 25, "mysql": 75}
#: Of which DigitalOcean keeps some for maintenance (the same pages).
RESERVED_CONNECTIONS = 3
#: What one server's kine opens when its API server is asked much at once. Its pool keeps 2 idle and has no upper bound
#: (github.com/k3s-io/kine, pkg/drivers/generic), and K3s has no setting for one (github.com/k3s-io/k3s/issues/9596).
#: Measured on the local cloud with kine 0.13.5, two servers and 40 clients that write and list: 12 on one server and
#: 20 together, when the 22 of a database with 1 GiB were used up. At rest it is 4 on each.
CONNECTIONS_PER_SERVER = 12


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
    return found


def connection_limit(engine: str, size: str) -> int | None:
    """How many connections K3s may have to a database of this size; None where the size does not tell its memory."""
    memory = re.search(r"-(\d+)gb$", size)
    if memory is None or engine not in CONNECTIONS_PER_GIB:
        return None
    return CONNECTIONS_PER_GIB[engine] * int(memory[1]) - RESERVED_CONNECTIONS


def _connections(datastore: ManagedDatastoreSettings, servers: int) -> list[str]:
    limit, needed = connection_limit(datastore.engine, datastore.size), servers * CONNECTIONS_PER_SERVER
    if limit is None or needed <= limit:
        return []
    return [
        f"datastoreSize: `{datastore.size}` takes {limit} connections, and {servers} servers may open {needed} "
        f"({CONNECTIONS_PER_SERVER} each) when much is asked of them at once; what gets none fails. "
        "Choose a larger datastoreSize or fewer servers."
    ]
