"""The K3s config.yaml of each node: pure, so that the same settings always give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from k3s_cluster import go_yaml, hardening
from k3s_cluster.settings import ClusterSettings, EmbeddedEtcdSettings, ExternalDatastoreSettings
from k3s_cluster.settings.component_arguments import as_list, together

Role = Literal["server", "agent"]

#: Where K3s looks for its configuration (docs.k3s.io/installation/configuration).
CONFIG_PATH = "/etc/rancher/k3s/config.yaml"
#: What K3s writes on a server: docs.k3s.io/cluster-access.
KUBECONFIG_PATH = "/etc/rancher/k3s/k3s.yaml"
DATASTORE_CA_PATH = "/etc/rancher/k3s/datastore-ca.pem"
API_PORT = 6443
#: Where the load balancer asks whether a server's API is ready: over_ssh/on_servers/api-traffic.sh leads it to the
#: API's own. Free on a node (docs.k3s.io/installation/requirements, and below Kubernetes' node ports).
HEALTH_CHECK_PORT = 6440
#: What K3s's own packaged components tolerate, so that only workloads stay away.
SERVER_TAINT = "node-role.kubernetes.io/control-plane:NoSchedule"
#: DigitalOcean's droplets have their public address on eth0 and their VPC address on eth1.
VPC_INTERFACE = "eth1"


@dataclass(frozen=True)
class NodeAddresses:
    """A node's name and its two IPv4 addresses."""

    name: str
    public: str
    private: str


@dataclass(frozen=True)
class NodeMarks:
    """Labels, and taints as kubectl writes them, that a node bears because of its role or pool."""

    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[str, ...] = ()


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
    """config.yaml of a server. `datastore_endpoint` is None for SQLite and etcd. The text holds secrets.

    Every value but those named after the node is equal on all servers, as docs.k3s.io/cli/server asks
    ("Critical Configuration Values").
    """
    config: dict[str, object] = {
        "token": tokens.server,
        "agent-token": tokens.agent,
        "tls-san": sorted({api_address, settings.api_name, *([settings.api_domain] if settings.api_domain else [])}),
        # Else K3s advertises node-external-ip (github.com/k3s-io/k3s, pkg/cli/server/server.go), where only
        # administrators come in: every agent waits for a tunnel to each advertised server before its kubelet starts.
        "advertise-address": node.private,
        **_node_config(node, server_marks(settings)),
    }
    config = _with(config, server_rules(settings))
    if datastore_endpoint is not None:
        config["datastore-endpoint"] = datastore_endpoint
        if not (isinstance(settings.datastore, ExternalDatastoreSettings) and settings.datastore.ca is None):
            config["datastore-cafile"] = DATASTORE_CA_PATH
    if isinstance(settings.datastore, EmbeddedEtcdSettings):
        config |= _etcd_config(settings.datastore)
    return _dump(config)


def _etcd_config(etcd: EmbeddedEtcdSettings) -> dict[str, object]:
    """Snapshots (docs.k3s.io/cli/etcd-snapshot). Whether a server begins or joins is no part of the plan: it depends on
    who has data, and is found out over SSH (over_ssh/embedded_etcd.py)."""
    config: dict[str, object] = {
        "etcd-snapshot-schedule-cron": etcd.snapshot_schedule,
        "etcd-snapshot-retention": etcd.snapshot_retention,
    }
    if etcd.s3 is not None:
        config |= {
            "etcd-s3": True,
            "etcd-s3-endpoint": etcd.s3.endpoint,
            "etcd-s3-bucket": etcd.s3.bucket,
            "etcd-s3-region": etcd.s3.region,
            "etcd-s3-retention": etcd.s3.retention or etcd.snapshot_retention,
            "etcd-s3-access-key": etcd.s3.access_key,
            "etcd-s3-secret-key": etcd.s3.secret_key,
            **({"etcd-s3-folder": etcd.s3.folder} if etcd.s3.folder else {}),
        }
    return config


def server_rules(settings: ClusterSettings) -> dict[str, object]:
    """What every server is told besides tokens, addresses and names."""
    always = {"secrets-encryption": True, "write-kubeconfig-mode": "0600", "disable": list(settings.disable)}
    return _with(always, hardening.k3s_config(settings, "server"), settings.server_config)


def server_marks(settings: ClusterSettings) -> NodeMarks:
    """What servers bear: a taint, if workloads are to stay off them."""
    return NodeMarks(taints=(SERVER_TAINT,) if settings.server_taint else ())


def agent_config(settings: ClusterSettings, node: NodeAddresses, tokens: Tokens, marks: NodeMarks) -> str:
    """config.yaml of an agent, which joins through a name that /etc/hosts gives every server's address for."""
    config: dict[str, object] = {
        "server": f"https://{settings.api_name}:{API_PORT}",
        "token": tokens.agent,
        **_node_config(node, marks),
    }
    return _dump(_with(config, hardening.k3s_config(settings, "agent"), settings.agent_config))


def _node_config(node: NodeAddresses, marks: NodeMarks) -> dict[str, object]:
    return {
        "node-label": [f"{name}={value}" for name, value in marks.labels if not is_kubernetes_label(name)],
        "node-taint": list(marks.taints),
        "node-name": node.name,
        "node-ip": node.private,
        "node-external-ip": node.public,
        "flannel-iface": VPC_INTERFACE,
    }


def is_kubernetes_label(name: str) -> bool:
    """Whether a label is in Kubernetes' own namespaces: most of these the kubelet refuses, and K3s starts for ever.

    k8s.io/kubernetes, cmd/kubelet/app/options/options.go, ValidateKubeletFlags and isKubernetesLabel. Such labels are
    set with kubectl once the node is there.
    """
    namespace, slash, _ = name.rpartition("/")
    return bool(slash) and f".{namespace}".endswith((".kubernetes.io", ".k8s.io"))


def _with(config: dict[str, object], *more: Mapping[str, object]) -> dict[str, object]:
    """`config` with `more` over it; lists grow, and a text that is beside a list is a list of one, as K3s has it."""
    merged = dict(config)
    for part in more:
        for key, value in part.items():
            before = merged.get(key)
            merged[key] = together(before, as_list(value)) if isinstance(before, list) else value
    return merged


def read_config(text: str | None) -> dict[str, Any] | None:
    """What a node's config.yaml holds; None if there is none, or it is no map."""
    try:
        config = yaml.safe_load(text or "")
    except (yaml.YAMLError, ValueError):
        return None
    return config if isinstance(config, dict) else None


def _dump(config: dict[str, object]) -> str:
    return go_yaml.dump({key: value for key, value in config.items() if value != []}, sort_keys=True)
