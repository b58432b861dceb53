"""MySQL as the datastore, on MariaDB: the suite that every engine passes, TLS, rights, and another password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import brought_up
from tests.e2e.datastore_login import another_authority, attempt, from_droplet, login_of, refuses_another_authority
from tests.e2e.datastore_suite import End, PasswordRotation, SqlLife, asked, highly_available
from tests.e2e.stack import Stack

NAME = "e2e-my"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    yield from brought_up(highly_available(NAME, "10.65.0.0/24", datastoreEngine="mysql"))


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


class TestEnd(End):
    pass
