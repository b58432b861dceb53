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
from types import SimpleNamespace
from typing import Any

import pymysql
import pytest

from k3s_cluster.backup import datastore, mysql
from k3s_cluster.backup.backup_file import BackupError
from k3s_cluster.backup.datastore import Found
from k3s_cluster.backup.kine_rows import Row, bootstrap_key
from k3s_cluster.over_ssh.connection import NodeError

KEY = bootstrap_key("server")
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


def test_keys_are_named_read_and_forgotten_with_all_their_revisions(connect: Connect) -> None:
    assert mysql.names(connect()) == {}
    again = [
        Row(2300, "/registry/pods/a/6", 0, 0, 6, 6, 0, b"newer", b"x"),
        Row(2301, "/registry/pods/a/7", 0, 1, 7, 7, 0, b"gone", b"x"),
    ]
    mysql.load(connect(), [*ROWS, *again], 2301, KEY)
    assert mysql.names(connect()) == {row.name: row.name != again[1].name for row in ROWS}
    keys = ["/registry/pods/a/6", "/registry/pods/a/7", "/registry/pods/a/8", "/registry/pods/a/none"]
    assert sorted(mysql.last_values(connect(), keys)) == [b"newer", b"x" * 999]
    mysql.forget(connect(), keys)
    assert held(connect()) == [row for row in ROWS if row.name not in keys]


def test_a_copy_is_taken_over_whole_or_not_at_all_and_can_be_again(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_machines = [
        Row(TOP - 4, "/registry/minions/old-server-1a2b", 1, 0, 0, 0, 0, b"x:\x0cv1.34.2+k3s1B", b""),
        Row(TOP - 3, "/registry/leases/kube-node-lease/old-server-1a2b", 1, 0, 0, 0, 0, b"x", b""),
        Row(TOP - 2, "/registry/secrets/kube-system/old-server-1a2b.node-password.k3s", 1, 0, 0, 0, 0, b"x", b""),
        Row(TOP - 1, "/registry/minions/old-server-1a2b", 0, 0, TOP - 4, TOP - 4, 0, b"y", b"x"),
        Row(TOP, "/registry/masterleases/10.10.10.3", 1, 0, 0, 0, 0, b"x", b""),
    ]
    mysql.load(connect(), [*ROWS, *of_machines], TOP, KEY)
    monkeypatch.setattr(mysql, "connect", lambda *_: connect())
    server: Any = SimpleNamespace(tunnel=lambda *_: contextlib.nullcontext())

    def take_over(token: str, check: Callable[[Found], None] = lambda _: None) -> Found:
        return datastore.take_over(server, "mysql://u:p@tcp(h:1)/k3s", "", token, check)

    def unfit(_: Found) -> None:
        raise NodeError("unfit")

    with pytest.raises(BackupError, match="the rows of a cluster with another server token"):
        take_over("another")
    with pytest.raises(NodeError, match="unfit"):
        take_over("server", unfit)
    assert held(connect()) == [*ROWS, *of_machines]
    # Again, as after a run that was killed before it could say that it was done.
    assert [take_over("server").objects for _ in range(2)] == [len(ROWS) - 1] * 2
    assert held(connect()) == ROWS
    with connect().cursor() as cursor:
        cursor.execute("INSERT INTO kine (name) VALUES ('next')")
        assert cursor.lastrowid == TOP + 1
