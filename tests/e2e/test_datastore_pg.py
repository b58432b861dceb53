"""PostgreSQL as the datastore: the suite that every engine passes, rights, another password, and changes in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from k3s_cluster.datastore_endpoint import DatabaseAddress, datastore_endpoint
from k3s_cluster.over_ssh.datastore_grants import OWNER, grants
from tests.e2e.conftest import brought_up
from tests.e2e.datastore_login import CA, attempt, from_droplet, login_of
from tests.e2e.datastore_suite import End, PasswordRotation, SqlLife, asked, change, highly_available
from tests.e2e.stack import LOCAL_CLOUD, Stack, api, database_id, run

#: Longer than kine needs to make its table, or to be refused, in seconds; a kine that could serves until then.
KINE_SECONDS = "5"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    yield from brought_up(highly_available("e2e-pg", "10.30.0.0/24", datastoreEngine="pg", datastoreVersion="16"))


class TestLife(SqlLife):
    pass


def kine(server: str, login: dict[str, Any]) -> str:
    """What another kine of K3s's says on `server` when it is to keep its rows where `login` leads."""
    address = DatabaseAddress("pg", login["host"], login["port"], login["user"], login["password"], login["database"])
    # The local cloud's kine reads its arguments from standard input, one a line.
    arguments = [
        "--listen-address=unix:///run/another-kine.sock",
        f"--endpoint={datastore_endpoint(address)}",
        f"--ca-file={CA}",
        "--metrics-bind-address=0",
    ]
    command = f"timeout {KINE_SECONDS} /var/lib/rancher/k3s/data/*/bin/kine"
    done = run(LOCAL_CLOUD, "shell", server, "bash", "-c", command, check=False, stdin="\n".join(arguments) + "\n")
    return done.stdout


def test_without_the_grants_kine_cannot_make_its_table_and_with_them_it_can(stack: Stack) -> None:
    """Since PostgreSQL 15: a user as DigitalOcean makes it has no right on schema public. Others forget it."""
    server, cluster = stack.outputs()["servers"][0]["name"], f"databases/{database_id(stack)}"
    administrator = api("GET", cluster)["database"]["connection"]
    user = api("POST", f"{cluster}/users", {"name": "newcomer"})["user"]
    api("POST", f"{cluster}/dbs", {"name": "another"})
    where = from_droplet(server)
    login = {**login_of(server), "user": "newcomer", "password": user["password"], "database": "another"}
    admin = {**login, "user": administrator["user"], "password": administrator["password"]}
    of_kine = "SELECT tableowner FROM pg_tables WHERE tablename = 'kine'"
    try:
        assert "permission denied for schema public (SQLSTATE 42501)" in kine(server, login)
        assert asked(stack, "another", of_kine) == []
        # What versions of this program granted before there was a role: kine's table is the login's own.
        attempt(where, **{**admin, "queries": ["GRANT USAGE, CREATE ON SCHEMA public TO newcomer"]})
        assert "SQLSTATE" not in kine(server, login)
        assert asked(stack, "another", of_kine) == ["newcomer"]
        # What it grants today, over that, and again, as after a run that was interrupted.
        said = grants("pg", "another", "newcomer")
        for _ in range(2):
            assert "answers" in attempt(where, **{**admin, "queries": said.administrator})
            assert "answers" in attempt(where, **{**login, "queries": said.user})
        assert asked(stack, "another", of_kine) == [OWNER]
        assert "SQLSTATE" not in kine(server, login)
        assert what_it_has(stack, "newcomer") == 0
        # On an empty database, too.
        attempt(where, **{**login, "queries": ["DROP TABLE kine"]})
        assert "SQLSTATE" not in kine(server, login)
        assert asked(stack, "another", of_kine) == [OWNER]
    finally:
        api("DELETE", f"{cluster}/dbs/another")
        api("DELETE", f"{cluster}/users/newcomer")


def what_it_has(stack: Stack, user: str) -> int:
    """How much there is that `user` owns or may do by itself: for any of it, Postgres would not delete the user."""
    query = (
        "SELECT count(*) FROM pg_shdepend JOIN pg_roles ON refobjid = pg_roles.oid "
        f"WHERE refclassid = 'pg_authid'::regclass AND rolname = '{user}'"
    )
    (count,) = asked(stack, "k3s", query)
    return int(count)


def test_k3s_s_user_can_be_deleted_since_it_has_nothing_of_its_own(stack: Stack) -> None:
    assert what_it_has(stack, login_of(stack.outputs()["servers"][0]["name"])["user"]) == 0
    assert what_it_has(stack, OWNER) > 0


class TestPasswordRotation(PasswordRotation):
    def users(self, stack: Stack) -> set[str]:
        return set(asked(stack, "", "SELECT rolname FROM pg_roles WHERE rolcanlogin")) - {"postgres", "doadmin"}


def test_size_nodes_and_version_change_in_place(stack: Stack) -> None:
    before = database_id(stack)
    said = change(stack, datastoreSize="db-s-1vcpu-2gb", datastoreNodes=2, datastoreVersion="17")
    assert "replace" not in said
    assert database_id(stack) == before
    database = api("GET", f"databases/{before}")["database"]
    assert (database["size"], database["num_nodes"], database["version"]) == ("db-s-1vcpu-2gb", 2, "17")
    assert stack.outputs()["datastore"]["version"] == "17"
    assert all(stack.nodes().values())
    stack.kubectl("get", "deployment", "web")
    stack.preview("--refresh", "--expect-no-changes")


class TestEnd(End):
    pass
