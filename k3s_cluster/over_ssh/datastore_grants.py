"""The rights of K3s's database user, granted over an SSH tunnel through a server.

Since PostgreSQL 15 only a database's owner may create tables in schema public (postgresql.org/docs/15/release-15.html),
and DigitalOcean makes its administrator the owner. A new user of MySQL, on the contrary, has all the administrator's
rights (docs.digitalocean.com/products/databases/mysql/how-to/manage-users-and-databases): here it keeps its own
database. The administrator's password stays on this side of the tunnel.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pymysql
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, Resource, UpdateResult

from k3s_cluster.dynamic_provider import DynamicProvider
from k3s_cluster.over_ssh.connection import Connection, NodeError, connect, target_of
from k3s_cluster.over_ssh.datastore_session import DATABASE_ERRORS, Engine, Login, certificate_problem, run_statements
from k3s_cluster.over_ssh.progress import own_urn, progress_of

#: DigitalOcean brings a new firewall rule or user to the database within some seconds.
DATABASE_DEADLINE_SECONDS = 120
RETRY_SECONDS = 2
#: Owns K3s's tables in Postgres, so that one login can take over from another.
OWNER = "k3s_owner"
#: Postgres closes what K3s's kine has not used for so long (postgresql.org/docs/17/runtime-config-client,
#: idle_session_timeout, since 14). kine would keep 20 connections for ever; it takes the one that it used last first,
#: and its driver looks at one that was idle for a second before it uses it (github.com/jackc/pgx v5.10.0,
#: stdlib/sql.go, ResetSession).
IDLE_SECONDS = 10
#: MySQL's ER_SPECIFIC_ACCESS_DENIED_ERROR: says a user who has given up the right to give up rights.
HAS_GIVEN_UP = 1227
#: A user of the same name with another password was made anew, and has no rights yet, or in MySQL all of them.
#: So is one of an earlier program, which may keep its connections for ever.
_WHERE = ("engine", "database_host", "database_port", "database", "user", "password", "idle_seconds")
_SECRETS = ["private_key", "administrator_password", "password"]


@dataclass(frozen=True)
class DatastoreGrantsArgs:
    """The server to tunnel through, and the database, its administrator and the user who gets the rights."""

    host: pulumi.Input[str]
    host_key: pulumi.Input[str]
    private_key: pulumi.Input[str]
    engine: Engine
    database_host: pulumi.Input[str]
    database_port: pulumi.Input[int]
    database_ca: pulumi.Input[str]
    administrator: pulumi.Input[str]
    administrator_password: pulumi.Input[str]
    database: pulumi.Input[str]
    user: pulumi.Input[str]
    password: pulumi.Input[str]


@dataclass(frozen=True)
class Statements:
    """What the administrator says, and then the user; both may be said again.

    `gives_up` is what a user says before, who has still all the rights that it was made with.
    """

    administrator: tuple[str, ...]
    user: tuple[str, ...] = ()
    gives_up: tuple[str, ...] = ()


def grants(engine: Engine, database: str, user: str) -> Statements:
    """What gives `user` its rights in `database`, and no others.

    In Postgres its tables belong to a role without a login, which every login of K3s acts as from its first moment:
    only an owner may say `CREATE INDEX IF NOT EXISTS`, as kine does at each start. What a login of former versions of
    this program has of its own goes to that role, since Postgres deletes nobody who has something.
    """
    if engine == "mysql":
        name, account = database.replace("`", "``").replace("_", r"\_"), f"{_literal(user)}@'%'"
        # The administrator, who may not write to `mysql` and `sys` on DigitalOcean, takes nothing from a user without
        # that restriction (dev.mysql.com/doc/refman/8.0/en/partial-revokes.html).
        return Statements(
            administrator=(f"GRANT ALL PRIVILEGES ON `{name}`.* TO {account}",),
            gives_up=("REVOKE ALL PRIVILEGES, GRANT OPTION FROM CURRENT_USER()",),
        )
    login, owner = _identifier(user), _identifier(OWNER)
    is_there = f"EXISTS (SELECT FROM pg_roles WHERE rolname = {_literal(OWNER)})"
    is_the_users = f"schemaname = 'public' AND tablename = 'kine' AND tableowner = {_literal(user)}"
    return Statements(
        (
            f"DO $$BEGIN IF NOT {is_there} THEN CREATE ROLE {owner} NOLOGIN; END IF; END$$",
            f"GRANT USAGE, CREATE ON SCHEMA public TO {owner}",
            f"GRANT {owner} TO {login}",
            f"REVOKE ALL ON SCHEMA public FROM {login}",
        ),
        (
            # Where it acts as the role already, it may not say how it does.
            "SET ROLE NONE",
            f"DO $$BEGIN IF EXISTS (SELECT FROM pg_tables WHERE {is_the_users}) "
            f"THEN ALTER TABLE public.kine OWNER TO {owner}; END IF; END$$",
            f"ALTER ROLE {login} SET role = {_literal(OWNER)}",
            f"ALTER ROLE {login} SET idle_session_timeout = '{IDLE_SECONDS}s'",
        ),
    )


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class DatastoreGrantsProvider(DynamicProvider):
    """Grants at creation; what a user may do goes with the user."""

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse to rotate what an earlier program left: there the tables are the user's own, and would stay so."""
        if olds and "engine" not in olds and olds.get("user") != news["user"]:
            reason = (
                "datastorePasswordVersion: the cluster was made by an earlier version of this program, in which the "
                "tables belong to the user who is to go; set it back, run `pulumi up` once, and raise it then."
            )
            return CheckResult(news, [CheckFailure("user", reason)])
        return CheckResult(news, [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        _grant(props)
        return CreateResult(f"{props['database']}/{props['user']}", props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        return DiffResult(
            changes=any(olds.get(key) != news.get(key) for key in _WHERE),
            replaces=["user"] if olds["user"] != news["user"] else [],
            delete_before_replace=False,
        )

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        _grant(news)
        return UpdateResult(news)


def _grant(props: dict[str, Any]) -> None:
    progress = progress_of(props["urn"])
    deadline = time.monotonic() + DATABASE_DEADLINE_SECONDS
    while True:
        with connect(target_of(props, props), progress) as server:
            progress("waiting for the database")
            try:
                grant(server, props)
                return
            except (NodeError, OSError, *DATABASE_ERRORS) as error:
                if problem := certificate_problem(error, props["database_host"]):
                    raise NodeError(problem) from None
                if time.monotonic() >= deadline:
                    raise NodeError(f"{props['database_host']} did not take the grants: {error}") from None
        time.sleep(RETRY_SECONDS)


def grant(server: Connection, props: dict[str, Any]) -> None:
    """Give `user` its rights in `database` (see DatastoreGrantsArgs). Raises NodeError, OSError or DATABASE_ERRORS."""
    said = grants(props["engine"], props["database"], props["user"])
    administrator = administrator_of(props)
    user = _login(props, props["user"], props["password"])
    try:
        # It may have been interrupted here, and then has no database to begin with.
        run_statements(server, replace(user, database=""), said.gives_up)
    except pymysql.Error as error:
        if error.args[:1] != (HAS_GIVEN_UP,):
            raise
    run_statements(server, administrator, said.administrator)
    run_statements(server, user, said.user)


def administrator_of(props: dict[str, Any]) -> Login:
    """The administrator of the database that `props` tell of (see DatastoreGrantsArgs)."""
    return _login(props, props["administrator"], props["administrator_password"])


def _login(props: dict[str, Any], user: str, password: str) -> Login:
    host, port, ca = props["database_host"], int(props["database_port"]), props["database_ca"]
    return Login(props["engine"], host, port, ca, props["database"], user, password)


class DatastoreGrants(Resource, module="over_ssh", name="DatastoreGrants"):
    """The rights of K3s's user; K3s can use its database when this resource is there."""

    def __init__(self, name: str, args: DatastoreGrantsArgs, opts: pulumi.ResourceOptions) -> None:
        secrets = pulumi.ResourceOptions(additional_secret_outputs=_SECRETS)
        props = {
            "urn": own_urn(name, "DatastoreGrants", opts.parent),
            **{field: getattr(args, field) for field in DatastoreGrantsArgs.__dataclass_fields__},
            "idle_seconds": IDLE_SECONDS,
        }
        super().__init__(DatastoreGrantsProvider(), name, props, pulumi.ResourceOptions.merge(opts, secrets))
