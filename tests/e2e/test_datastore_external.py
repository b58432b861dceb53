"""A datastore that somebody else keeps: a database made with the API alone, and a single node that is told of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from k3s_cluster.datastore_endpoint import DatabaseAddress, datastore_endpoint
from tests.e2e.conftest import brought_up
from tests.e2e.datastore_login import refuses_another_authority
from tests.e2e.stack import LOCAL_CLOUD, PROJECT, Stack, api, rented, rented_with_prefix, run, wait_for

NAME, KEPT = "e2e-ext", "somebody-elses"


@dataclass
class Kept:
    """Somebody's database: its id, its administrator's password, and the endpoint that K3s is told."""

    id: str
    password: str
    endpoint: str
    ca: str


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    body = {"name": KEPT, "engine": "pg", "region": "fra1", "size": "db-s-1vcpu-1gb", "num_nodes": 1}
    database = api("POST", "databases", body)["database"]

    def found() -> dict[str, Any]:
        current: dict[str, Any] = api("GET", f"databases/{database['id']}")["database"]
        return current

    try:
        wait_for("the database", lambda: found()["status"] == "online", 60)
        at = found()["connection"]
        address = DatabaseAddress("pg", at["host"], at["port"], at["user"], at["password"], at["database"])
        ca = base64.b64decode(api("GET", f"databases/{database['id']}/ca")["ca"]["certificate"]).decode()
        yield Kept(database["id"], at["password"], datastore_endpoint(address), ca)
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
    settings = {
        "topology": "single-node",
        "namePrefix": NAME,
        "vpcCidr": "10.33.0.0/24",
        "datastoreEngine": "external",
        "datastoreEndpoint": kept.endpoint,
        "datastoreCa": kept.ca,
    }
    yield from brought_up(ExternalStack(NAME, settings))


def rows(kept: Kept, key: str) -> int:
    query = f"SELECT count(*) FROM kine WHERE name = '{key}'"
    return int(run(LOCAL_CLOUD, "sql", "--cluster", kept.id, "defaultdb", query).stdout)


def test_the_state_is_where_somebody_else_keeps_it(stack: Stack, kept: Kept) -> None:
    outputs = stack.outputs()
    (server,) = outputs["servers"]
    assert stack.nodes() == {server["name"]: True}
    assert outputs["datastore"]["engine"] == "external"
    assert rows(kept, "/registry/configmaps/default/stored") == 0
    stack.kubectl("create", "configmap", "stored")
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


def test_destroy_leaves_the_datastore_to_whom_it_belongs(stack: Stack, kept: Kept) -> None:
    stack.destroy()
    assert rented_with_prefix(NAME) == []
    assert KEPT in rented()["databases"]
    assert rows(kept, "/registry/configmaps/default/stored") == 1
