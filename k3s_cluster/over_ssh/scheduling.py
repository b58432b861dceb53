"""What the cluster is asked to do with a node: cordon, drain, uncordon, mark, remove."""

from __future__ import annotations

import json
from typing import Any

from k3s_cluster.k3s_config import API_PORT
from k3s_cluster.over_ssh.connection import Connection, NodeError
from k3s_cluster.over_ssh.k3s_service import kubectl

#: Says that it was this stack that cordoned the node: what a person cordoned stays cordoned.
CORDONED = "k3s-digitalocean/cordoned"
#: Says which droplet bears the node's name now: a node that was rebuilt must not be removed with its old droplet.
DROPLET = "k3s-digitalocean/droplet"
#: kubectl's own time on top of what the drain may take, in seconds.
MARGIN_SECONDS = 30


def get_node(server: Connection, name: str) -> dict[str, Any] | None:
    """The node object; None where the cluster has none of that name."""
    found = kubectl(server, "get", "node", name, "--ignore-not-found", "--output", "json")
    node: dict[str, Any] | None = json.loads(found) if found.strip() else None
    return node


def cordon(server: Connection, name: str) -> None:
    """Let no new pod come to the node, and note that it was us, if it was."""
    node = get_node(server, name)
    if node is None or node["spec"].get("unschedulable"):
        return
    kubectl(server, "annotate", "node", name, f"{CORDONED}=true", "--overwrite")
    kubectl(server, "cordon", name)


def drain(server: Connection, name: str, timeout: int) -> None:
    """Move the node's pods, within PodDisruptionBudgets. NodeError if that takes over `timeout` seconds."""
    kubectl(
        *(server, "drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={timeout}s"),
        timeout=timeout + MARGIN_SECONDS,
    )


def uncordon(server: Connection, name: str) -> None:
    """Take back our own cordon, if there is one."""
    node = get_node(server, name)
    if node is not None and CORDONED in node["metadata"].get("annotations", {}):
        kubectl(server, "uncordon", name)
        kubectl(server, "annotate", "node", name, f"{CORDONED}-")


def remove(server: Connection, name: str, through: list[str] | None = None) -> None:
    """Take the node out of the cluster. `through` are other servers' addresses, for a server that is itself stopped.

    NodeError if none of them does it; nothing is to be done where there is none.
    """
    if through is None:
        kubectl(server, "delete", "node", name, "--ignore-not-found")
        return
    problems = []
    for address in through:
        try:
            kubectl(server, f"--server=https://{address}:{API_PORT}", "delete", "node", name, "--ignore-not-found")
            return
        except NodeError as error:
            problems.append(str(error))
    if problems:
        raise NodeError("; ".join(problems))


def other_servers(server: Connection, name: str) -> list[str]:
    """Addresses inside the VPC of the Ready servers other than `name`."""
    selector = "--selector=node-role.kubernetes.io/control-plane=true"
    nodes = json.loads(kubectl(server, "get", "nodes", selector, "--output", "json"))["items"]
    return [
        address["address"]
        for node in nodes
        if node["metadata"]["name"] != name and is_ready(node)
        for address in node["status"].get("addresses", [])
        if address["type"] == "InternalIP"
    ]


def others_can_take_pods(server: Connection, name: str) -> bool:
    """True if some other node is Ready and takes new pods."""
    nodes = json.loads(kubectl(server, "get", "nodes", "--output", "json"))["items"]
    return any(_takes_pods(node) for node in nodes if node["metadata"]["name"] != name)


def _takes_pods(node: dict[str, Any]) -> bool:
    return is_ready(node) and not node["spec"].get("unschedulable")


def is_ready(node: dict[str, Any]) -> bool:
    """True if the node object says Ready."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))


def belongs_to(server: Connection, name: str, droplet_id: str) -> bool:
    """True if the node is there and is that of the droplet `droplet_id`, as far as was noted."""
    node = get_node(server, name)
    return node is not None and node["metadata"].get("annotations", {}).get(DROPLET, droplet_id) == droplet_id


def mark(
    server: Connection,
    name: str,
    droplet_id: str,
    labels: dict[str, str],
    taints: list[str],
    before: tuple[dict[str, str], list[str]],
) -> None:
    """Bring labels and taints to what is given; what was there `before` and no longer is goes. Others stay.

    K3s itself sets them when a node registers, and never again (docs.k3s.io/cli/agent, "Node Labels and Taints").
    """
    kubectl(server, "annotate", "node", name, f"{DROPLET}={droplet_id}", "--overwrite")
    old_labels, old_taints = before
    gone = [f"{key}-" for key in old_labels if key not in labels]
    if labels or gone:
        kubectl(server, "label", "node", name, *(f"{k}={v}" for k, v in labels.items()), *gone, "--overwrite")
    node = get_node(server, name)
    has = {written(taint) for taint in (node or {}).get("spec", {}).get("taints", [])}
    wanted = {_plain(taint) for taint in taints}
    stale = sorted(has & {_plain(taint) for taint in old_taints} - wanted)
    for taint in stale:
        kubectl(server, "taint", "node", name, f"{taint}-")
    if missing := sorted(wanted - has):
        kubectl(server, "taint", "node", name, *missing, "--overwrite")


def written(taint: dict[str, Any]) -> str:
    """A taint of a node object, as kubectl writes it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _plain(taint: str) -> str:
    return taint.replace("=:", ":")


def drain_or_go_on(server: Connection, name: str, timeout: int) -> str | None:
    """Drain a node that goes; what stood in the way after `timeout` seconds, or None if nothing did."""
    cordon(server, name)
    try:
        drain(server, name, timeout)
    except NodeError as error:
        return str(error)
    return None
