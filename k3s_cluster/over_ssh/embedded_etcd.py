"""A server's part in the etcd inside the servers: who begins, who joins whom, and who may stop without loss of quorum.

What K3s is told of it (docs.k3s.io/datastore/ha-embedded) depends on which servers have data, which no plan knows: a
rebuilt first server must join the others, and never begin anew. So it is found out when a server is brought up, and
written into a file of its own beside the planned configuration.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from k3s_cluster.k3s_config import API_PORT
from k3s_cluster.over_ssh.connection import Connection, NodeError
from k3s_cluster.over_ssh.k3s_service import kubectl
from k3s_cluster.over_ssh.progress import Progress
from k3s_cluster.over_ssh.scheduling import is_ready

#: docs.k3s.io/installation/configuration ("Multiple Config Files").
MEMBERSHIP_PATH = "/etc/rancher/k3s/config.yaml.d/etcd.yaml"
BEGINS = "cluster-init: true\n"
#: Where data is, K3s goes on with it, whatever it is told.
DATA_PATH = "/var/lib/rancher/k3s/server/db/etcd/member/wal"
#: etcd's own health, which every server tells on loopback: true if this member takes part in a quorum.
HEALTH_URL = "http://127.0.0.1:2381/health"
MEMBERS_SELECTOR = "--selector=node-role.kubernetes.io/etcd=true"
QUORUM_DEADLINE_SECONDS = 120
POLL_SECONDS = 1

#: Private keys of clusters that the state knows members of: this run's memory, as in roll.py.
_begun: set[str] = set()


def note_begun(cluster: str) -> None:
    """From now on nobody may begin this cluster: it has begun, and its state is, or was, on its servers."""
    _begun.add(cluster)


def has_begun(cluster: str) -> bool:
    """True if the state knows a member of the cluster, so that one that begins would be a second one, and empty."""
    return cluster in _begun


def joins(api_name: str) -> str:
    """What a server is told that joins the others. The name stands for all of them but itself."""
    return f"server: https://{api_name}:{API_PORT}\n"


def has_data(server: Connection) -> bool:
    """True if the server is, or was, a member."""
    return server.attempt("test", "-d", DATA_PATH)[0] == 0


def membership(own_data: bool, peers_data: Sequence[bool | None], api_name: str) -> str | None:
    """What to tell a server. `peers_data` says who else has data, None for a server that does not answer.

    None if that cannot be told: where nobody is known to have data, each silent server may have it.
    """
    if True in peers_data or (own_data and peers_data):
        return joins(api_name)
    if own_data or None not in peers_data:
        return BEGINS
    return None


def keeps_quorum(members: int, healthy_others: int) -> bool:
    """True if `members` outlive one stopping, of which `healthy_others` are well: more than half must go on.

    Source: etcd.io/docs/v3.5/faq ("What is failure tolerance?"). A single member stops alone anyway.
    """
    return members <= 1 or healthy_others > members // 2


def is_healthy(server: Connection) -> bool:
    """True if the server's member has a quorum around it and has caught up with it."""
    status, output, _ = server.attempt("curl", "--silent", "--fail", "--max-time", "5", HEALTH_URL)
    try:
        return status == 0 and str(json.loads(output)["health"]) == "true"
    except (ValueError, KeyError, TypeError):
        return False


def members(servers: Sequence[Connection]) -> list[dict[str, Any]] | None:
    """The node objects of all members, as the first of `servers` says that can; None if none can."""
    for server in servers:
        try:
            told = kubectl(server, "get", "nodes", MEMBERS_SELECTOR, "--output", "json")
        except NodeError:
            continue
        nodes: list[dict[str, Any]] = json.loads(told)["items"]
        return nodes
    return None


def healthy_others(nodes: Sequence[dict[str, Any]], name: str, answers: Mapping[str, bool]) -> int:
    """How many of the members' `nodes` other than `name` are well.

    `answers` says it by the address of each server that was asked. Members that are about to leave are none of the
    plan's servers, and nobody asks them: of those, the Ready are well.
    """
    well = 0
    for node in nodes:
        if node["metadata"]["name"] != name:
            asked = [
                answers[each["address"]] for each in node["status"].get("addresses", []) if each["address"] in answers
            ]
            well += any(asked) if asked else is_ready(node)
    return well


def wait_for_quorum_without(
    server: Connection, name: str, others: Sequence[Connection], silent: Sequence[str], progress: Progress
) -> None:
    """Return when the cluster outlives that this server stops. NodeError, before it was stopped, if it would not.

    `silent` are the addresses of servers that do not answer SSH.
    """
    deadline = time.monotonic() + QUORUM_DEADLINE_SECONDS
    while True:
        nodes = members([server, *others])
        if nodes is None:
            found = "no server's API can say which members etcd has"
        else:
            answers = {**dict.fromkeys(silent, False), **{other.target.host: is_healthy(other) for other in others}}
            healthy = healthy_others(nodes, name, answers)
            if keeps_quorum(len(nodes), healthy):
                return
            found = f"of {len(nodes)} members of etcd only {healthy} others are healthy"
        if time.monotonic() > deadline:
            raise NodeError(
                f"{name} was not restarted: {found}, and without a majority the API stops. Bring the others back "
                "first: look at `kubectl get nodes`, and at `journalctl -u k3s` on those that are not Ready; "
                "`pulumi up` continues from here"
            )
        progress("waiting for the other members of etcd")
        time.sleep(POLL_SECONDS)


def wait_until_healthy(server: Connection, name: str, progress: Progress) -> None:
    """Return when the server's member is healthy, and K3s would take it out with its node. NodeError if not in time.

    K3s leaves the member of a node that it has not labelled yet: github.com/k3s-io/k3s, pkg/etcd/member_controller.go,
    onRemove.
    """
    deadline = time.monotonic() + QUORUM_DEADLINE_SECONDS
    while not (is_healthy(server) and _is_labelled(server, name)):
        if time.monotonic() > deadline:
            raise NodeError(
                f"etcd on {name} was not healthy within {QUORUM_DEADLINE_SECONDS} s; see `journalctl -u k3s`"
            )
        progress("waiting for etcd")
        time.sleep(POLL_SECONDS)


def _is_labelled(server: Connection, name: str) -> bool:
    return any(node["metadata"]["name"] == name for node in members([server]) or [])
