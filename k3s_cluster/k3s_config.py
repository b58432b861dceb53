"""The K3s config.yaml of each node: pure, so that the same settings always give the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import yaml

from k3s_cluster.settings import ClusterSettings

Role = Literal["server", "agent"]

#: Where K3s looks for its configuration (docs.k3s.io/installation/configuration).
CONFIG_PATH = "/etc/rancher/k3s/config.yaml"
DATASTORE_CA_PATH = "/etc/rancher/k3s/datastore-ca.pem"
API_PORT = 6443
#: DigitalOcean's droplets have their public address on eth0 and their VPC address on eth1.
VPC_INTERFACE = "eth1"


@dataclass(frozen=True)
class NodeAddresses:
    """A node's name and its two IPv4 addresses."""

    name: str
    public: str
    private: str


@dataclass(frozen=True)
class Tokens:
    """What servers and agents prove themselves with (docs.k3s.io/cli/token)."""

    server: str
    agent: str


def server_config(
    settings: ClusterSettings,
    node: NodeAddresses,
    tokens: Tokens,
    api_address: str,
    datastore_endpoint: str | None,
) -> str:
    """config.yaml of a server. `datastore_endpoint` is None for SQLite. The text holds secrets.

    Every value but those named after the node is equal on all servers, as docs.k3s.io/cli/server asks
    ("Critical Configuration Values").
    """
    config: dict[str, object] = {
        "token": tokens.server,
        "agent-token": tokens.agent,
        "tls-san": sorted({api_address, settings.api_name}),
        "secrets-encryption": True,
        "write-kubeconfig-mode": "0600",
        "disable": list(settings.disable),
        **_node_config(node),
    }
    if datastore_endpoint is not None:
        config |= {"datastore-endpoint": datastore_endpoint, "datastore-cafile": DATASTORE_CA_PATH}
    return _dump(config)


def agent_config(settings: ClusterSettings, node: NodeAddresses, tokens: Tokens) -> str:
    """config.yaml of an agent, which joins through a name that /etc/hosts gives every server's address for."""
    return _dump(
        {
            "server": f"https://{settings.api_name}:{API_PORT}",
            "token": tokens.agent,
            **_node_config(node),
        }
    )


def _node_config(node: NodeAddresses) -> dict[str, object]:
    return {
        "node-name": node.name,
        "node-ip": node.private,
        "node-external-ip": node.public,
        "flannel-iface": VPC_INTERFACE,
    }


def _dump(config: dict[str, object]) -> str:
    return yaml.safe_dump({key: value for key, value in config.items() if value != []}, sort_keys=True, width=1000)
