"""What bin/recover takes for a leftover of an interrupted run, and what it must not touch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recovery.file_backend import remove_half_written
from recovery.leftovers import being_deleted, compare, name_of, pending, still_known, wanted, without_pending

VPC, DROPLET, USER = (
    "digitalocean:index/vpc:Vpc",
    "digitalocean:index/droplet:Droplet",
    "digitalocean:index/databaseUser:DatabaseUser",
)
STACK_URN, VPC_URN = "urn:stack", "urn:vpc::k3s-vpc"
STATE: dict[str, Any] = {
    "deployment": {
        "resources": [
            {"urn": STACK_URN, "type": "pulumi:pulumi:Stack", "created": "2026-11-24T10:00:00Z"},
            {"urn": VPC_URN, "type": VPC, "id": "vpc-1", "created": "2026-11-24T12:00:00.123456789Z"},
        ],
        "pending_operations": [{"type": "creating", "resource": {"urn": "urn:d::server-0-droplet"}}],
    }
}


def plan(op: str, token: str, inputs: dict[str, Any], dependencies: list[str] | None = None) -> dict[str, Any]:
    new = {"type": token, "inputs": inputs, "parent": STACK_URN, "dependencies": dependencies}
    return {"steps": [{"op": op, "newState": new}, {"op": "delete", "newState": None}]}


def found(plan: dict[str, Any], *items: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Ids of leftovers and of what is foreign, when the account has `items` where the plan's resource is listed."""
    resources = wanted(STATE, plan)
    left, foreign = compare(resources, STATE, {resources[0].path: items})
    return [each.id for each in left], [each.id for each in foreign]


def test_a_droplet_that_was_made_and_not_written_down_is_left_over() -> None:
    planned = plan("create", DROPLET, {"name": "k3s-server-1a2b"}, [VPC_URN])
    made = {"id": 7, "name": "k3s-server-1a2b", "created_at": "2026-11-24T12:00:05Z"}
    other = {"id": 8, "name": "k3s-server-ffff", "created_at": "2026-11-24T12:00:05Z"}
    assert found(planned, made, other) == (["7"], [])


def test_a_second_one_beside_the_one_in_the_state_is_left_over_and_the_known_one_stays() -> None:
    planned = plan("same", VPC, {"name": "k3s-vpc-01"})
    known = {"id": "vpc-1", "name": "k3s-vpc-01", "created_at": "2026-11-24T12:00:00Z"}
    twin = {"id": "vpc-2", "name": "k3s-vpc-01", "created_at": "2026-11-24T12:00:01Z"}
    assert found(planned, known, twin) == (["vpc-2"], [])


@pytest.mark.parametrize(("op", "foreign"), [("create", ["vpc-9"]), ("same", [])])
def test_what_is_older_than_the_stack_belongs_to_somebody_else(op: str, foreign: list[str]) -> None:
    planned = plan(op, VPC, {"name": "k3s-vpc-01"})
    older = {"id": "vpc-9", "name": "k3s-vpc-01", "created_at": "2026-11-24T09:58:00Z"}
    assert found(planned, older) == ([], foreign)


def test_what_is_older_than_what_it_would_have_been_made_after_is_not_touched() -> None:
    planned = plan("create", DROPLET, {"name": "k3s-server-1a2b"}, [VPC_URN])
    between = {"id": 7, "name": "k3s-server-1a2b", "created_at": "2026-11-24T11:00:00Z"}
    assert found(planned, between) == ([], ["7"])


def test_a_database_s_user_is_left_over_only_where_the_state_lacks_it() -> None:
    inputs = {"name": "k3s_default_user", "clusterId": "cluster-1"}
    user = {"name": "k3s_default_user"}
    assert found(plan("create", USER, inputs), user, {"name": "doadmin"}) == (["k3s_default_user"], [])
    assert found(plan("same", USER, inputs), user) == ([], [])
    assert wanted(STATE, plan("create", USER, inputs))[0].path == "/v2/databases/cluster-1/users"


def test_a_dns_record_is_known_by_all_it_says() -> None:
    inputs = {"domain": "example.com", "name": "api", "type": "A", "value": "203.0.113.9"}
    record = plan("create", "digitalocean:index/dnsRecord:DnsRecord", inputs)
    told = {"name": "api", "type": "A"}
    items = [{"id": 1, "data": "203.0.113.9", **told}, {"id": 2, "data": "203.0.113.7", **told}]
    assert found(record, *items) == (["1"], [])


def test_a_name_that_is_not_known_yet_is_not_looked_for() -> None:
    assert wanted(STATE, plan("create", DROPLET, {})) == []


def test_an_empty_state_has_left_nothing() -> None:
    assert wanted({"deployment": {}}, plan("create", VPC, {"name": "k3s-vpc-01"})) == []


def test_users_go_before_what_they_use() -> None:
    steps = [
        *plan("create", VPC, {"name": "a"})["steps"],
        *plan("create", DROPLET, {"name": "b"})["steps"],
    ]
    late = "2026-11-25T00:00:00Z"
    account = {
        "/v2/vpcs": [{"id": "v", "name": "a", "created_at": late}],
        "/v2/droplets": [{"id": 1, "name": "b", "created_at": late}],
    }
    left, _ = compare(wanted(STATE, {"steps": steps}), STATE, account)
    assert [each.path for each in left] == ["/v2/droplets/1", "/v2/vpcs/v"]


def test_operations_under_way_are_told_and_dropped_and_the_resources_stay() -> None:
    assert pending(STATE) == ["creating server-0-droplet"]
    assert pending(without_pending(STATE)) == []
    assert without_pending(STATE)["deployment"]["resources"] == STATE["deployment"]["resources"]


def test_of_what_was_being_deleted_the_cloud_s_resources_are_asked_for() -> None:
    def under_way(kind: str, type_: str, name: str) -> dict[str, Any]:
        return {"type": kind, "resource": {"urn": f"urn:pulumi:fra1::k3s::{type_}::{name}", "type": type_}}

    operations = [
        under_way("deleting", VPC, "k3s-vpc"),
        under_way("deleting", "random:index/randomPassword:RandomPassword", "k3s-token"),
        under_way("deleting", "pulumi-python:dynamic/over_ssh:Node", "k3s-node"),
        under_way("creating", DROPLET, "k3s-server-0"),
        under_way("deleting", VPC, "k3s-vpc"),
    ]
    state = {"deployment": {"pending_operations": operations, "resources": [operations[0]["resource"]]}}
    (vpc,) = being_deleted(state)
    assert name_of(vpc) == "k3s-vpc"
    assert still_known(state, [vpc, "urn:pulumi:fra1::k3s::x::gone"]) == [vpc]
    assert being_deleted({"deployment": {}}) == []


DELETION = "pulumi-python:dynamic/cloud:VpcDeletion"


def test_a_vpc_whose_deletion_was_under_way_or_is_not_there_is_asked_for() -> None:
    vpc = {"urn": "urn:pulumi:fra1::k3s::k3s:cloud:Network$digitalocean:index/vpc:Vpc::k3s-vpc", "type": VPC}
    end = {"urn": f"urn:pulumi:fra1::k3s::{DELETION}::end", "type": DELETION, "dependencies": [vpc["urn"]]}
    both = {"deployment": {"resources": [vpc, end]}}
    assert being_deleted(both) == []
    killed = {"deployment": {"resources": [vpc, end], "pending_operations": [{"type": "deleting", "resource": end}]}}
    assert [name_of(urn) for urn in being_deleted(killed)] == ["k3s-vpc", "end"]
    # Between the two: the deletion is done and forgotten, the VPC's resource is still to be forgotten.
    assert being_deleted({"deployment": {"resources": [vpc]}}) == [vpc["urn"]]


def test_an_empty_file_of_attributes_is_removed_and_everything_else_stays(tmp_path: Path) -> None:
    folder = tmp_path / ".pulumi" / "stacks" / "k3s-digitalocean"
    folder.mkdir(parents=True)
    contents = {"a.json": "{}", "a.json.attrs": "", "b.json": "", "b.json.attrs": "{}"}
    for name, text in contents.items():
        (folder / name).write_text(text)
    assert remove_half_written("https://api.pulumi.com") == []
    assert remove_half_written(f"file://{tmp_path}") == [folder / "a.json.attrs"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "b.json", "b.json.attrs"]
