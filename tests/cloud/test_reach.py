"""A node that does not answer SSH: what the API as it is served knows of its droplet, and what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest

from k3s_cluster.account import client, droplet_power
from k3s_cluster.account.client import Credentials
from k3s_cluster.over_ssh import reach as reaching
from k3s_cluster.over_ssh.connection import Connection, HostKeyError, NodeError, SshTarget
from tests.plugins.cloud_server import TOKEN, CloudServer

DROPLET = {"name": "k3s-agent-1f3a", "region": "fra1", "size": "s-1vcpu-2gb", "image": "ubuntu-24-04-x64"}


class Node:
    """A droplet in the account, and an SSH that answers when it should."""

    def __init__(self, cloud: CloudServer) -> None:
        self.cloud = cloud
        self.id = cloud.call("POST", "/v2/droplets", DROPLET)["droplet"]["id"]
        while self.status() != "active":
            pass
        self.props: dict[str, Any] = {
            **{"name": DROPLET["name"], "droplet_id": str(self.id), "urn": "", "role": "agent", "peers": [{}]},
            **{"host": "203.0.113.7", "host_key": "ssh-ed25519 AAAA", "private_key": "x"},
        }
        self.answers: Callable[[], bool] = lambda: True
        self.ready: bool | None = None
        self.said: list[str] = []
        self.waited: list[float] = []

    def status(self) -> str:
        return str(self.cloud.call("GET", f"/v2/droplets/{self.id}")["droplet"]["status"])

    def actions(self) -> list[str]:
        found = self.cloud.call("GET", f"/v2/droplets/{self.id}/actions")["actions"]
        return [action["type"] for action in reversed(found) if action["type"] != "create"]

    def switch_off(self) -> None:
        self.cloud.call("POST", f"/v2/droplets/{self.id}/actions", {"type": "power_off"})
        while self.status() != "off":
            pass

    def connect(self, target: SshTarget, _progress: object, seconds: float = 600) -> Connection:
        self.waited.append(seconds)
        if not self.answers():
            raise NodeError("203.0.113.7 did not let us in by SSH.")
        return Connection(paramiko.SSHClient(), target)

    def reach(self, token: str | None = TOKEN) -> Connection:
        credentials = None if token is None else Credentials(self.cloud.url, token, "DIGITALOCEAN_TOKEN")
        return reaching.reach(self.props, credentials, lambda: self.ready, lambda _: None)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    cloud = CloudServer(tmp_path)
    node = Node(cloud)
    monkeypatch.setattr(reaching, "connect", node.connect)
    monkeypatch.setattr(reaching, "tell", lambda _urn, text: node.said.append(text))
    monkeypatch.setattr(client, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(droplet_power, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(droplet_power, "PATIENCE_SECONDS", 1)
    yield node
    cloud.close()


def test_one_that_answers_is_not_asked_about(node: Node) -> None:
    asked = len(node.cloud.exchanges())
    assert node.reach().target.host == "203.0.113.7"
    assert len(node.cloud.exchanges()) == asked


def test_one_that_is_off_is_switched_on(node: Node) -> None:
    node.switch_off()
    node.answers = lambda: node.status() == "active"
    assert node.reach().target.host == "203.0.113.7"
    assert node.actions() == ["power_off", "power_on"]
    assert node.said == ["k3s-agent-1f3a: its droplet is off, and is switched on"]


def test_one_that_hangs_is_restarted_once(node: Node) -> None:
    node.ready = False
    node.answers = lambda: "power_cycle" in node.actions()
    assert node.reach().target.host == "203.0.113.7"
    assert node.actions() == ["power_cycle"]
    assert node.said == ["k3s-agent-1f3a: its droplet is on and does not answer SSH, and is restarted"]


def test_one_that_somebody_has_just_rebooted_is_waited_for(node: Node) -> None:
    node.ready = True
    node.answers = lambda: len(node.waited) > 2
    node.reach()
    node.ready, node.waited = False, []
    node.answers = lambda: len(node.waited) > 1
    node.reach()
    assert node.actions() == []


@pytest.mark.parametrize(
    ("ready", "why"),
    [
        (True, "The cluster calls the node Ready, so it was not restarted"),
        (None, "No other server answers, either, so it was not restarted: it may be the line from here."),
    ],
    ids=["it is Ready", "nobody answers from here"],
)
def test_one_that_may_be_well_is_left_alone(node: Node, ready: bool | None, why: str) -> None:
    node.ready = ready
    node.answers = lambda: False
    with pytest.raises(NodeError) as failed:
        node.reach()
    assert why in str(failed.value)
    assert f"DigitalOcean says that droplet {node.id} is active" in str(failed.value)
    assert node.actions() == []


def test_a_member_of_etcd_is_not_restarted(node: Node) -> None:
    node.ready = False
    node.answers = lambda: False
    node.props |= {"role": "server", "etcd_member": True}
    with pytest.raises(NodeError, match="It is a member of etcd, whose majority may need it, so it was not restarted"):
        node.reach()
    assert node.actions() == []


@pytest.mark.parametrize("holds_state", [False, True])
def test_one_that_stays_silent_is_told_with_what_there_is_to_know(node: Node, holds_state: bool) -> None:
    node.ready = False
    node.answers = lambda: False
    if holds_state:
        node.props |= {"role": "server", "peers": []}
    with pytest.raises(NodeError) as failed:
        node.reach()
    said = str(failed.value)
    assert "its last action was power_cycle completed at " in said
    assert f"/droplets/{node.id}/console." in said
    assert f"`doctl compute droplet delete {node.id}`, then `pulumi up --refresh`, replaces it" in said
    assert ("which holds the cluster's state, would be lost" in said) == holds_state
    # Beside DigitalOcean's action, which takes some seconds.
    assert sum(node.waited) <= 150


def test_one_that_is_gone_is_made_anew_by_a_refresh(node: Node) -> None:
    node.cloud.call("DELETE", f"/v2/droplets/{node.id}")
    node.answers = lambda: False
    with pytest.raises(NodeError, match="its droplet is gone; `pulumi up --refresh` makes another one"):
        node.reach()


def test_where_the_api_does_not_help_it_is_said(node: Node) -> None:
    node.answers = lambda: False
    node.cloud.fault(method="GET", path="/v2/droplets/.*", status=503, times=100)
    with pytest.raises(NodeError, match=r"did not let us in by SSH.*DigitalOcean's API.*answered 503"):
        node.reach()


def test_another_host_key_is_no_reason_to_touch_the_droplet(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise HostKeyError("another machine")

    monkeypatch.setattr(reaching, "connect", refuse)
    node.ready = False
    with pytest.raises(HostKeyError):
        node.reach()
    assert node.actions() == []


def test_without_a_token_it_is_waited_for_as_long_as_a_first_boot_may_take(node: Node) -> None:
    assert node.reach(token=None).target.host == "203.0.113.7"
    assert node.waited == [600]
