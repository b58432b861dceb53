"""A server that leaves the load balancer's traffic, with the kernel's own address translation."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from k3s_cluster.k3s_config import API_PORT, HEALTH_CHECK_PORT
from local_cloud import paths
from local_cloud.network import namespaces
from tests.room.two_hosts import FIRST as BALANCER
from tests.room.two_hosts import SECOND as SERVER
from tests.room.two_hosts import two_hosts

SCRIPT = paths.CHECKOUT / "k3s_cluster/over_ssh/on_servers/api-traffic.sh"
FROM = 40000

hosts = pytest.fixture(two_hosts)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are for root")


def listen() -> socket.socket:
    return socket.create_server((SERVER, API_PORT))


def connect_to(port: int) -> Callable[[], bool]:
    """Whether a connection from the one port is taken; it ends with a reset, as HAProxy's checks do."""

    def connect() -> bool:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.settimeout(1)
            connection.bind((BALANCER, FROM))
            try:
                connection.connect((SERVER, port))
            except OSError:
                return False
            return True

    return connect


def run_script(server: str, folder: Path, *words: str) -> None:
    """Run the script in the namespace `server`, where the API is always ready."""
    curl = folder / "curl"
    curl.write_text("#!/bin/sh\necho ok\n")
    curl.chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "K3S_API_TRAFFIC_STATE": str(folder / "state")}
    command = [*namespaces.inside(server), "sh", str(SCRIPT), *words]
    subprocess.run(command, env=environment, check=True, timeout=30)


def test_a_client_from_a_port_that_a_health_check_had_is_taken_while_the_server_leaves(
    hosts: tuple[str, str], tmp_path: Path
) -> None:
    balancer, server = hosts
    script = partial(run_script, server, tmp_path)
    # As a node's own firewall does: connections are tracked.
    rules = (
        "table inet tracked {\n chain input {\n type filter hook input priority 0\n ct state invalid counter\n }\n}\n"
    )
    subprocess.run([*namespaces.inside(server), "nft", "-f", "-"], input=rules, text=True, check=True)
    with namespaces.call_inside(server, listen):
        script("enter")
        assert namespaces.call_inside(balancer, connect_to(HEALTH_CHECK_PORT))
        script("leave", "60")
        assert namespaces.call_inside(balancer, connect_to(API_PORT))
        assert not namespaces.call_inside(balancer, connect_to(HEALTH_CHECK_PORT))


def test_a_held_request_does_not_arrive_until_time_is_up_and_answers_go_out(
    hosts: tuple[str, str], tmp_path: Path
) -> None:
    balancer, server = hosts
    script = partial(run_script, server, tmp_path)
    with namespaces.call_inside(server, listen) as listener:
        client = namespaces.call_inside(balancer, lambda: socket.create_connection((SERVER, API_PORT), 5))
        taken, _ = listener.accept()
        with client, taken:
            client.sendall(b"before")
            taken.settimeout(10)
            assert taken.recv(99) == b"before"
            script("hold", "3")
            client.sendall(b"after")
            taken.sendall(b"answer")
            assert client.recv(99) == b"answer"
            taken.settimeout(0.5)
            with pytest.raises(TimeoutError):
                taken.recv(99)
            taken.settimeout(10)
            assert taken.recv(99) == b"after"


def test_a_client_whose_request_is_held_hears_that_its_connection_is_closed(
    hosts: tuple[str, str], tmp_path: Path
) -> None:
    balancer, server = hosts
    with namespaces.call_inside(server, listen) as listener:
        client = namespaces.call_inside(balancer, lambda: socket.create_connection((SERVER, API_PORT), 5))
        taken, _ = listener.accept()
        with client:
            run_script(server, tmp_path, "hold", "10")
            client.sendall(b"a request")
            taken.close()
            assert client.recv(99) == b"", "a clean end, after which the request may be sent again"
