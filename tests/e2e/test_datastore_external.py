"""A datastore that somebody else keeps: databases made with the API alone, and single nodes that are told of them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from k3s_cluster.datastore_endpoint import DatabaseAddress, datastore_endpoint
from tests.e2e.backups import backup, folder_with_passphrase, restore
from tests.e2e.conftest import brought_up
from tests.e2e.datastore_login import refuses_another_authority
from tests.e2e.stack import LOCAL_CLOUD, PROJECT, Stack, api, rented, rented_with_prefix, run, wait_for

pytestmark = pytest.mark.thorough

NAME, KEPT = "e2e-ext", "somebody-elses"
#: What the cluster is restored into: SQLite, and another database of somebody else's.
SQLITE, ANOTHER = "e2e-ext-sqlite", "e2e-ext-another"


@dataclass
class Kept:
    """Somebody's database: its id, its administrator's password, and the endpoint that K3s is told."""

    id: str
    password: str
    endpoint: str
    another_endpoint: str
    ca: str


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    # Two clusters keep their state in it, and each opens up to 35 connections.
    body = {"name": KEPT, "engine": "pg", "region": "fra1", "size": "db-s-2vcpu-4gb", "num_nodes": 1}
    database = api("POST", "databases", body)["database"]

    def found() -> dict[str, Any]:
        current: dict[str, Any] = api("GET", f"databases/{database['id']}")["database"]
        return current

    try:
        wait_for("the database", lambda: found()["status"] == "online", 60)
        at = found()["connection"]
        api("POST", f"databases/{database['id']}/dbs", {"name": "another"})
        address = DatabaseAddress("pg", at["host"], at["port"], at["user"], at["password"], at["database"])
        ca = base64.b64decode(api("GET", f"databases/{database['id']}/ca")["ca"]["certificate"]).decode()
        another = datastore_endpoint(replace(address, database="another"))
        yield Kept(database["id"], at["password"], datastore_endpoint(address), another, ca)
    finally:
        api("DELETE", f"databases/{database['id']}")


class ExternalStack(Stack):
    """Its endpoint is set as a person sets it: as a secret, which the config file has only encrypted."""

    def init(self) -> None:
        endpoint = self.config.pop("datastoreEndpoint")
        super().init()
        self.pulumi("config", "set", "--secret", "datastoreEndpoint", endpoint)
        self.config["datastoreEndpoint"] = yaml.safe_load(self.config_file.read_text())["config"][
            f"{PROJECT}:datastoreEndpoint"
        ]


@pytest.fixture(scope="module")
def stack(kept: Kept) -> Iterator[Stack]:
    yield from brought_up(external(NAME, 33, kept.endpoint, kept.ca))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_with_passphrase(tmp_path_factory)


def single(name: str, subnet: int) -> dict[str, Any]:
    return {"topology": "single-node", "namePrefix": name, "vpcCidr": f"10.{subnet}.0.0/24"}


def external(name: str, subnet: int, endpoint: str, ca: str) -> Stack:
    told = {"datastoreEngine": "external", "datastoreEndpoint": endpoint, "datastoreCa": ca}
    return ExternalStack(name, {**single(name, subnet), **told})


def rows(kept: Kept, key: str, database: str = "defaultdb") -> int:
    query = f"SELECT count(*) FROM kine WHERE name = '{key}'"
    return int(run(LOCAL_CLOUD, "sql", "--cluster", kept.id, database, query).stdout)


def test_the_state_is_where_somebody_else_keeps_it(stack: Stack, kept: Kept) -> None:
    outputs = stack.outputs()
    (server,) = outputs["servers"]
    assert stack.nodes() == {server["name"]: True}
    assert outputs["datastore"]["engine"] == "external"
    assert rows(kept, "/registry/configmaps/default/stored") == 0
    stack.kubectl("create", "configmap", "stored", "--from-literal=word=kept")
    assert rows(kept, "/registry/configmaps/default/stored") == 1
    # Nothing of the stack's own keeps any: no managed database, and no SQLite on the droplet.
    assert not [name for name in rented_with_prefix(NAME) if "datastore" in name]
    sqlite = "/var/lib/rancher/k3s/server/db/state.db"
    assert run(LOCAL_CLOUD, "shell", server["name"], "test", "-e", sqlite, check=False).returncode != 0
    stack.preview("--refresh", "--expect-no-changes")


def test_the_endpoint_is_a_secret_from_end_to_end(stack: Stack, kept: Kept) -> None:
    shown = [stack.config_file.read_text(), stack.pulumi("stack", "export").stdout, stack.pulumi("config").stdout]
    assert not any(kept.password in text for text in shown)
    (server,) = stack.outputs()["servers"]
    mode = run(LOCAL_CLOUD, "shell", server["name"], "stat", "-c", "%a", "/etc/rancher/k3s/config.yaml").stdout
    assert mode.strip() == "600"


def test_an_endpoint_in_plain_text_is_refused(stack: Stack, kept: Kept) -> None:
    encrypted = stack.config["datastoreEndpoint"]
    stack.configure(datastoreEndpoint=kept.endpoint)
    refused = stack.preview(check=False)
    stack.configure(datastoreEndpoint=encrypted)
    assert refused.returncode != 0
    assert "--secret" in refused.stdout
    assert kept.password not in refused.stdout


def test_k3s_does_not_start_on_a_datastore_whose_certificate_it_cannot_verify(stack: Stack, tmp_path: Path) -> None:
    refuses_another_authority(stack.outputs()["servers"][0]["name"], tmp_path)
    wait_for("the API", lambda: stack.kubectl("get", "configmap", "stored", check=False).returncode == 0, 60)


@pytest.mark.parametrize("name", [SQLITE, ANOTHER])
def test_its_backup_goes_into_sqlite_and_into_another_database(
    stack: Stack, kept: Kept, folder: Path, name: str
) -> None:
    file = backup(stack, folder)
    another = external(name, 35, kept.another_endpoint, kept.ca) if name == ANOTHER else Stack(name, single(name, 34))
    another.init()
    try:
        said = restore(another, file, folder)
        assert kept.password not in said
        assert another.nodes() == {another.outputs()["servers"][0]["name"]: True}
        assert another.kubectl("get", "configmap", "stored", "--output=jsonpath={.data.word}").stdout == "kept"
        # From here on it is a cluster of its own.
        another.kubectl("create", "configmap", "later")
        assert rows(kept, "/registry/configmaps/default/later") == 0
        if name == ANOTHER:
            assert rows(kept, "/registry/configmaps/default/later", "another") == 1
    finally:
        another.destroy()
        another.remove()
    assert rented_with_prefix(name) == []


def test_destroy_leaves_the_datastore_to_whom_it_belongs(stack: Stack, kept: Kept) -> None:
    stack.destroy()
    assert rented_with_prefix(NAME) == []
    assert KEPT in rented()["databases"]
    assert rows(kept, "/registry/configmaps/default/stored") == 1
