"""PostgreSQL as the datastore: the suite that every engine passes, rights, another password, and changes in place."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from k3s_cluster.datastore_endpoint import DatabaseAddress, datastore_endpoint
from k3s_cluster.over_ssh.datastore_grants import OWNER, grants
from tests.e2e.backups import SEEDED, seed, seeded
from tests.e2e.conftest import brought_up
from tests.e2e.datastore_login import CA, attempt, from_droplet, login_of
from tests.e2e.datastore_suite import End, PasswordRotation, SqlLife, asked, change, highly_available, with_token
from tests.e2e.stack import (
    LOCAL,
    LOCAL_CLOUD,
    ORPHANS_SECONDS,
    Stack,
    api,
    database_id,
    rented,
    rented_with_prefix,
    run,
    wait_for,
)

#: Longer than kine needs to make its table, or to be refused, in seconds; a kine that could serves until then.
KINE_SECONDS = "5"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    # The smallest takes fewer connections than two busy servers may open; the plan warns of it.
    database = {"datastoreEngine": "pg", "datastoreVersion": "16", "datastoreSize": "db-s-1vcpu-2gb"}
    yield from brought_up(highly_available("e2e-pg", "10.30.0.0/24", **database))


#: A stack of its own, made of the other one's backup.
COPY = "e2e-pgcopy"
TABLE_OWNER = "SELECT tableowner FROM pg_tables WHERE tablename = 'kine'"


@pytest.fixture(scope="module")
def copy() -> Iterator[Stack]:
    config = {"topology": "single-node", "datastoreEngine": "pg", "namePrefix": COPY, "vpcCidr": "10.34.0.0/24"}
    yield from brought_up(Stack(COPY, config), lambda: None)


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    return {}


class TestLife(SqlLife):
    pass


def kine(server: str, login: dict[str, Any]) -> str:
    """What another kine of K3s's says on `server` when it is to keep its rows where `login` leads."""
    address = DatabaseAddress("pg", login["host"], login["port"], login["user"], login["password"], login["database"])
    # The local cloud's kine reads its configuration from standard input.
    config = {"socket": "/run/another-kine.sock", "endpoint": datastore_endpoint(address), "ca-file": CA}
    command = f"timeout {KINE_SECONDS} bash -c 'exec -a kine k3s'"
    done = run(LOCAL_CLOUD, "shell", server, "bash", "-c", command, check=False, stdin=json.dumps(config))
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


@pytest.mark.thorough
def test_a_rotation_that_was_killed_between_two_servers_goes_on(stack: Stack) -> None:
    first, second = (server["name"] for server in stack.outputs()["servers"])
    former = login_of(first)
    stack.config["datastorePasswordVersion"] = 3
    stack.configure()
    up = stack.start_up()
    try:
        wait_for("a server with the new login", lambda: login_of(first) != former, 120)
    finally:
        up.kill()
        up.communicate()
    assert login_of(second) == former
    # Either login still opens the database, and the cluster is none the wiser.
    stack.kubectl("create", "configmap", "between-two-passwords")
    time.sleep(ORPHANS_SECONDS)
    run(LOCAL, "bin/recover", "--yes", PULUMI_STACK=stack.name)
    stack.up()
    assert login_of(first) == login_of(second)
    assert TestPasswordRotation().users(stack) == {login_of(first)["user"]} != {former["user"]}
    assert all(stack.nodes().values())
    stack.kubectl("get", "configmap", "between-two-passwords")
    stack.preview("--refresh", "--expect-no-changes")


@pytest.mark.thorough
def test_size_nodes_and_version_change_in_place(stack: Stack) -> None:
    before = database_id(stack)
    said = change(stack, datastoreSize="db-s-2vcpu-4gb", datastoreNodes=2, datastoreVersion="17")
    assert "replace" not in said
    assert database_id(stack) == before
    database = api("GET", f"databases/{before}")["database"]
    assert (database["size"], database["num_nodes"], database["version"]) == ("db-s-2vcpu-4gb", 2, "17")
    assert stack.outputs()["datastore"]["version"] == "17"
    assert all(stack.nodes().values())
    stack.kubectl("get", "deployment", "web")
    stack.preview("--refresh", "--expect-no-changes")


@pytest.mark.thorough
class TestRestoreFromDigitalOceansBackup:
    """A cluster from the managed database's own backup, beside the old one."""

    def test_a_wrong_token_is_told_before_anything_starts(
        self, stack: Stack, copy: Stack, seen: dict[str, Any]
    ) -> None:
        seed(stack)
        # The other server learns of it within a second or two: kine looks once a second.
        wait_for("both servers to show what was seeded", lambda: len(seeded(stack)) == sum(SEEDED.values()), 30)
        outputs = stack.outputs()
        seen["before"], seen["token"] = seeded(stack), outputs["serverToken"]
        # As an earlier version of this program left it: the table is the login's own.
        user = login_of(outputs["servers"][0]["name"])["user"]
        asked(stack, "k3s", f"GRANT ALL ON kine, kine_id_seq TO {OWNER}; ALTER TABLE kine OWNER TO {user}")
        assert asked(stack, "k3s", TABLE_OWNER) == [user]
        old = api("GET", f"databases/{database_id(stack)}")["database"]
        at = run(LOCAL_CLOUD, "backup", old["name"]).stdout.strip()
        asked(stack, "k3s", f"ALTER TABLE kine OWNER TO {OWNER}")
        stack.kubectl("create", "configmap", "later")
        stack.kubectl("delete", "configmap", "--namespace=seed-00", "seed-00")
        copy.config |= {
            "datastoreVersion": old["version"],
            "datastoreSize": old["size"],
            "datastoreRestoreFrom": old["name"],
            "datastoreRestoreAt": at,
        }
        with_token(copy, "not-the-token", datastoreVersion="16")
        refused = copy.up(check=False)
        assert refused.returncode != 0
        assert f"datastoreVersion: `16` is not the version of `{old['name']}`" in refused.stdout
        assert rented_with_prefix(COPY) == []
        with_token(copy, "not-the-token")
        refused = copy.up(check=False)
        assert refused.returncode != 0
        assert "datastoreRestoreToken do not fit: they are the rows of a cluster with another" in refused.stdout
        assert "Traceback" not in refused.stdout
        (server,) = [name for name in rented()["droplets"] if name.startswith(COPY)]
        assert run(LOCAL_CLOUD, "shell", server, "systemctl", "is-active", "k3s", check=False).returncode != 0
        # Nobody was deleted, and no row.
        assert user in asked(copy, "", "SELECT rolname FROM pg_roles")
        (machines,) = asked(copy, "k3s", "SELECT count(*) FROM kine WHERE name LIKE '/registry/minions/%'")
        assert int(machines) >= 3

    def test_every_object_is_as_it_was_and_nothing_later(self, stack: Stack, copy: Stack, seen: dict[str, Any]) -> None:
        with_token(copy, seen["token"])
        said = copy.up().stdout
        assert "objects of e2e-pg-ext-datastore; deleted users: 1" in said
        assert seeded(copy) == seen["before"]
        assert copy.kubectl("get", "configmap", "later", check=False).returncode != 0
        names = [node["name"] for node in copy.outputs()["servers"]]
        assert copy.nodes() == dict.fromkeys(names, True)
        secret = json.loads(copy.kubectl("get", "secret", "--namespace=seed-07", "seed-07", "-o", "json").stdout)
        assert base64.b64decode(secret["data"]["text"]).decode() == "plainly-visible 7"
        # The old cluster goes on.
        stack.kubectl("get", "configmap", "later")
        assert all(stack.nodes().values())

    def test_the_old_login_opens_nothing_in_the_new_database(self, stack: Stack, copy: Stack) -> None:
        server = copy.outputs()["servers"][0]["name"]
        new, old = login_of(server), login_of(stack.outputs()["servers"][0]["name"])
        where = from_droplet(server)
        assert attempt(where, **new) == {"answers": [[[1]]]}
        assert "error" in attempt(where, **{**new, "user": old["user"], "password": old["password"]})
        users = {user["name"] for user in api("GET", f"databases/{database_id(copy)}/users")["users"]}
        assert users == {"doadmin", new["user"]}
        assert asked(copy, "k3s", TABLE_OWNER) == [OWNER]

    def test_from_then_on_the_setting_stays_and_nothing_changes(self, copy: Stack, seen: dict[str, Any]) -> None:
        copy.preview("--refresh", "--expect-no-changes")
        before = database_id(copy)
        for other in ({"datastoreRestoreFrom": "", "datastoreRestoreAt": ""}, {"datastoreRestoreAt": ""}):
            copy.configure(**other)
            if other.get("datastoreRestoreFrom") != "":
                with_token(copy, seen["token"], **other)
            refused = copy.up(check=False)
            assert refused.returncode != 0
            assert "datastoreRestoreFrom cannot change from `e2e-pg-ext-datastore of " in refused.stdout
            assert database_id(copy) == before
        # The token is in the state; the setting's is not looked at again.
        with_token(copy, "another-token")
        copy.preview("--expect-no-changes")
        assert seen["token"] not in copy.pulumi("stack", "export").stdout
        copy.kubectl("create", "configmap", "after-the-restore")
        with_token(copy, seen["token"])
        copy.destroy()
        assert rented_with_prefix(COPY) == []


class TestEnd(End):
    pass
