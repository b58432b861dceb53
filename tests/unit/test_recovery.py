"""What bin/recover takes for a leftover of an interrupted run, and what it must not touch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from k3s_cluster.account.client import Credentials
from recovery import __main__ as command
from recovery.file_backend import remove_half_written
from recovery.leftovers import (
    as_planned,
    being_deleted,
    compare,
    import_file,
    name_of,
    pending,
    still_known,
    wanted,
    without_pending,
)

VPC, DROPLET, USER, DATABASE = (
    "digitalocean:index/vpc:Vpc",
    "digitalocean:index/droplet:Droplet",
    "digitalocean:index/databaseUser:DatabaseUser",
    "digitalocean:index/databaseDb:DatabaseDb",
)
CLUSTER = "digitalocean:index/databaseCluster:DatabaseCluster"
STACK_URN, VPC_URN, CLUSTER_URN = "urn:stack", "urn:vpc::k3s-vpc", "urn:cluster"
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
    urn = f"urn:pulumi:fra1::k3s::{token}::of-the-plan"
    new = {"urn": urn, "type": token, "inputs": inputs, "parent": STACK_URN, "dependencies": dependencies}
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


def test_what_is_in_a_database_cluster_is_taken_into_the_state_and_never_removed() -> None:
    steps: list[dict[str, Any]] = []
    for token, name in ((USER, "k3s_default_user"), (DATABASE, "k3s")):
        steps += plan("create", token, {"name": name, "clusterId": "cluster-1"})["steps"]
    account = {
        "/v2/databases/cluster-1/users": [{"name": "k3s_default_user"}],
        "/v2/databases/cluster-1/dbs": [{"name": "k3s"}],
    }
    provider = "urn:pulumi:fra1::k3s::pulumi:providers:digitalocean::default_4_84_0"
    cluster = {"urn": CLUSTER_URN, "type": CLUSTER, "id": "cluster-1", "provider": f"{provider}::an-id"}
    # Of another provider, and with the same id.
    version = {"urn": "urn:version", "type": "pulumi-python:dynamic", "id": "cluster-1", "provider": "urn:other::id"}
    state = {"deployment": {"resources": [*STATE["deployment"]["resources"], cluster, version]}}
    left, _ = compare(wanted(STATE, {"steps": steps}), STATE, account)
    assert all(each.wanted.kind.import_id for each in left)
    assert import_file(left, state) == {
        "nameTable": {
            **{"parent-0": STACK_URN, "provider-0": provider},
            **{"parent-1": STACK_URN, "provider-1": provider},
        },
        "resources": [
            {"type": USER, "name": "of-the-plan", "id": "cluster-1,k3s_default_user"}
            | {"parent": "parent-0", "provider": "provider-0"},
            {"type": DATABASE, "name": "of-the-plan", "id": "cluster-1,k3s"}
            | {"parent": "parent-1", "provider": "provider-1"},
        ],
    }


def test_what_was_imported_goes_with_its_cluster_as_the_plan_has_it() -> None:
    planned = plan("create", DATABASE, {"name": "k3s", "clusterId": "cluster-1"}, [CLUSTER_URN, "urn:gone"])
    new = planned["steps"][0]["newState"]
    new |= {"deletedWith": CLUSTER_URN, "propertyDependencies": {"clusterId": [CLUSTER_URN, "urn:gone"], "name": None}}
    left, _ = compare(wanted(STATE, planned), STATE, {"/v2/databases/cluster-1/dbs": [{"name": "k3s"}]})
    imported = {"urn": new["urn"], "type": DATABASE, "id": "cluster-1/database/k3s"}
    cluster = {"urn": CLUSTER_URN, "type": "t", "id": "cluster-1"}
    state = as_planned({"version": 3, "deployment": {"resources": [cluster, imported], "secrets": 1}}, left)
    assert state == {
        "version": 3,
        "deployment": {
            "secrets": 1,
            "resources": [
                cluster,
                imported
                | {"dependencies": [CLUSTER_URN], "deletedWith": CLUSTER_URN}
                | {"propertyDependencies": {"clusterId": [CLUSTER_URN], "name": []}},
            ],
        },
    }


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
    locks = tmp_path / ".pulumi" / "locks"
    locks.mkdir()
    (locks / "c.json.attrs").touch()
    contents = {"a.json": "{}", "a.json.attrs": "", "b.json": "", "b.json.attrs": "{}"}
    for name, text in contents.items():
        (folder / name).write_text(text)
    assert remove_half_written("https://api.pulumi.com") == []
    assert remove_half_written(f"file://{tmp_path}") == [locks / "c.json.attrs", folder / "a.json.attrs"]
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "b.json", "b.json.attrs"]


class _Pulumi:
    """A stack whose refresh takes `gone` out of the state, at its first run or at a later one."""

    def __init__(self, *gone: list[str]) -> None:
        self._gone = list(gone)
        self.urns = [
            "urn:pulumi:fra1::k3s::x::slow",
            "urn:pulumi:fra1::k3s::x::stays",
            "urn:pulumi:fra1::k3s::x::quick",
        ]
        self.refreshed: list[list[str]] = []

    def __call__(self, *command: str, stdin: str = "") -> str:
        if command[:2] == ("stack", "export"):
            return json.dumps({"deployment": {"resources": [{"urn": urn} for urn in self.urns]}})
        assert command[:3] == ("refresh", "--yes", "--skip-preview")
        self.refreshed.append([name_of(each) for each in command if each.startswith("urn:")])
        gone = self._gone.pop(0)
        self.urns = [urn for urn in self.urns if name_of(urn) not in gone]
        return ""


def test_what_stays_after_a_deletion_is_asked_for_once_more_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = _Pulumi(["quick"], ["slow"])
    monkeypatch.setattr(command, "pulumi", stack)
    monkeypatch.setattr(command, "DELETION_SECONDS", 0)
    state = command._without_gone({}, stack.urns)
    assert stack.refreshed == [["slow", "stays", "quick"], ["slow", "stays"]]
    assert [name_of(each["urn"]) for each in state["deployment"]["resources"]] == ["stays"]
    assert capsys.readouterr().out.splitlines() == [
        "is gone, and is taken out of the state: quick",
        "is gone, and is taken out of the state: slow",
        "is still there, and stays in the state: stays",
    ]


def test_nothing_is_asked_for_where_no_deletion_was_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = _Pulumi()
    monkeypatch.setattr(command, "pulumi", stack)
    assert command._without_gone({"a": 1}, []) == {"a": 1}
    assert stack.refreshed == []


def test_the_stack_s_own_token_and_endpoint_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = {
        "digitalocean:token": {"value": "dop_v1_own", "secret": True},
        "digitalocean:apiEndpoint": {"value": "http://x"},
    }
    asked: list[Credentials | None] = []

    class Found(Exception):
        pass

    def account(credentials: Credentials | None) -> None:
        asked.append(credentials)
        raise Found

    answers = {"whoami": {"url": f"file://{tmp_path}"}, "config": shown}
    monkeypatch.setattr(command, "pulumi", lambda *arguments, **_: json.dumps(answers[arguments[0]]))
    monkeypatch.setattr(command, "Account", account)
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "dop_v1_of_the_shell")
    with pytest.raises(Found):
        command._recover(ask=False)
    assert asked == [Credentials("http://x", "dop_v1_own", "the config's digitalocean:token")]
