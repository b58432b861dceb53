"""kine's rows in Postgres, read and written by K3s's own user, over a tunnel through a server."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import unquote, urlsplit

import pg8000.native

from k3s_cluster.backup.backup_file import BackupError
from k3s_cluster.backup.kine_rows import COLUMNS, KINE_DATABASE, LAST, Row
from k3s_cluster.datastore_endpoint import DatabaseAddress
from k3s_cluster.over_ssh.datastore_session import verifying

#: github.com/k3s-io/kine, pkg/drivers/pgsql/pgsql.go; kine itself adds the indexes when it starts.
TABLE = (
    'CREATE TABLE IF NOT EXISTS kine (id BIGSERIAL PRIMARY KEY, name text COLLATE "C", created INTEGER,'
    " deleted INTEGER, create_revision BIGINT, prev_revision BIGINT, lease INTEGER, value bytea, old_value bytea)"
)
#: Hexadecimal needs no escapes. One statement is one moment of the database (postgresql.org/docs, "COPY").
_DUMP = (
    "COPY (SELECT id, encode(convert_to(name, 'UTF8'), 'hex'), created, deleted, create_revision, prev_revision, lease,"
    " encode(value, 'hex'), encode(old_value, 'hex') FROM kine ORDER BY id) TO STDOUT"
)
_LOAD = f"COPY kine ({', '.join(COLUMNS)}) FROM STDIN"
_NULL = r"\N"
_CHUNK_BYTES = 1 << 16
#: A run that was cut off holds the table until the database notices. Longer than that is for the next run to wait.
LOCK_SECONDS = 60


def address_of(url: str) -> DatabaseAddress:
    """The parts of K3s's `datastore-endpoint` for Postgres."""
    parts = urlsplit(url)
    return DatabaseAddress(
        engine="pg",
        host=parts.hostname or "",
        port=parts.port or 5432,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=unquote(parts.path.removeprefix("/")) or KINE_DATABASE,
    )


def connect(address: DatabaseAddress, ca: str, tunnel: socket.socket) -> pg8000.native.Connection:
    """A connection to the database at the other end of `tunnel`, whose certificate is verified against `ca`.

    Without a CA, which an external datastore may do without, against the authorities that this machine trusts.
    """
    return pg8000.native.Connection(
        address.user,
        host=address.host,
        database=address.database,
        password=address.password,
        sock=tunnel,
        ssl_context=verifying(ca) if ca else ssl.create_default_context(),
    )


def dump(database: pg8000.native.Connection, add: Callable[[Row], None]) -> None:
    """Hand every row to `add`, in the order of revisions."""
    lines = _Lines(lambda line: add(_row(line)))
    database.run(_DUMP, stream=lines)


def load(database: pg8000.native.Connection, rows: Iterable[Row], top: int, bootstrap_key: str) -> None:
    """Make the table of `rows`, all or none. `top` is the revision after which K3s goes on.

    Nothing happens where `bootstrap_key` is already there: it was done before. BackupError if another cluster is there.
    """
    database.run(f"SET lock_timeout = '{LOCK_SECONDS}s'")
    database.run("START TRANSACTION")
    database.run(TABLE)
    database.run("LOCK TABLE kine IN EXCLUSIVE MODE")
    if database.run("SELECT 1 FROM kine WHERE name = :key LIMIT 1", key=bootstrap_key):
        database.run("ROLLBACK")
        return
    if database.run("SELECT 1 FROM kine LIMIT 1"):
        database.run("ROLLBACK")
        raise BackupError("there is already another cluster's state in the database")
    database.run(_LOAD, stream=_chunks(rows))
    database.run("SELECT setval(pg_get_serial_sequence('kine', 'id'), :top)", top=top)
    database.run("COMMIT")


def names(database: pg8000.native.Connection) -> dict[str, bool]:
    """Every key that there are rows of, and whether it lives; none where there is no table."""
    if database.run("SELECT to_regclass('kine')") == [[None]]:
        return {}
    return {str(name): not deleted for name, deleted in database.run(LAST)}


def last_values(database: pg8000.native.Connection, keys: Sequence[str]) -> list[bytes]:
    """What each of `keys` is at its last revision, if it was not deleted."""
    found = database.run(
        "SELECT DISTINCT ON (name) deleted, value FROM kine WHERE name = ANY(:keys) ORDER BY name, id DESC",
        keys=list(keys),
    )
    return [bytes(value) for deleted, value in found if not deleted and value is not None]


def forget(database: pg8000.native.Connection, keys: Sequence[str]) -> None:
    """Delete every row of `keys`, or none."""
    database.run(f"SET lock_timeout = '{LOCK_SECONDS}s'")
    database.run("DELETE FROM kine WHERE name = ANY(:keys)", keys=list(keys))


class _Lines:
    """A file that hands on the lines written to it."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._rest = b""

    def write(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + bytes(data)).split(b"\n")
        for line in lines:
            self._take(line)


def _row(line: bytes) -> Row:
    id_, name, *numbers, value, old_value = line.decode().split("\t")
    created, deleted, create_revision, prev_revision, lease = (None if n == _NULL else int(n) for n in numbers)
    return Row(
        int(id_),
        bytes.fromhex(name).decode(),
        *(created, deleted, create_revision, prev_revision, lease),
        None if value == _NULL else bytes.fromhex(value),
        None if old_value == _NULL else bytes.fromhex(old_value),
    )


def _chunks(rows: Iterable[Row]) -> Iterator[bytes]:
    """Rows as COPY reads them (postgresql.org/docs, "COPY", Text Format), many at a time."""
    chunk = bytearray()
    for row in rows:
        name = row.name.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")
        numbers = [_NULL if number is None else str(number) for number in row[2:7]]
        values = [_NULL if data is None else r"\\x" + data.hex() for data in (row.value, row.old_value)]
        chunk += ("\t".join([str(row.id), name, *numbers, *values]) + "\n").encode()
        if len(chunk) >= _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
