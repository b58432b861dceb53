"""What Pulumi remembers of a stack, as far as its status needs it: pure reading of `pulumi stack export`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from k3s_cluster.stack_export import outputs_of

_DIGITALOCEAN = "digitalocean:index/"


@dataclass(frozen=True)
class KnownNode:
    """A droplet, and what a node on it was told. `host_key` is None where it was told nothing yet."""

    name: str
    role: str
    droplet_id: str
    address: str
    host_key: str | None


@dataclass(frozen=True)
class StackState:
    """`kubeconfig` and `private_key` are secrets. What is None is not there, or not yet."""

    nodes: tuple[KnownNode, ...]
    kubeconfig: str | None
    private_key: str | None
    load_balancer: tuple[str, str] | None
    database: tuple[str, str, int] | None
    datastore_engine: str


def read(export: Mapping[str, Any]) -> StackState:
    """`export` is the JSON of `pulumi stack export --show-secrets`. Ids with addresses: load balancer (id, address),
    database (id, private host, port)."""
    of = partial(outputs_of, export)
    told = {str(node["droplet_id"]): node for node in of(":dynamic/over_ssh:Node")}
    nodes = tuple(
        KnownNode(
            name=str(droplet["name"]),
            role="server" if any(str(tag).endswith("_server") for tag in droplet.get("tags") or []) else "agent",
            droplet_id=str(droplet["id"]),
            address=str(droplet.get("ipv4Address", "")),
            host_key=told[droplet["id"]]["host_key"] if droplet["id"] in told else None,
        )
        for droplet in of(f"{_DIGITALOCEAN}droplet:Droplet")
    )
    kubeconfigs = of(":dynamic/over_ssh:Kubeconfig")
    keys = [node["private_key"] for node in told.values()]
    balancers = of(f"{_DIGITALOCEAN}loadBalancer:LoadBalancer")
    databases = of(f"{_DIGITALOCEAN}databaseCluster:DatabaseCluster")
    invariants = of(":dynamic/cluster:Invariants")
    return StackState(
        nodes=tuple(sorted(nodes, key=lambda node: (node.role == "agent", node.name))),
        kubeconfig=kubeconfigs[0]["kubeconfig"] if kubeconfigs else None,
        private_key=keys[0] if keys else None,
        load_balancer=(balancers[0]["id"], str(balancers[0].get("ip", ""))) if balancers else None,
        database=(databases[0]["id"], databases[0]["privateHost"], int(databases[0]["port"])) if databases else None,
        datastore_engine=str(invariants[0]["datastore_engine"]) if invariants else "unknown",
    )
