"""How bin/recover reads and clears an account, against the API as it is served."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k3s_cluster.account.client import Credentials
from recovery.account import Account, AccountError
from recovery.leftovers import KINDS, Leftover, Wanted
from tests.cloud.openapi import Conformance
from tests.plugins.cloud_server import TOKEN, CloudServer


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudServer]:
    cloud = CloudServer(tmp_path)
    yield cloud
    cloud.close()


def account(cloud: CloudServer, token: str = TOKEN) -> Account:
    return Account(Credentials(cloud.url, token, "the config's digitalocean:token"))


def test_a_list_is_read_to_its_last_page(cloud: CloudServer) -> None:
    names = [f"tag-{number:02}" for number in range(45)]
    for name in names:
        cloud.call("POST", "/v2/tags", {"name": name})
    assert [tag["name"] for tag in account(cloud).list("/v2/tags", "tags")] == names
    pages = [one["query"] for one in cloud.exchanges() if one["method"] == "GET"]
    assert [page.get("page") for page in pages] == [None, "2", "3"]


def test_every_kind_is_asked_for_as_the_api_is_described(cloud: CloudServer, conformance: Conformance) -> None:
    made = {"name": "k3s", "engine": "pg", "version": "16", "size": "db-s-1vcpu-1gb", "region": "fra1", "num_nodes": 1}
    database = cloud.call("POST", "/v2/databases", made)["database"]["id"]
    cloud.call("POST", "/v2/domains", {"name": "example.com"})
    before = len(cloud.exchanges())
    for kind in KINDS:
        path = kind.path.format(clusterId=database, domain="example.com")
        account(cloud).list(path, kind.items)
    exchanges = cloud.exchanges()[before:]
    assert [one["status"] for one in exchanges] == [200] * len(KINDS)
    assert {problem for one in exchanges for problem in conformance.problems_of(one)} == set()


def test_without_a_token_and_with_one_that_is_not_known_it_says_so(cloud: CloudServer) -> None:
    with pytest.raises(AccountError, match="set DIGITALOCEAN_TOKEN"):
        Account(None)
    stranger = "dop_v1_" + "8" * 64
    with pytest.raises(AccountError, match=r"answered 401 .*; the token is from the config's digitalocean:token") as no:
        account(cloud, stranger).list("/v2/droplets", "droplets")
    assert stranger not in str(no.value)


def test_a_vpc_that_has_become_the_default_one_stays_and_is_named(cloud: CloudServer) -> None:
    made = cloud.call("POST", "/v2/vpcs", {"name": "k3s-vpc-01", "region": "tor1"})["vpc"]
    kind = next(kind for kind in KINDS if kind.path == "/v2/vpcs")
    planned = Wanted({}, kind, kind.path, {"name": "k3s-vpc-01"}, datetime.now(UTC), is_new=True)
    staying = account(cloud).remove(Leftover(planned, made["id"], ""))
    assert staying is not None
    assert f"`pulumi config set vpcId {made['id']}`" in staying


def test_a_removal_that_is_not_allowed_is_an_error(cloud: CloudServer) -> None:
    cloud.call("POST", "/v2/vpcs", {"name": "first", "region": "tor1"})
    made = cloud.call("POST", "/v2/vpcs", {"name": "k3s-vpc-01", "region": "tor1"})["vpc"]
    kind = next(kind for kind in KINDS if kind.path == "/v2/vpcs")
    planned = Wanted({}, kind, kind.path, {"name": "k3s-vpc-01"}, datetime.now(UTC), is_new=True)
    cloud.fault(method="DELETE", path="/v2/vpcs/.*", status=403, times=1)
    with pytest.raises(AccountError, match="403"):
        account(cloud).remove(Leftover(planned, made["id"], ""))


def test_what_is_in_use_is_removed_when_it_is_free(cloud: CloudServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recovery.account.RETRY_SECONDS", 0.05)
    made = cloud.call("POST", "/v2/projects", {"name": "k3s-cluster", "purpose": "Service or API"})["project"]
    kind = next(kind for kind in KINDS if kind.path == "/v2/projects")
    planned = Wanted({}, kind, kind.path, {"name": "k3s-cluster"}, datetime.now(UTC), is_new=True)
    cloud.fault(method="DELETE", path="/v2/projects/.*", status=412, times=2)
    account(cloud).remove(Leftover(planned, made["id"], ""))
    assert [each for each in cloud.writes() if each.startswith("DELETE")] == [f"DELETE /v2/projects/{made['id']}"] * 3
    assert [one["name"] for one in cloud.call("GET", "/v2/projects")["projects"]] == ["first-project"]
