"""A backup's rows into a real PostgreSQL and out of it again: whole, once, and never over another cluster's."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pg8000.native
import pytest

from k3s_cluster.backup import postgres
from k3s_cluster.backup.backup_file import BackupError
from k3s_cluster.backup.kine_rows import Row, bootstrap_key
from tests import postgresql
from tests.room.copied_rows import KEY, CopiedRows

ROWS = [
    Row(1, KEY, 1, 0, 0, 0, 0, b"sealed", b""),
    Row(5, "/registry/configmaps/default/ä\t\\x\n\r", 1, 0, None, 4, None, bytes(range(256)), None),
    *(Row(number, f"/registry/pods/a/{number}", 1, 0, 0, 0, 0, b"x" * 999, b"") for number in range(6, 206)),
]
TOP = 250
Connect = Callable[[], pg8000.native.Connection]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A PostgreSQL that listens on a socket in the folder, and nowhere else."""
    with postgresql.started("-c listen_addresses=") as folder:
        yield folder


@pytest.fixture
def connect(cluster: Path) -> Iterator[Connect]:
    """Connections to an empty database."""
    made: list[pg8000.native.Connection] = []

    def new() -> pg8000.native.Connection:
        made.append(pg8000.native.Connection("postgres", unix_sock=str(cluster / ".s.PGSQL.5432")))
        return made[-1]

    new().run("DROP TABLE IF EXISTS kine")
    yield new
    for connection in made:
        with contextlib.suppress(pg8000.Error):
            connection.close()


def held(database: pg8000.native.Connection) -> list[Row]:
    found: list[Row] = []
    postgres.dump(database, found.append)
    return found


def test_rows_come_out_as_they_went_in_and_revisions_go_on(connect: Connect) -> None:
    postgres.load(connect(), ROWS, TOP, KEY)
    assert held(connect()) == ROWS
    (row,) = connect().run("INSERT INTO kine (name) VALUES ('next') RETURNING id")
    assert row == [TOP + 1]


def test_what_was_loaded_is_not_loaded_again(connect: Connect) -> None:
    postgres.load(connect(), ROWS, TOP, KEY)
    # The cluster lives meanwhile.
    connect().run("DELETE FROM kine WHERE id = 5")
    postgres.load(connect(), ROWS, TOP, KEY)
    assert held(connect()) == [ROWS[0], *ROWS[2:]]


def test_another_cluster_s_state_is_left_alone(connect: Connect) -> None:
    other = [Row(1, bootstrap_key("another token"), 1, 0, 0, 0, 0, b"sealed", b"")]
    postgres.load(connect(), other, 1, other[0].name)
    with pytest.raises(BackupError, match="there is already another cluster's state in the database"):
        postgres.load(connect(), ROWS, TOP, KEY)
    assert held(connect()) == other


def test_a_run_that_holds_the_table_is_not_waited_for_without_end(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 1)
    holds = connect()
    holds.run("START TRANSACTION")
    holds.run(postgres.TABLE)
    with pytest.raises(pg8000.Error, match="lock timeout"):
        postgres.load(connect(), ROWS, TOP, KEY)
    holds.run("ROLLBACK")


def test_a_load_that_breaks_off_leaves_nothing_and_can_be_repeated(connect: Connect) -> None:
    def broken() -> Iterator[Row]:
        yield from ROWS
        raise ConnectionResetError

    database = connect()
    with pytest.raises(ConnectionResetError):
        postgres.load(database, broken(), TOP, KEY)
    # As when the program is killed.
    database._usock.shutdown(socket.SHUT_RDWR)
    assert connect().run("SELECT to_regclass('kine')") == [[None]]
    postgres.load(connect(), ROWS, TOP, KEY)
    assert held(connect()) == ROWS


class TestCopiedRows(CopiedRows):
    engine, endpoint, rows, top = postgres, "postgres://u:p@h:1/k3s", ROWS, TOP

    def held(self, database: pg8000.native.Connection) -> list[Row]:
        return held(database)

    def id_of_next_row(self, database: pg8000.native.Connection) -> int:
        (row,) = database.run("INSERT INTO kine (name) VALUES ('next') RETURNING id")
        return int(row[0])
