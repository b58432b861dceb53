"""MySQL as the datastore, on MariaDB: the suite that every engine passes, TLS, rights, and another password."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud import control
from tests.e2e.backups import SEEDED, seed, seeded
from tests.e2e.conftest import brought_up
from tests.e2e.datastore_login import another_authority, attempt, from_droplet, login_of, refuses_another_authority
from tests.e2e.datastore_suite import End, PasswordRotation, SqlLife, asked, highly_available, with_token
from tests.e2e.stack import (
    LOCAL,
    LOCAL_CLOUD,
    ORPHANS_SECONDS,
    Stack,
    api,
    database_id,
    rented_with_prefix,
    run,
    wait_for,
)

NAME, COPY = "e2e-my", "e2e-mycopy"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    # The smallest takes fewer connections than two busy servers may open; the plan warns of it.
    database = {"datastoreEngine": "mysql", "datastoreSize": "db-s-1vcpu-2gb"}
    yield from brought_up(highly_available(NAME, "10.65.0.0/24", **database))


@pytest.fixture(scope="module")
def copy() -> Iterator[Stack]:
    """A stack of its own, made of the other one's backup."""
    config = {"topology": "single-node", "datastoreEngine": "mysql", "namePrefix": COPY, "vpcCidr": "10.35.0.0/24"}
    yield from brought_up(Stack(COPY, config), lambda: None)


class TestLife(SqlLife):
    pass


def test_only_servers_get_in_and_only_with_tls_that_they_verify(stack: Stack, tmp_path: Path) -> None:
    outputs = stack.outputs()
    server, agent = outputs["servers"][0]["name"], outputs["agents"][0]["name"]
    right, where = login_of(server), from_droplet(server)
    assert attempt(where, **right) == {"answers": [[[1]]]}
    # The same, with one thing wrong each. MariaDB tells nobody that it is TLS, and not the password, that is missing.
    assert "Can't connect to MySQL server" in attempt(from_droplet(agent), **right)["error"]
    assert "Access denied for user" in attempt(where, **{**right, "ca": ""})["error"]
    wrong = attempt(where, **{**right, "ca": another_authority(tmp_path)})
    assert "certificate verify failed" in wrong["error"]
    assert "Access denied for user" in attempt(where, **{**right, "password": "guessed"})["error"]


def test_k3s_does_not_start_on_a_datastore_whose_certificate_it_cannot_verify(stack: Stack, tmp_path: Path) -> None:
    refuses_another_authority(stack.outputs()["servers"][1]["name"], tmp_path)


def test_k3s_s_user_sees_nothing_but_its_own_database(stack: Stack) -> None:
    server = stack.outputs()["servers"][0]["name"]
    right, where = login_of(server), from_droplet(server)
    (databases, grants) = attempt(where, **{**right, "queries": ["SHOW DATABASES", "SHOW GRANTS"]})["answers"]
    assert databases == [["information_schema"], ["k3s"]]
    assert len(grants) == 2
    assert grants[0][0].startswith("GRANT USAGE ON *.* TO")
    assert grants[1][0].startswith("GRANT ALL PRIVILEGES ON `k3s`.* TO")
    assert "GRANT OPTION" not in grants[1][0]
    for query in ("CREATE DATABASE mine", "SELECT user FROM mysql.user", "CREATE TABLE defaultdb.mine (id int)"):
        assert "denied" in attempt(where, **{**right, "queries": [query]})["error"]
    # It is the database that withholds nothing by itself: the administrator sees all of them.
    assert "defaultdb" in asked(stack, "", "SHOW DATABASES")


def test_a_table_needs_a_primary_key_as_on_digitalocean(stack: Stack) -> None:
    server = stack.outputs()["servers"][0]["name"]
    query = {"queries": ["CREATE TABLE without_key (id int)"]}
    assert "primary key" in attempt(from_droplet(server), **{**login_of(server), **query})["error"]


class TestPasswordRotation(PasswordRotation):
    def users(self, stack: Stack) -> set[str]:
        return set(asked(stack, "", "SELECT user FROM mysql.user WHERE host = '%'")) - {"doadmin"}


@pytest.mark.thorough
def test_a_copy_of_digitalocean_s_backup_goes_on_after_a_run_that_was_killed_in_its_middle(
    stack: Stack, copy: Stack
) -> None:
    seed(stack)
    wait_for("both servers to show what was seeded", lambda: len(seeded(stack)) == sum(SEEDED.values()), 30)
    before, outputs = seeded(stack), stack.outputs()
    user = login_of(outputs["servers"][0]["name"])["user"]
    old = api("GET", f"databases/{database_id(stack)}")["database"]
    run(LOCAL_CLOUD, "backup", old["name"])
    stack.kubectl("create", "configmap", "later")
    copy.config |= {"datastoreSize": old["size"], "datastoreRestoreFrom": old["name"]}
    with_token(copy, outputs["serverToken"])

    def in_copy(query: str) -> list[str]:
        (made,) = (each for each in api("GET", "databases")["databases"] if each["name"].startswith(COPY))
        return run(LOCAL_CLOUD, "sql", "--cluster", made["id"], "k3s", query).stdout.splitlines()

    # The old machines' rows are out, and their user cannot be deleted, when the run ends.
    control.call("POST", "faults", {"method": "DELETE", "path": "/v2/databases/.*/users/.*", "hang_seconds": 120})

    def hangs() -> bool:
        return [fault["times"] for fault in control.call("GET", "faults")["faults"]] == [0]

    up = copy.start_up()
    try:
        wait_for("the old user's deletion to hang", hangs, 300)
        assert up.poll() is None
        os.killpg(up.pid, signal.SIGKILL)
        # While the call hangs: a plugin that outlives its engine for a while would ask again.
        assert in_copy("SELECT count(*) FROM kine WHERE name LIKE '/registry/minions/%'") == ["0"]
        assert user in in_copy("SELECT user FROM mysql.user")
    finally:
        if up.poll() is None:
            os.killpg(up.pid, signal.SIGKILL)
        up.communicate()
        control.call("DELETE", "faults")
    time.sleep(ORPHANS_SECONDS)
    run(LOCAL, "bin/recover", "--yes", PULUMI_STACK=copy.name)
    copy.up()
    assert seeded(copy) == before
    assert copy.kubectl("get", "configmap", "later", check=False).returncode != 0
    assert copy.nodes() == {node["name"]: True for node in copy.outputs()["servers"]}
    assert user not in in_copy("SELECT user FROM mysql.user")
    copy.preview("--refresh", "--expect-no-changes")
    copy.destroy()
    assert rented_with_prefix(COPY) == []
    assert all(stack.nodes().values())


class TestEnd(End):
    pass
