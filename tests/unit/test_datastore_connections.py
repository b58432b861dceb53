"""Which nodes hold back connections to the datastore beyond those that it has for each server."""

from __future__ import annotations

from typing import Literal

import pytest

from k3s_cluster import datastore_connections
from k3s_cluster.account import limits
from k3s_cluster.settings import SECRET_KEYS, ManagedDatastoreSettings, parse_settings
from tests.unit.stack_files import CHECKOUT, config


def paths(role: Literal["server", "agent"], **changes: object) -> set[str]:
    settings = parse_settings(config(**changes), stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)
    return set(datastore_connections.files(settings, role))


def test_servers_with_a_managed_database_hold_connections_back_before_k3s_starts() -> None:
    assert paths("server") == paths("server", datastoreEngine="mysql") != set()
    rules, drop_in = datastore_connections.RULES_PATH, datastore_connections.DROP_IN_PATH
    assert paths("server") == {rules, drop_in}
    settings = parse_settings(config(), stack="dev", folder=CHECKOUT)
    assert f"ExecStartPre=-/usr/sbin/nft --file {rules}\n" in datastore_connections.files(settings, "server")[drop_in]


@pytest.mark.parametrize(
    "changes",
    [
        {"topology": "single-node"},
        {"datastoreEngine": "etcd", "serverCount": 3},
        {"datastoreEngine": "external", "datastoreEndpoint": "postgres://k3s:secret@10.10.10.9:5432/k3s"},
    ],
    ids=["sqlite", "etcd", "external"],
)
def test_without_a_managed_database_nobody_does(changes: dict[str, object]) -> None:
    assert paths("server", **changes) == set()


def test_agents_have_no_datastore() -> None:
    assert paths("agent") == set()


def test_the_default_database_takes_what_its_servers_may_have() -> None:
    settings = parse_settings(config(), stack="dev", folder=CHECKOUT)
    assert isinstance(settings.datastore, ManagedDatastoreSettings)
    limit = limits.connection_limit(settings.datastore.engine, settings.datastore.size)
    assert limit is not None
    others = (settings.servers.count - 1) * datastore_connections.OTHERWISE[settings.datastore.engine]
    assert datastore_connections.AT_MOST + others <= limit
