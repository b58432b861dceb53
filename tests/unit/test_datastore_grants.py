"""Who says what to the managed database, and what happens when it refuses."""

from __future__ import annotations

import contextlib

import pymysql
import pytest

from k3s_cluster.over_ssh import datastore_grants
from k3s_cluster.over_ssh.datastore_grants import HAS_GIVEN_UP, DatastoreGrantsProvider
from k3s_cluster.over_ssh.datastore_session import Login

GRANTED = ("GRANT ALL PRIVILEGES ON `k3s`.* TO 'k'@'%'",)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, tuple[str, ...]]]:
    """Who said what, in which database; the first of it is refused, as one that has nothing to give up is."""
    heard: list[tuple[str, str, tuple[str, ...]]] = []

    def run(_server: object, login: Login, statements: tuple[str, ...]) -> None:
        heard.append((login.user, login.database, statements))
        if len(heard) == 1:
            raise pymysql.err.OperationalError(HAS_GIVEN_UP, "Access denied; you need CREATE USER")

    monkeypatch.setattr(datastore_grants, "run_statements", run)
    monkeypatch.setattr(datastore_grants, "connect", lambda *_: contextlib.nullcontext(None))
    monkeypatch.setattr(datastore_grants, "RETRY_SECONDS", 0)
    return heard


def test_a_user_of_mysql_gives_its_rights_up_itself_and_is_not_asked_twice(
    said: list[tuple[str, str, tuple[str, ...]]],
) -> None:
    props = {"urn": "", "engine": "mysql", "database": "k3s", "user": "k", "password": "p", "database_ca": ""}
    props |= {"database_host": "h", "database_port": 1, "administrator": "doadmin", "administrator_password": "q"}
    DatastoreGrantsProvider().create({**props, "host": "h", "host_key": "", "private_key": ""})
    given_up = ("REVOKE ALL PRIVILEGES, GRANT OPTION FROM CURRENT_USER()",)
    assert said == [("k", "", given_up), ("doadmin", "k3s", GRANTED), ("k", "k3s", ())]
