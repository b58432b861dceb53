"""A backup's rows into a real MariaDB and out of it again: whole, once, and never over another cluster's."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from k3s_cluster.backup import mysql
from k3s_cluster.backup.backup_file import BackupError
from k3s_cluster.backup.kine_rows import Row, bootstrap_key
from tests.room.copied_rows import KEY, CopiedRows

ROWS = [
    Row(1, KEY, 1, 0, 0, 0, 0, b"sealed", b""),
    Row(5, "/registry/configmaps/default/%s\\x'\"", 1, 0, None, 4, None, bytes(range(256)), None),
    *(Row(number, f"/registry/pods/a/{number}", 1, 0, 0, 0, 0, b"x" * 999, b"") for number in range(6, 1206)),
]
TOP = 1250
START_SECONDS = 30
Connect = Callable[[], "pymysql.Connection[Any]"]


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin")
    assert found, f"{name} is missing; bin/setup installs it"
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """A MariaDB that listens on a socket, and nowhere else, with a table for nobody without a primary key."""
    with tempfile.TemporaryDirectory(prefix="k3s-backup-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        data, listening = folder / "data", folder / "s"
        data.mkdir()
        shutil.chown(data, "nobody")
        install = (program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--skip-test-db")
        user = ("--user=nobody", "--auth-root-authentication-method=normal", "--skip-name-resolve")
        subprocess.run([*install, *user], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.chown(folder, "nobody")
        options = ("--no-defaults", f"--datadir={data}", f"--socket={listening}", "--skip-networking", "--user=nobody")
        small = ("--innodb-buffer-pool-size=16M", "--innodb-force-primary-key=ON", f"--pid-file={folder / 'pid'}")
        running = subprocess.Popen(
            [program("mariadbd"), *options, *small], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until = time.monotonic() + START_SECONDS
            while not listening.exists():
                assert running.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
            yield listening
        finally:
            running.terminate()
            running.wait(30)


@pytest.fixture
def connect(server: Path) -> Iterator[Connect]:
    """Connections to an empty database."""
    made: list[pymysql.Connection[Any]] = []

    def new(database: str | None = "k3s") -> pymysql.Connection[Any]:
        made.append(pymysql.connect(unix_socket=str(server), user="root", database=database))
        return made[-1]

    with new(None).cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS k3s")
        cursor.execute("CREATE DATABASE k3s")
    yield new
    for connection in made:
        with contextlib.suppress(pymysql.Error):
            connection.close()


def held(database: pymysql.Connection[Any]) -> list[Row]:
    found: list[Row] = []
    mysql.dump(database, found.append)
    # A look at the table is a transaction, and holds it.
    database.rollback()
    return found


def said(database: pymysql.Connection[Any], statement: str) -> list[tuple[Any, ...]]:
    with database.cursor() as cursor:
        cursor.execute(statement)
        database.commit()
        return [*cursor.fetchall(), (cursor.lastrowid,)]


def test_rows_come_out_as_they_went_in_and_revisions_go_on(connect: Connect) -> None:
    mysql.load(connect(), ROWS, TOP, KEY)
    assert held(connect()) == ROWS
    assert said(connect(), "INSERT INTO kine (name) VALUES ('next')")[-1] == (TOP + 1,)


def test_what_was_loaded_is_not_loaded_again(connect: Connect) -> None:
    first = connect()
    mysql.load(first, ROWS, TOP, KEY)
    first.close()
    # The cluster lives meanwhile.
    said(connect(), "DELETE FROM kine WHERE id = 5")
    mysql.load(connect(), ROWS, TOP, KEY)
    assert held(connect()) == [ROWS[0], *ROWS[2:]]


def test_another_cluster_s_state_is_left_alone(connect: Connect) -> None:
    other = [Row(1, bootstrap_key("another token"), 1, 0, 0, 0, 0, b"sealed", b"")]
    first = connect()
    mysql.load(first, other, 1, other[0].name)
    first.close()
    with pytest.raises(BackupError, match="there is already another cluster's state in the database"):
        mysql.load(connect(), ROWS, TOP, KEY)
    assert held(connect()) == other


def test_a_run_that_holds_the_database_is_not_waited_for_without_end(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql, "LOCK_SECONDS", 1)
    holds = connect()
    mysql.load(holds, ROWS, TOP, KEY)
    with pytest.raises(BackupError, match="another restore has held the database for 1 s"):
        mysql.load(connect(), ROWS, TOP, KEY)


def test_a_load_that_breaks_off_leaves_no_row_and_can_be_repeated(connect: Connect) -> None:
    def broken() -> Iterator[Row]:
        yield from ROWS
        raise ConnectionResetError

    database = connect()
    with pytest.raises(ConnectionResetError):
        mysql.load(database, broken(), TOP, KEY)
    # As when the program is killed.
    database._sock.shutdown(socket.SHUT_RDWR)
    assert held(connect()) == []
    mysql.load(connect(), ROWS, TOP, KEY)
    assert held(connect()) == ROWS


class TestCopiedRows(CopiedRows):
    engine, endpoint, rows, top = mysql, "mysql://u:p@tcp(h:1)/k3s", ROWS, TOP

    def held(self, database: pymysql.Connection[Any]) -> list[Row]:
        return held(database)

    def id_of_next_row(self, database: pymysql.Connection[Any]) -> int:
        with database.cursor() as cursor:
            cursor.execute("INSERT INTO kine (name) VALUES ('next')")
            return int(cursor.lastrowid)
