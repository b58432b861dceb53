"""More connections to the database than a server may have, with the kernel's own connection tracking."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from k3s_cluster import datastore_connections
from k3s_cluster.settings import parse_settings
from local_cloud.network import namespaces
from tests.room.two_hosts import SECOND as DATABASE
from tests.room.two_hosts import two_hosts
from tests.unit.stack_files import CHECKOUT, config

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are for root")

hosts = pytest.fixture(two_hosts)


def connect() -> socket.socket | None:
    connection = socket.socket()
    connection.settimeout(0.5)
    try:
        connection.connect((DATABASE, datastore_connections.PORT))
    except TimeoutError:
        connection.close()
        return None
    return connection


@contextmanager
def database(namespace: str) -> Iterator[None]:
    """A server that ends a connection when its client does."""

    def end(connection: socket.socket) -> None:
        with connection:
            connection.recv(1)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=end, args=(connection,), daemon=True).start()

    address = (DATABASE, datastore_connections.PORT)
    listener = namespaces.call_inside(namespace, lambda: socket.create_server(address, backlog=100))
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_connections_beyond_those_that_a_server_may_have_wait_for_one_to_end(hosts: tuple[str, str]) -> None:
    server, databases = hosts
    settings = parse_settings(config(), stack="dev", folder=CHECKOUT)
    rules = datastore_connections.files(settings, "server")[datastore_connections.RULES_PATH]
    with database(databases):
        for _ in range(2):  # as at every start
            subprocess.run([*namespaces.inside(server), "nft", "-f", "-"], input=rules, text=True, check=True)
        connections = [namespaces.call_inside(server, connect) for _ in range(datastore_connections.AT_MOST)]
        taken = [connection for connection in connections if connection]
        assert len(taken) == datastore_connections.AT_MOST
        assert namespaces.call_inside(server, connect) is None
        waiting = namespaces.call_inside(server, socket.socket)
        waiting.settimeout(10)
        threading.Timer(0.2, taken.pop().close).start()
        began = time.monotonic()
        waiting.connect((DATABASE, datastore_connections.PORT))
        assert 0.2 < time.monotonic() - began < 5
        for connection in (*taken, waiting):
            connection.close()
