"""The datastore of a cluster, whichever SQL engine it is: its rows out, and its rows in. For etcd, see etcd.py."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from k3s_cluster import k3s_version
from k3s_cluster.backup import mysql, postgres, sqlite
from k3s_cluster.backup.backup_file import ETCD, Backup, BackupError
from k3s_cluster.backup.kine_rows import (
    NODES,
    Row,
    belongs_to_a_machine,
    bootstrap_key,
    kubelet_version,
    server_arguments,
)
from k3s_cluster.datastore_endpoint import DatabaseAddress
from k3s_cluster.over_ssh.connection import Connection, NodeError
from k3s_cluster.over_ssh.datastore_session import DATABASE_ERRORS

_ENGINES = {"pg": postgres, "mysql": mysql}


def engine_of(engine: str, endpoint: str | None) -> str:
    """`sqlite`, `pg`, `mysql` or `etcd` (inside the servers), from datastoreEngine and K3s's `datastore-endpoint`.

    BackupError, with what to do instead, for one that is not backed up here.
    """
    if engine == ETCD:
        return ETCD
    if endpoint is None:
        return "sqlite"
    if endpoint.startswith(("postgres://", "postgresql://")):
        if "sslmode=disable" in endpoint.partition("?")[2]:
            raise BackupError(
                "the datastore's endpoint says sslmode=disable, and rows go over TLS only; use the datastore's own "
                "dump, and keep K3s's server token with it"
            )
        return "pg"
    if endpoint.startswith("mysql://"):
        return "mysql"
    kind = endpoint.partition("://")[0]
    raise BackupError(
        f"a datastore at {kind}:// cannot be backed up or restored here: SQLite, Postgres and MySQL can; use the "
        "datastore's own dump, and keep K3s's server token with it"
    )


def dump(server: Connection, endpoint: str | None, ca: str, add: Callable[[Row], None]) -> None:
    """Hand every row of the datastore that `server` uses to `add`. BackupError if it cannot be read."""
    if endpoint is None:
        sqlite.dump(server, add)
        return
    with _opened(server, endpoint, ca, BackupError, "could not be read") as (engine, _, connection):
        engine.dump(connection, add)


def load(server: Connection, endpoint: str | None, ca: str, backup: Backup) -> None:
    """Put a backup's rows into an empty datastore, before any K3s uses it; what belongs to old machines is left out.

    It may be repeated. BackupError or NodeError if the datastore holds another cluster, or cannot be written.
    """
    top = max(row.id for row in backup.rows())
    rows = (row for row in backup.rows() if not belongs_to_a_machine(row.name))
    key = bootstrap_key(backup.origin.server_token)
    if endpoint is None:
        sqlite.load(server, rows, top, key)
        return
    with _opened(server, endpoint, ca, NodeError, "did not take the rows") as (engine, _, connection):
        engine.load(connection, rows, top, key)


@dataclass(frozen=True)
class Found:
    """What a copied datastore holds: how many objects, and what its servers said of themselves, if any did.

    `arguments` are K3s's flags without their dashes.
    """

    objects: int
    k3s_version: str
    arguments: dict[str, str]


def take_over(server: Connection, endpoint: str, ca: str, token: str, check: Callable[[Found], None]) -> Found:
    """Make a copy of another cluster's datastore fit for new machines, before any K3s uses it; it may be repeated.

    `check` may raise before anything is changed. What belongs to the old machines goes, with all its revisions: no K3s
    has read this copy yet, so nobody watches the keys, and kine takes a key without rows for one that never was. The
    sequence of revisions stays where it is. BackupError if the rows are no cluster's that `token` opens.
    """
    with _opened(server, endpoint, ca, NodeError, "could not be made this cluster's") as (engine, address, connection):
        keys = engine.names(connection)
        if not any(key.startswith("/bootstrap/") for key in keys):
            raise BackupError(f"its database `{address.database}` holds no K3s cluster")
        if not keys.get(bootstrap_key(token)):
            raise BackupError("they are the rows of a cluster with another server token")
        of_machines = [key for key in keys if belongs_to_a_machine(key)]
        nodes = engine.last_values(connection, [key for key in of_machines if key.startswith(NODES)])
        servers = [(arguments, node) for node in nodes if (arguments := server_arguments(node)) is not None]
        found = Found(
            sum(
                lives and key.startswith("/registry/") and not belongs_to_a_machine(key) for key, lives in keys.items()
            ),
            max((kubelet_version(node) or "" for _, node in servers), key=_age, default=""),
            servers[0][0] if servers else {},
        )
        check(found)
        if of_machines:
            engine.forget(connection, of_machines)
        return found


def _age(version: str) -> tuple[int, ...]:
    return k3s_version.parse(version) or ()


@contextlib.contextmanager
def _opened(
    server: Connection, endpoint: str, ca: str, failure: type[Exception], what: str
) -> Iterator[tuple[Any, DatabaseAddress, Any]]:
    """The engine, the database's address, and a connection to it through `server`; what goes wrong is a `failure`."""
    engine = _ENGINES[engine_of("", endpoint)]
    address = engine.address_of(endpoint)
    try:
        with server.tunnel(address.host, address.port) as tunnel:
            yield engine, address, engine.connect(address, ca, tunnel)
    except (*DATABASE_ERRORS, OSError) as error:
        about_trust = "" if ca else " (without datastoreCa, its certificate must be one that this machine trusts)"
        raise failure(f"{address.host} {what}: {error}{about_trust}") from error
