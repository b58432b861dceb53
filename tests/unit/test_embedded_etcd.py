"""Who begins an etcd, who joins, and who may stop: what is decided when a server is brought up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from k3s_cluster.over_ssh import embedded_etcd
from k3s_cluster.over_ssh.connection import NodeError, SshTarget
from k3s_cluster.over_ssh.embedded_etcd import (
    BEGINS,
    has_begun,
    healthy_others,
    joins,
    keeps_quorum,
    membership,
    wait_for_quorum_without,
)
from k3s_cluster.over_ssh.node import NodeProvider

NAME = "k3s-api.internal"
JOINS = "server: https://k3s-api.internal:6443\n"


def test_joining_servers_ask_by_the_name_of_all() -> None:
    assert joins(NAME) == JOINS


@pytest.mark.parametrize(
    ("own_data", "peers_data", "told"),
    [
        (False, [], BEGINS),  # a single node
        (True, [], BEGINS),
        (False, [False, False], BEGINS),  # the first server of a new cluster
        (False, [True, False], JOINS),  # the second one
        (False, [True, True], JOINS),  # a server that was rebuilt, be it the first
        (False, [None, True], JOINS),  # the same while another one is down
        (False, [None, False], None),  # the silent one may have all the data
        (False, [None, None], None),
        (True, [None, None], JOINS),  # a server that comes back to its data
        (True, [False, False], JOINS),
    ],
)
def test_nobody_begins_while_somebody_may_have_data(
    own_data: bool, peers_data: list[bool | None], told: str | None
) -> None:
    assert membership(own_data, peers_data, NAME) == told


@pytest.mark.parametrize(
    ("members", "healthy_others", "keeps"),
    [
        (1, 0, True),
        (2, 1, False),
        (3, 2, True),
        (3, 1, False),
        (4, 2, False),
        (4, 3, True),
        (5, 3, True),
        (5, 2, False),
    ],
)
def test_a_server_stops_only_when_more_than_half_of_the_members_go_on(
    members: int, healthy_others: int, keeps: bool
) -> None:
    assert keeps_quorum(members, healthy_others) is keeps


def member(name: str, address: str, ready: bool) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    addresses = [{"type": "ExternalIP", "address": address}, {"type": "InternalIP", "address": f"10.0.0.{name}"}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions, "addresses": addresses}}


def test_members_that_are_about_to_leave_count_while_they_are_ready() -> None:
    nodes = [
        member("1", "203.0.113.1", True),
        member("2", "203.0.113.2", True),
        member("3", "203.0.113.3", True),
        member("4", "203.0.113.4", True),
        member("5", "203.0.113.5", False),
    ]
    assert healthy_others(nodes, "1", {"203.0.113.2": True, "203.0.113.3": True}) == 3
    # What a server's own etcd says counts more than that its node is Ready.
    assert healthy_others(nodes, "1", {"203.0.113.2": True, "203.0.113.3": False}) == 2


def member_node(name: str, address: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"addresses": [{"address": address}]}}


class Answering:
    """A server that others are asked about, whose API may be dead."""

    def __init__(self, host: str, nodes: list[dict[str, Any]] | None) -> None:
        self.target = SshTarget(host=host, private_key="", host_key="")
        self._nodes = nodes

    def run(self, *command: str, timeout: float = 60) -> str:
        if self._nodes is None:
            raise NodeError("the API is dead")
        return json.dumps({"items": self._nodes})

    def attempt(self, *command: str) -> tuple[int, str, str]:
        return 0, '{"health": "true"}', ""


NODES = [member_node(f"server-{host}", host) for host in ("10.0.0.1", "10.0.0.2", "10.0.0.3")]


def test_a_server_whose_own_api_is_dead_is_mended_if_another_knows_the_members() -> None:
    first: Any = Answering("10.0.0.1", None)
    others: list[Any] = [Answering("10.0.0.2", None), Answering("10.0.0.3", NODES)]
    wait_for_quorum_without(first, "server-10.0.0.1", others, [], lambda _text: None)


def test_a_server_that_is_silent_is_not_well_however_ready_the_cluster_calls_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded_etcd, "QUORUM_DEADLINE_SECONDS", 0)
    monkeypatch.setattr(embedded_etcd, "POLL_SECONDS", 0)
    ready = [{"type": "Ready", "status": "True"}]
    nodes = [{**node, "status": {**node["status"], "conditions": ready}} for node in NODES]
    first: Any = Answering("10.0.0.1", nodes)
    others: list[Any] = [Answering("10.0.0.2", nodes)]
    with pytest.raises(NodeError, match="not restarted: of 3 members of etcd only 1 others are healthy"):
        wait_for_quorum_without(first, "server-10.0.0.1", others, ["10.0.0.3"], lambda _text: None)


def test_where_no_api_answers_a_server_is_not_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_etcd, "QUORUM_DEADLINE_SECONDS", 0)
    monkeypatch.setattr(embedded_etcd, "POLL_SECONDS", 0)
    first: Any = Answering("10.0.0.1", None)
    others: list[Any] = [Answering("10.0.0.2", None)]
    with pytest.raises(NodeError, match="not restarted: no server's API can say which members etcd has"):
        wait_for_quorum_without(first, "server-10.0.0.1", others, [], lambda _text: None)


def test_a_cluster_that_the_state_knows_a_member_of_has_begun() -> None:
    member = {"private_key": "key-of-one", "droplet_id": "1", "k3s_version": "v1", "etcd_member": True}
    assert not has_begun("key-of-one")
    NodeProvider().diff("server-0", {**member, "ready": True}, member)
    assert has_begun("key-of-one")
    NodeProvider().diff("agent-0", member, {**member, "private_key": "key-of-another", "etcd_member": False})
    assert not has_begun("key-of-another")
