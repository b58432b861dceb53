"""How bin/recover reads and clears an account, against the API as it is served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recovery.account import Account
from recovery.leftovers import KINDS
from tests.cloud.openapi import Conformance
from tests.plugins.cloud_server import TOKEN, CloudServer


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudServer]:
    cloud = CloudServer(tmp_path)
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", TOKEN)
    monkeypatch.setenv("DIGITALOCEAN_API_URL", cloud.url)
    yield cloud
    cloud.close()


def test_a_list_is_read_to_its_last_page(cloud: CloudServer) -> None:
    names = [f"tag-{number:02}" for number in range(45)]
    for name in names:
        cloud.call("POST", "/v2/tags", {"name": name})
    assert [tag["name"] for tag in Account().list("/v2/tags", "tags")] == names
    pages = [one["query"] for one in cloud.exchanges() if one["method"] == "GET"]
    assert [page.get("page") for page in pages] == [None, "2", "3"]


def test_every_kind_is_asked_for_as_the_api_is_described(cloud: CloudServer, conformance: Conformance) -> None:
    made = {"name": "k3s", "engine": "pg", "version": "16", "size": "db-s-1vcpu-1gb", "region": "fra1", "num_nodes": 1}
    database = cloud.call("POST", "/v2/databases", made)["database"]["id"]
    cloud.call("POST", "/v2/domains", {"name": "example.com"})
    before = len(cloud.exchanges())
    for kind in KINDS:
        path = kind.path.format(clusterId=database, domain="example.com")
        Account().list(path, kind.items)
    exchanges = cloud.exchanges()[before:]
    assert [one["status"] for one in exchanges] == [200] * len(KINDS)
    assert {problem for one in exchanges for problem in conformance.problems_of(one)} == set()
