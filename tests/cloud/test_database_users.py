"""The users of a copied database, and what the preflight learns of backups, against the API as it is served."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from k3s_cluster.account import client
from k3s_cluster.account.client import Client, Credentials
from k3s_cluster.account.database_users import DatabaseUsers, UsersError
from k3s_cluster.account.facts import ask
from k3s_cluster.settings import SECRET_KEYS, parse_settings
from tests.cloud.openapi import Conformance
from tests.plugins.cloud_server import TOKEN, CloudServer
from tests.unit.stack_files import CHECKOUT, config

REQUEST = {"engine": "pg", "version": "17", "size": "db-s-1vcpu-1gb", "region": "fra1", "num_nodes": 1}


@pytest.fixture
def cloud(tmp_path: Path, checker: Conformance | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudServer]:
    monkeypatch.setattr(client, "RETRY_SECONDS", 0.05)
    cloud = CloudServer(tmp_path)
    yield cloud
    exchanges = cloud.exchanges()
    cloud.close()
    good = (one for one in exchanges if one["status"] < 400 and one["path"].startswith("/v2/"))
    if checker is not None:
        assert {problem for one in good for problem in checker.problems_of(one)} == set()


@pytest.fixture
def database(cloud: CloudServer) -> Any:
    made = cloud.call("POST", "/v2/databases", {"name": "old", **REQUEST})["database"]
    while cloud.call("GET", f"/v2/databases/{made['id']}")["database"]["status"] != "online":
        pass
    cloud.call("POST", f"/v2/databases/{made['id']}/users", {"name": "old_default_user"})
    return made


def users(cloud: CloudServer, database: Any, token: str = TOKEN) -> DatabaseUsers:
    return DatabaseUsers(Credentials(cloud.url, token, "DIGITALOCEAN_TOKEN"), database["id"])


def test_users_are_told_and_deleted_also_when_the_api_stumbles(cloud: CloudServer, database: Any) -> None:
    api = users(cloud, database)
    assert [(user.name, user.primary) for user in api.all()] == [("doadmin", True), ("old_default_user", False)]
    assert all(user.password for user in api.all())
    assert api.all()[1].password not in repr(api.all())
    cloud.fault(method="DELETE", path=".*/users/.*", status=503, times=2)
    cloud.fault(method="GET", path=".*/users", status=500, times=2)
    api.delete("old_default_user")
    assert sum(write.startswith("DELETE") for write in cloud.writes()) == 3
    api.delete("old_default_user")
    assert [user.name for user in api.all()] == ["doadmin"]


def test_what_the_api_refuses_is_one_line_without_the_token(cloud: CloudServer, database: Any) -> None:
    with pytest.raises(UsersError, match="answered 403"):
        users(cloud, database).delete("doadmin")
    stranger = "dop_v1_" + "8" * 64
    with pytest.raises(UsersError, match=r"401 .*; the token is from DIGITALOCEAN_TOKEN") as refused:
        users(cloud, database, stranger).all()
    assert stranger not in str(refused.value)
    with pytest.raises(UsersError, match="answered 404"):
        users(cloud, {"id": "9cc10173-e9ea-4176-9dbc-a4cee4c4ff30"}).all()


def test_the_preflight_asks_for_the_backups_of_the_database_that_is_named(cloud: CloudServer, database: Any) -> None:
    given = config(datastoreRestoreFrom="old", datastoreRestoreToken="token")
    settings = parse_settings(given, stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)
    asking = Client(Credentials(cloud.url, TOKEN, "DIGITALOCEAN_TOKEN"))
    assert ask(asking, settings).database_backups == ()
    made = cloud.control("POST", "/_local/backups", {"database": "old"})["backup"]["created_at"]
    account = ask(asking, settings)
    assert account.database_backups == (datetime.fromisoformat(made).astimezone(UTC),)
    assert account.databases is not None
    assert account.databases[0].users == ("doadmin", "old_default_user")
    assert account.notes == ()
