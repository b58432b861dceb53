"""Names are asked for at the API as it is served: which droplets have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_cluster.account import client
from k3s_cluster.account.client import Credentials
from k3s_cluster.cloud import machine_name
from k3s_cluster.cloud.machine_name import MachineNameProvider, NoName
from tests.plugins.cloud_server import TOKEN, CloudServer

DROPLET = {"name": "k3s-agent-1f3a", "region": "fra1", "size": "s-1vcpu-2gb", "image": "ubuntu-24-04-x64"}


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudServer]:
    monkeypatch.setattr(client, "RETRY_SECONDS", 0.05)
    cloud = CloudServer(tmp_path)
    cloud.call("POST", "/v2/droplets", DROPLET)
    yield cloud
    cloud.close()


def names(cloud: CloudServer, token: str = TOKEN) -> MachineNameProvider:
    asked = MachineNameProvider()
    asked._credentials = Credentials(cloud.url, token, "DIGITALOCEAN_TOKEN")
    return asked


def test_a_droplet_s_name_is_drawn_by_nobody_else(cloud: CloudServer, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter(["1f3a", "1f3b"])
    draw = machine_name.draw
    monkeypatch.setattr(machine_name, "draw", lambda beginning, taken: draw(beginning, taken, lambda _: next(draws)))
    cloud.fault(method="GET", path="/v2/droplets", status=503, times=2)
    made = names(cloud).create({"beginning": "k3s-agent-", "keepers": None})
    assert (made.id, made.outs["name"]) == ("k3s-agent-1f3b", "k3s-agent-1f3b")


def test_a_token_that_is_refused_is_told(cloud: CloudServer) -> None:
    with pytest.raises(NoName, match=r"answered 401.*the token is from DIGITALOCEAN_TOKEN"):
        names(cloud, "dop_v1_" + "0" * 64).create({"beginning": "k3s-agent-", "keepers": None})


def test_a_name_stays_until_what_it_was_made_for_changes() -> None:
    olds = {"beginning": "k3s-agent-", "keepers": {"size": "a"}, "name": "k3s-agent-1f3a"}
    news = {"beginning": "k3s-agent-", "keepers": {"size": "a"}, "name": None}
    assert not MachineNameProvider().diff("k3s-agent-1f3a", olds, news).changes
    other = MachineNameProvider().diff("k3s-agent-1f3a", olds, {**news, "keepers": {"size": "b"}})
    assert (other.changes, other.replaces) == (True, ["keepers"])
    kept = MachineNameProvider().diff("k3s-server-1f3a", {**olds, "keepers": {}}, {**news, "keepers": None})
    assert not kept.changes
