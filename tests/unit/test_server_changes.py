"""What a server that has been Ready may not be changed to."""

from __future__ import annotations

from typing import Any

import pytest

from k3s_cluster import immutable_settings, k3s_version
from k3s_cluster.k3s_config import server_rules
from k3s_cluster.over_ssh.node import NodeProvider
from k3s_cluster.server_changes import refusals
from k3s_cluster.settings import SECRET_KEYS, EmbeddedEtcdSettings, parse_settings
from tests.unit.stack_files import CHECKOUT, config


def server(**changes: object) -> dict[str, Any]:
    """The inputs of a server's Node, as far as they are compared."""
    settings = parse_settings(config(**changes), stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)
    return {
        "role": "server",
        "k3s_version": settings.k3s_version,
        "fixed": immutable_settings.of(server_rules(settings)),
        "etcd_member": isinstance(settings.datastore, EmbeddedEtcdSettings),
    }


FIXED: dict[str, tuple[dict[str, object], dict[str, object], str, str]] = {
    "flannel backend": (
        {},
        {"flannel-backend": "wireguard-native"},
        "k3sServerConfig.flannel-backend",
        "cannot change from K3s's default to `wireguard-native`: nodes with different backends",
    ),
    "secrets encryption": (
        {},
        {"secrets-encryption": False},
        "k3sServerConfig.secrets-encryption",
        "the datastore holds secrets written the other way",
    ),
    "pod range": (
        {"cluster-cidr": "10.50.0.0/16"},
        {"cluster-cidr": "10.60.0.0/16"},
        "k3sServerConfig.cluster-cidr",
        "cannot change from `10.50.0.0/16` to `10.60.0.0/16`: pods and nodes already have addresses from it",
    ),
}


@pytest.mark.parametrize(("before", "after", "setting", "reason"), FIXED.values(), ids=FIXED.keys())
def test_what_a_cluster_keeps_for_life_is_refused_with_the_reason(
    before: dict[str, object], after: dict[str, object], setting: str, reason: str
) -> None:
    olds, news = server(k3sServerConfig=before), server(k3sServerConfig=after)
    assert reason in dict(refusals(olds, news))[setting]
    (failure,) = NodeProvider().check(olds, news).failures
    assert failure.reason.startswith(f"{setting} ")


def test_a_server_that_never_was_ready_may_become_anything() -> None:
    new = server(k3sVersion="v1.35.6+k3s1", k3sServerConfig={"cluster-cidr": "10.60.0.0/16"})
    assert NodeProvider().check({}, new).failures == []


def test_a_server_of_an_earlier_commit_has_its_settings_in_its_config() -> None:
    news = server(k3sServerConfig={"cluster-cidr": "10.60.0.0/16"})
    olds = {key: value for key, value in news.items() if key != "fixed"}
    assert refusals({**olds, "config": "cluster-cidr: 10.60.0.0/16\nsecrets-encryption: true\n"}, news) == []
    (refused,) = refusals({**olds, "config": "secrets-encryption: true\n"}, news)
    assert refused[0] == "k3sServerConfig.cluster-cidr"


def test_agents_keep_nothing_for_life() -> None:
    agent = {**server(), "role": "agent", "fixed": {}}
    assert NodeProvider().check(agent, {**agent, "k3s_version": "v1.30.0+k3s1"}).failures == []


def test_all_reasons_come_at_once() -> None:
    new = server(k3sVersion="v1.35.6+k3s1", k3sServerConfig={"cluster-cidr": "10.60.0.0/16"})
    assert [setting for setting, _ in refusals(server(), new)] == ["k3sVersion", "k3sServerConfig.cluster-cidr"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v1.36.4+k3s1", "v1.36.4+k3s1"),
        ("v1.36.4+k3s1", "v1.36.4+k3s2"),
        ("v1.36.4-rc1+k3s1", "v1.36.4+k3s1"),
        ("v1.36.9+k3s1", "v1.36.10+k3s1"),
        ("v1.36.9+k3s1", "v1.37.0+k3s1"),
    ],
)
def test_versions_that_k3s_can_go_to(old: str, new: str) -> None:
    assert k3s_version.refusal(old, new) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v1.36.4+k3s2", "v1.36.4+k3s1"),
        ("v1.36.4+k3s1", "v1.36.4-rc1+k3s1"),
        ("v1.36.10+k3s1", "v1.36.9+k3s1"),
        ("v1.36.4+k3s1", "v1.35.9+k3s1"),
        ("v1.35.2+k3s1", "v1.37.0+k3s1"),
        ("v1.36.4+k3s1", "latest"),
    ],
)
def test_versions_that_k3s_cannot_go_to(old: str, new: str) -> None:
    assert k3s_version.refusal(old, new)


@pytest.mark.parametrize(
    ("old", "new", "engine"),
    [
        ("v1.33.7+k3s3", "v1.34.2+k3s1", "etcd"),
        ("v1.33.8+k3s1", "v1.34.2+k3s1", "etcd"),
        ("v1.33.6+k3s1", "v1.33.7+k3s2", "etcd"),
        ("v1.34.0+k3s1", "v1.34.2+k3s1", "etcd"),
        ("v1.33.6+k3s1", "v1.34.2+k3s1", "pg"),
    ],
)
def test_versions_that_a_datastore_can_go_to(old: str, new: str, engine: str) -> None:
    before, after = (server(datastoreEngine=engine, k3sVersion=version) for version in (old, new))
    assert refusals(before, after) == []


@pytest.mark.parametrize(("old", "new"), [("v1.33.7+k3s2", "v1.34.0+k3s1"), ("v1.33.7+k3s1", "v1.34.0-rc1+k3s1")])
def test_versions_that_etcd_cannot_go_to(old: str, new: str) -> None:
    assert k3s_version.etcd_refusal(old, new)
