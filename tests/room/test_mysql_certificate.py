"""The certificate of a MySQL, looked at over the tunnel as K3s's own client looks at it."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pymysql
import pytest

from k3s_cluster.over_ssh.connection import Connection
from k3s_cluster.over_ssh.datastore_session import Login, certificate_problem, run_statements
from local_cloud.certificates import KeyPair, new_authority, new_server

HOST = "private-k3s.db.example"
AUTHORITY = new_authority("the database's")
CAPABILITIES = 0x00000200 | 0x00000800 | 0x00008000 | 0x00080000  # 4.1, SSL, secure connection, plugins


def greet(server: socket.socket, folder: Path, pair: KeyPair) -> None:
    """A MySQL up to the end of its TLS handshake: dev.mysql.com/doc, "Protocol::HandshakeV10" and "SSLRequest"."""
    low, high = struct.pack("<H", CAPABILITIES & 0xFFFF), struct.pack("<H", CAPABILITIES >> 16)
    text = b"\x0a8.0.36\x00" + struct.pack("<I", 1) + b"12345678\x00" + low + b"\x2d\x02\x00" + high + b"\x15"
    text += bytes(10) + b"123456789012\x00" + b"caching_sha2_password\x00"
    server.sendall(len(text).to_bytes(3, "little") + b"\x00" + text)
    server.recv(36)
    (folder / "certificate").write_text(pair.certificate)
    (folder / "key").write_text(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate", folder / "key")
    with suppress(OSError), context.wrap_socket(server, server_side=True):
        pass


class Server:
    """An SSH connection whose every tunnel ends at a MySQL with this certificate."""

    def __init__(self, folder: Path, pair: KeyPair) -> None:
        self.folder, self.pair = folder, pair

    @contextmanager
    def tunnel(self, _host: str, _port: int) -> Iterator[socket.socket]:
        ours, theirs = socket.socketpair()
        answering = threading.Thread(target=greet, args=(theirs, self.folder, self.pair), daemon=True)
        answering.start()
        with ours:
            yield ours
        answering.join(timeout=10)
        theirs.close()


def refused(folder: Path, certificate_for: str, authority: KeyPair = AUTHORITY) -> Exception:
    login = Login("mysql", HOST, 25060, AUTHORITY.certificate, "k3s", "doadmin", "secret")
    server: Any = Server(folder, new_server(authority, [certificate_for]))
    with pytest.raises(pymysql.Error) as raised:
        run_statements(cast(Connection, server), login, ("SELECT 1",))
    return raised.value


def test_a_certificate_for_another_host_is_told_at_once(tmp_path: Path) -> None:
    """With `datastore-cafile` K3s's client compares names: github.com/go-sql-driver/mysql, dsn.go."""
    problem = certificate_problem(refused(tmp_path, "k3s.db.example"), HOST)
    assert problem is not None
    assert f"the database's certificate is not for {HOST}, and K3s's MySQL client refuses such a one" in problem
    assert "set datastoreEngine to `pg`" in problem


def test_a_certificate_for_the_host_or_of_another_authority_is_no_such_problem(tmp_path: Path) -> None:
    assert certificate_problem(refused(tmp_path, HOST), HOST) is None
    assert certificate_problem(refused(tmp_path, HOST, new_authority("another")), HOST) is None
