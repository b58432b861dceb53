"""kine's rows in MySQL, read and written by K3s's own user, over a tunnel through a server."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pymysql
import pymysql.cursors

from k3s_cluster.backup.backup_file import BackupError
from k3s_cluster.backup.kine_rows import COLUMNS, KINE_DATABASE, LAST, Row
from k3s_cluster.datastore_endpoint import DatabaseAddress
from k3s_cluster.over_ssh.datastore_session import verifying

#: github.com/k3s-io/kine, pkg/drivers/mysql/mysql.go; kine itself adds the indexes when it starts.
TABLE = (
    "CREATE TABLE IF NOT EXISTS kine (id BIGINT UNSIGNED AUTO_INCREMENT, name VARCHAR(630) CHARACTER SET ascii,"
    " created INTEGER, deleted INTEGER, create_revision BIGINT UNSIGNED, prev_revision BIGINT UNSIGNED, lease INTEGER,"
    " value MEDIUMBLOB, old_value MEDIUMBLOB, PRIMARY KEY (id))"
)
_NAMES = ", ".join(COLUMNS)
#: One statement is one moment of the database (dev.mysql.com/doc/refman/8.0/en/innodb-consistent-read.html).
_DUMP = f"SELECT {_NAMES} FROM kine ORDER BY id"  # noqa: S608 - the columns' names are kine's
_LOAD = f"INSERT INTO kine ({_NAMES}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"  # noqa: S608
#: Held by one connection at a time, and gone with it (dev.mysql.com/doc/refman/8.0/en/locking-functions.html).
_LOCK = "k3s-restore"
#: A run that was cut off holds the lock until the database notices. Longer than that is for the next run to wait.
LOCK_SECONDS = 60
_ROWS_AT_ONCE = 500


def address_of(dsn: str) -> DatabaseAddress:
    """The parts of K3s's `datastore-endpoint` for MySQL: see `datastore_endpoint`. BackupError for another protocol."""
    credentials, _, rest = dsn.removeprefix("mysql://").rpartition("/")[0].rpartition("@")
    user, _, password = credentials.partition(":")
    protocol, _, place = rest.partition("(")
    host, _, port = place.removesuffix(")").rpartition(":")
    if protocol != "tcp" or not host or not port.isdigit():
        raise BackupError("the MySQL endpoint must have the form mysql://USER:PASSWORD@tcp(HOST:PORT)/DATABASE")
    name = dsn.rpartition("/")[2].partition("?")[0] or KINE_DATABASE
    return DatabaseAddress("mysql", host.strip("[]"), int(port), user, password, name)


def connect(address: DatabaseAddress, ca: str, tunnel: Any) -> pymysql.Connection[Any]:
    """A connection to the database at the other end of `tunnel`, whose certificate is verified against `ca`.

    Without a CA, which an external datastore may do without, against the authorities that this machine trusts.
    """
    connection = pymysql.connect(
        host=address.host,
        user=address.user,
        password=address.password,
        database=address.database,
        ssl=verifying(ca) if ca else ssl.create_default_context(),
        defer_connect=True,
    )
    connection.connect(tunnel)
    return connection


def dump(database: pymysql.Connection[Any], add: Callable[[Row], None]) -> None:
    """Hand every row to `add`, in the order of revisions."""
    with database.cursor(pymysql.cursors.SSCursor) as cursor:
        cursor.execute(_DUMP)
        for row in cursor:
            add(Row._make(row))


def load(database: pymysql.Connection[Any], rows: Iterable[Row], top: int, bootstrap_key: str) -> None:
    """Make the table of `rows`, all or none. `top` is the revision after which K3s goes on.

    Nothing happens where `bootstrap_key` is already there: it was done before. BackupError if another cluster is there.
    """
    with database.cursor() as cursor:
        # Its default is a year, for a table that another transaction has looked at.
        cursor.execute("SET SESSION lock_wait_timeout = %s", (LOCK_SECONDS,))
        cursor.execute("SELECT GET_LOCK(%s, %s)", (_LOCK, LOCK_SECONDS))
        if cursor.fetchone() != (1,):
            raise BackupError(f"another restore has held the database for {LOCK_SECONDS} s; try again in some minutes")
        # Statements that make or change a table end a transaction: they come first, and an empty table is no harm.
        cursor.execute(TABLE)
        if cursor.execute("SELECT 1 FROM kine WHERE name = %s LIMIT 1", (bootstrap_key,)):
            return
        if cursor.execute("SELECT 1 FROM kine LIMIT 1"):
            raise BackupError("there is already another cluster's state in the database")
        cursor.execute("ALTER TABLE kine AUTO_INCREMENT = %s", (top + 1,))
        database.begin()
        remaining = iter(rows)
        while some := list(itertools.islice(remaining, _ROWS_AT_ONCE)):
            cursor.executemany(_LOAD, some)
        database.commit()


def names(database: pymysql.Connection[Any]) -> dict[str, bool]:
    """Every key that there are rows of, and whether it lives; none where there is no table."""
    with database.cursor() as cursor:
        if not cursor.execute("SHOW TABLES LIKE 'kine'"):
            return {}
        cursor.execute(LAST)
        return {str(name): not deleted for name, deleted in cursor.fetchall()}


def last_values(database: pymysql.Connection[Any], keys: Sequence[str]) -> list[bytes]:
    """What each of `keys` is at its last revision, if it was not deleted."""
    found = []
    with database.cursor() as cursor:
        for key in keys:
            cursor.execute("SELECT deleted, value FROM kine WHERE name = %s ORDER BY id DESC LIMIT 1", (key,))
            found += [bytes(value) for deleted, value in cursor.fetchall() if not deleted and value is not None]
    return found


def forget(database: pymysql.Connection[Any], keys: Sequence[str]) -> None:
    """Delete every row of `keys`, or none."""
    with database.cursor() as cursor:
        database.begin()
        cursor.executemany("DELETE FROM kine WHERE name = %s", [(key,) for key in keys])
        database.commit()
