"""What cannot change in a living cluster."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from k3s_cluster.invariants import InvariantsProvider, of, refusals
from k3s_cluster.settings import SECRET_KEYS, parse_settings
from tests.unit.stack_files import CHECKOUT, config


def invariants(**changes: object) -> dict[str, Any]:
    return asdict(of(parse_settings(config(**changes), stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)))


def test_naming_the_engine_that_a_cluster_has_is_no_change() -> None:
    assert invariants(datastoreEngine="pg") == invariants()
    assert invariants(topology="single-node", datastoreEngine="sqlite") == invariants(topology="single-node")


def test_what_may_change_is_not_refused() -> None:
    changed = invariants(agentCount=5, serverSize="s-4vcpu-8gb", image="ubuntu-26-04-x64", k3sVersion="v1.37.0+k3s1")
    assert refusals(invariants(), changed) == []


RESTORED: dict[str, object] = {
    "datastoreRestoreFrom": "old",
    "datastoreRestoreAt": "2026-01-31T19:25:22Z",
    "datastoreRestoreToken": "token",
}
REFUSED: dict[str, tuple[dict[str, object], dict[str, object], str, str]] = {
    "topology": ({}, {"topology": "single-node"}, "topology", "cannot change from `ha` to `single-node`"),
    "region": ({}, {"region": "nyc3"}, "region", "all data lost; make another stack"),
    "VPC range": ({}, {"vpcCidr": "10.9.0.0/24"}, "vpcCidr", "cannot change from `10.10.10.0/24` to `10.9.0.0/24`"),
    "another VPC": (
        {},
        {"vpcId": "5a4981aa-9653-4bd1-bef5-d6bff52042e4"},
        "vpcId",
        "cannot change from the stack's own VPC to `5a4981aa-9653-4bd1-bef5-d6bff52042e4`: the datastore and all",
    ),
    "back to an own VPC": (
        {"vpcId": "5a4981aa-9653-4bd1-bef5-d6bff52042e4"},
        {},
        "vpcId",
        "cannot change from `5a4981aa-9653-4bd1-bef5-d6bff52042e4` to the stack's own VPC",
    ),
    "flannel backend": (
        {},
        {"k3sServerConfig": {"flannel-backend": "wireguard-native"}},
        "k3sServerConfig.flannel-backend",
        "cannot change from `vxlan` to `wireguard-native`: nodes with different backends",
    ),
    "prefix": ({}, {"namePrefix": "blue"}, "namePrefix", "cannot change from `k3s` to `blue`"),
    "engine": (
        {},
        {"datastoreEngine": "mysql"},
        "datastoreEngine",
        "cannot change from `pg` to `mysql`: a cluster's state cannot move between engines in place",
    ),
    "DigitalOcean's backup": (
        RESTORED,
        {},
        "datastoreRestoreFrom",
        "cannot change from `old of 2026-01-31T19:25:22Z` to no backup: it counted when the database was made",
    ),
    "a later backup": (
        RESTORED,
        {**RESTORED, "datastoreRestoreAt": ""},
        "datastoreRestoreFrom",
        "cannot change from `old of 2026-01-31T19:25:22Z` to `old`",
    ),
    "a backup for a living cluster": ({}, RESTORED, "datastoreRestoreFrom", "cannot change from no backup to `old of"),
    "backup": ({"restoreFile": "a/fra1.backup"}, {}, "restoreFile", "cannot change from `fra1.backup` to no backup"),
    "image of a single node": (
        {"topology": "single-node"},
        {"topology": "single-node", "image": "debian-12-x64"},
        "image",
        "cannot change from `ubuntu-24-04-x64` to `debian-12-x64` on a single node",
    ),
    "another image with etcd on the servers": (
        {"datastoreEngine": "etcd"},
        {"datastoreEngine": "etcd", "image": "debian-12-x64"},
        "image",
        "with etcd inside the servers: all their droplets would be replaced",
    ),
    "another size with etcd on the servers": (
        {"datastoreEngine": "etcd"},
        {"datastoreEngine": "etcd", "serverSize": "s-4vcpu-8gb"},
        "serverSize",
        "cannot change from `s-2vcpu-4gb` to `s-4vcpu-8gb` with etcd inside the servers",
    ),
}


@pytest.mark.parametrize(("before", "after", "setting", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(before: dict[str, object], after: dict[str, object], setting: str, reason: str) -> None:
    found = dict(refusals(invariants(**before), invariants(**after)))
    assert reason in found[setting]
    checked = InvariantsProvider().check(invariants(**before), invariants(**after))
    assert any(failure.reason.startswith(f"{setting} ") for failure in checked.failures)


def test_a_single_node_with_etcd_is_resized_in_place() -> None:
    single = {"topology": "single-node", "datastoreEngine": "etcd"}
    assert refusals(invariants(**single), invariants(**single, serverSize="s-4vcpu-8gb")) == []


def test_what_pulumi_leaves_out_for_none_is_no_change() -> None:
    told = {key: value for key, value in invariants().items() if value is not None}
    assert refusals(told, told) == []
    assert InvariantsProvider().diff("k3s", told, told).changes is False


def test_a_cluster_made_before_vpc_id_was_a_setting_is_not_changed() -> None:
    told = {key: value for key, value in invariants().items() if key != "vpc_id"}
    assert refusals(told, invariants()) == []


def test_what_only_names_or_shows_a_cluster_may_change() -> None:
    around = {"projectName": "shop", "apiDomain": "k3s.example.com", "kubeconfigMerge": True}
    assert refusals(invariants(), invariants(**around)) == []
    single = {"topology": "single-node"}
    assert refusals(invariants(**single), invariants(**single, reservedIp="auto")) == []


def test_the_own_range_does_not_count_in_a_vpc_that_is_there() -> None:
    vpc = {"vpcId": "5a4981aa-9653-4bd1-bef5-d6bff52042e4"}
    assert refusals(invariants(**vpc), invariants(**vpc, vpcCidr="10.9.0.0/24")) == []


def test_a_default_that_is_written_out_is_no_change() -> None:
    assert refusals(invariants(), invariants(k3sServerConfig={"flannel-backend": "vxlan"})) == []
    earlier = {key: value for key, value in invariants().items() if key != "flannel_backend"}
    assert refusals(earlier, invariants(k3sServerConfig={"flannel-backend": "wireguard-native"})) == []


def test_a_new_cluster_may_be_anything() -> None:
    assert InvariantsProvider().check({}, invariants(region="nyc3")).failures == []


def test_a_backup_may_lie_elsewhere_on_another_machine() -> None:
    assert refusals(invariants(restoreFile="a/fra1.backup"), invariants(restoreFile="/b/fra1.backup")) == []
