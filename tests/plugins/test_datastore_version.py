"""Another major version of the managed database: asked for once, and waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from k3s_cluster.account.client import Credentials
from k3s_cluster.cloud import datastore_version
from k3s_cluster.cloud.datastore_version import DatastoreVersionProvider, VersionError
from tests.plugins.cloud_server import TOKEN, CloudServer
from tests.plugins.test_engine import Engine, pytestmark  # noqa: F401 - needs the same

REQUEST = {"name": "k3s", "engine": "pg", "size": "db-s-1vcpu-2gb", "region": "fra1", "num_nodes": 1, "version": "16"}


def upgrades(cloud: CloudServer) -> int:
    return sum(write.endswith("/upgrade") for write in cloud.writes())


def test_one_run_ends_when_the_database_is_online_at_the_new_version(tmp_path: Path, cloud: CloudServer) -> None:
    """The official plugin does not wait, notes the old version, and asks again: resource_database_cluster.go.

    terraform-provider-digitalocean v2.99.1, digitalocean/database/resource_database_cluster.go:537.
    """
    stack = Engine.of_the_product(tmp_path, "database", cloud)
    stack.ok("up", "--yes", "--skip-preview")
    assert stack.outputs()["version"] == "16"
    cloud.control("PUT", "/_local/durations", {"database": 2})
    stack.ok("config", "set", "version", "17")
    stack.ok("up", "--yes", "--skip-preview")
    (database,) = cloud.call("GET", "/v2/databases")["databases"]
    assert (database["status"], database["version"]) == ("online", "17")
    assert stack.outputs()["version"] == "17"
    stack.ok("preview", "--expect-no-changes")
    stack.ok("up", "--yes", "--skip-preview", "--refresh")
    assert upgrades(cloud) == 1
    stack.ok("destroy", "--yes", "--skip-preview")
    assert cloud.state() == {}


@pytest.fixture
def database(cloud: CloudServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(datastore_version, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(datastore_version, "BEGIN_SECONDS", 0.5)
    made: dict[str, Any] = cloud.call("POST", "/v2/databases", REQUEST)["database"]
    while cloud.call("GET", f"/v2/databases/{made['id']}")["database"]["status"] != "online":
        pass
    return made


@pytest.fixture
def provider(cloud: CloudServer) -> DatastoreVersionProvider:
    provider = DatastoreVersionProvider()
    provider._credentials = Credentials(cloud.url, TOKEN, "DIGITALOCEAN_TOKEN")
    return provider


def wanted(database: dict[str, Any], version: str) -> dict[str, Any]:
    return {"urn": "", "database_id": database["id"], "version": version}


def test_a_run_that_was_killed_waits_for_the_upgrade_that_it_had_begun(
    cloud: CloudServer, database: dict[str, Any], provider: DatastoreVersionProvider
) -> None:
    cloud.control("PUT", "/_local/durations", {"database": 3})
    cloud.call("PUT", f"/v2/databases/{database['id']}/upgrade", {"version": "17"})
    assert provider.read(database["id"], wanted(database, "17")).outs["version"] == "16"
    provider.update("", {}, wanted(database, "17"))
    assert provider.read(database["id"], wanted(database, "16")).outs["version"] == "17"
    assert upgrades(cloud) == 1


def test_an_upgrade_whose_answer_was_lost_is_waited_for_and_not_asked_for_again(
    cloud: CloudServer, database: dict[str, Any], provider: DatastoreVersionProvider
) -> None:
    cloud.control("PUT", "/_local/durations", {"database": 1})
    cloud.fault(method="PUT", path=".*/upgrade", status=502, when="after")
    provider.update("", {}, wanted(database, "17"))
    assert provider.read(database["id"], wanted(database, "16")).outs["version"] == "17"


def test_what_the_database_cannot_be_brought_to_is_one_line(
    database: dict[str, Any], provider: DatastoreVersionProvider
) -> None:
    with pytest.raises(VersionError, match=r"datastoreVersion: `15` is not what k3s can be brought to from 16: .*422"):
        provider.update("", {}, wanted(database, "15"))
    gone = {"id": "9cc10173-e9ea-4176-9dbc-a4cee4c4ff30"}
    with pytest.raises(VersionError, match="is gone"):
        provider.update("", {}, wanted(gone, "17"))
    assert provider.read(gone["id"], wanted(gone, "17")).id == ""


def test_an_upgrade_that_does_not_come_about_is_told(
    database: dict[str, Any], provider: DatastoreVersionProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DatastoreVersionProvider, "_upgrade", lambda *_: True)
    with pytest.raises(VersionError, match="was not upgraded to 17, and is online at 16 again"):
        provider.update("", {}, wanted(database, "17"))
