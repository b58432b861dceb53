"""A stack goes with the official plugin's own ways of deleting: real `pulumi`, the API without machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_cluster.account import client
from k3s_cluster.account.client import Credentials
from k3s_cluster.cloud import deletion
from k3s_cluster.cloud.deletion import DeletionError, ProjectDeletionProvider, VpcDeletionProvider
from tests.plugins.cloud_server import TOKEN, CloudServer
from tests.plugins.test_engine import Engine, pytestmark  # noqa: F401 - needs the same

READER = "dop_v1_" + "6" * 64
DROPLET = {"name": "other", "image": "ubuntu-24-04-x64", "size": "s-1vcpu-2gb", "region": "fra1"}


@pytest.fixture
def stack(tmp_path: Path, cloud: CloudServer) -> Engine:
    return Engine.of_the_product(tmp_path, "ends", cloud)


def left(cloud: CloudServer) -> dict[str, list[str]]:
    return {kind: names for kind, names in cloud.state().items() if kind != "tags"}


def test_a_stack_goes_whatever_has_gone_before_it(stack: Engine, cloud: CloudServer) -> None:
    """The state that a refresh left names droplets that are gone: the plugin's own deletion of a project fails then.

    terraform-provider-digitalocean v2.99.1, digitalocean/project/resource_project.go:273, ...ProjectDelete.
    """
    stack.ok("up", "--yes", "--skip-preview")
    stack.ok("refresh", "--yes", "--skip-preview")
    stack.ok("config", "set", "droplets", "one,three")
    stack.ok("up", "--yes", "--skip-preview")
    (one,) = (each for each in cloud.call("GET", "/v2/droplets")["droplets"] if each["name"] == "one")
    cloud.call("DELETE", f"/v2/droplets/{one['id']}")
    # "lag between when a resource is deleted and when it is de-registered from the VPC": pull request 455 there.
    cloud.control("PUT", "/_local/durations", {"vpc_departure": 2})
    stack.ok("destroy", "--yes", "--skip-preview")
    assert left(cloud) == {}


def test_what_somebody_else_put_into_the_project_moves_to_the_default_one(stack: Engine, cloud: CloudServer) -> None:
    stack.ok("up", "--yes", "--skip-preview")
    (mine,) = (each for each in cloud.call("GET", "/v2/projects")["projects"] if each["name"] == "k3s-cluster")
    other = cloud.call("POST", "/v2/droplets", DROPLET)["droplet"]
    cloud.call("POST", f"/v2/projects/{mine['id']}/resources", {"resources": [f"do:droplet:{other['id']}"]})
    # "the relocation is asynchronous on DigitalOcean's side": terraform-provider-digitalocean issue 1608.
    cloud.control("PUT", "/_local/durations", {"project_move": 1})
    stack.ok("destroy", "--yes", "--skip-preview")
    assert left(cloud) == {"droplets": ["other"]}
    held = cloud.call("GET", "/v2/projects/default/resources")["resources"]
    assert [each["urn"] for each in held] == [f"do:droplet:{other['id']}"]


def test_a_vpc_that_became_the_region_s_default_stays_and_it_is_said(stack: Engine, cloud: CloudServer) -> None:
    """Nobody can delete a default VPC, and the plugin fails after two minutes.

    terraform-provider-digitalocean v2.99.1, digitalocean/vpc/resource_vpc.go:169, RetryContext.
    """
    cloud.control("PUT", "/_local/unused-regions/fra1")
    stack.ok("up", "--yes", "--skip-preview")
    vpc = stack.outputs()["vpc"]
    said = stack.ok("destroy", "--yes", "--skip-preview")
    assert "k3s-vpc-01 stays: it has become the default one of fra1" in said
    assert f"pulumi config set vpcId {vpc}" in said
    assert left(cloud) == {"vpcs": ["k3s-vpc-01"]}


def test_a_destroy_that_failed_between_the_two_is_gone_on_from(stack: Engine, cloud: CloudServer) -> None:
    """The project is deleted, its resource still in the state, and the VPC could not go."""
    stack.ok("up", "--yes", "--skip-preview")
    vpc = stack.outputs()["vpc"]
    other = cloud.call("POST", "/v2/droplets", {**DROPLET, "vpc_uuid": vpc})["droplet"]
    cloud.fault(method="DELETE", path="/v2/vpcs/.*", status=400, times=1)
    failed = stack.run("destroy", "--yes", "--skip-preview")
    assert failed.returncode != 0
    assert "DELETE /v2/vpcs/" in failed.stdout
    assert "answered 400" in failed.stdout
    refused = stack.run("up", "--yes", "--skip-preview")
    if refused.returncode != 0:
        assert "is in the stack's state and no longer in the account: `pulumi up --refresh`" in refused.stdout
        stack.ok("up", "--yes", "--skip-preview", "--refresh")
    assert "k3s-cluster" in cloud.state()["projects"]
    cloud.call("DELETE", f"/v2/droplets/{other['id']}")
    stack.ok("destroy", "--yes", "--skip-preview")
    assert left(cloud) == {}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(client, "RETRY_SECONDS", 0.01)


def test_members_are_waited_for_and_named_at_last(
    cloud: CloudServer, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    vpc = cloud.call("POST", "/v2/vpcs", {"name": "k3s-vpc-01", "region": "fra1"})["vpc"]["id"]
    cloud.call("POST", "/v2/droplets", {**DROPLET, "vpc_uuid": vpc})
    provider = VpcDeletionProvider()
    provider._credentials = Credentials(cloud.url, TOKEN, "DIGITALOCEAN_TOKEN")
    monkeypatch.setattr(deletion, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(DeletionError, match=r"still has members: other \(do:droplet:"):
        provider.delete(vpc, {"urn": ""})
    assert provider.read(vpc, {"target": vpc}).id == vpc
    assert provider.create({"target": vpc}).id == vpc
    with pytest.raises(DeletionError, match="no longer in the account: `pulumi up --refresh`"):
        provider.create({"target": "9cc10173-e9ea-4176-9dbc-a4cee4c4ff30"})
    assert provider.read("9cc10173-e9ea-4176-9dbc-a4cee4c4ff30", {}).id == ""


def test_a_token_that_may_not_delete_is_told_at_once(cloud: CloudServer, quick: None) -> None:
    vpc = cloud.call("POST", "/v2/vpcs", {"name": "k3s-vpc-01", "region": "fra1"})["vpc"]["id"]
    cloud.control("PUT", "/_local/tokens", {"token": READER, "scopes": ["vpc:read"]})
    provider = VpcDeletionProvider()
    provider._credentials = Credentials(cloud.url, READER, "DIGITALOCEAN_TOKEN")
    with pytest.raises(DeletionError, match=r"answered 403 \(.*\); the token is from DIGITALOCEAN_TOKEN"):
        provider.delete(vpc, {"urn": ""})


@pytest.mark.parametrize("provider", [VpcDeletionProvider(), ProjectDeletionProvider()])
def test_what_is_gone_is_no_error_and_a_refusal_is_one_line(
    cloud: CloudServer, quick: None, provider: VpcDeletionProvider | ProjectDeletionProvider
) -> None:
    gone = "9cc10173-e9ea-4176-9dbc-a4cee4c4ff30"
    with pytest.raises(DeletionError, match="set DIGITALOCEAN_TOKEN"):
        provider.delete(gone, {"urn": ""})
    provider._credentials = Credentials(cloud.url, TOKEN, "DIGITALOCEAN_TOKEN")
    provider.delete(gone, {"urn": ""})
    provider._credentials = Credentials(cloud.url, "dop_v1_" + "8" * 64, "DIGITALOCEAN_TOKEN")
    with pytest.raises(DeletionError, match=r"answered 401 .*; the token is from DIGITALOCEAN_TOKEN"):
        provider.delete(gone, {"urn": ""})
