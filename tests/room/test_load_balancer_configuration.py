"""HAProxy's configuration says what the API's load balancer says, and HAProxy accepts it."""

import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from local_cloud.load_balancers.configuration import configuration
from local_cloud.machine_room import ForwardingRule, HealthCheck, LoadBalancerSpec

SPEC = LoadBalancerSpec(
    id="4de7ac8b-495b-4884-9a69-1050c6793cd6",
    name="k3s-api-loadbalancer",
    public_ip=IPv4Address("203.0.113.9"),
    private_ip=IPv4Address("10.10.10.9"),
    vpc_range=IPv4Network("10.10.10.0/24"),
    rules=(ForwardingRule(6443, 6443), ForwardingRule(443, 30443)),
    health_check=HealthCheck("tcp", 6443, None, 10, 5, 5, 3),
    targets=(IPv4Address("10.10.10.2"), IPv4Address("10.10.10.3")),
)


def test_each_rule_reaches_every_target_from_the_private_address() -> None:
    text = configuration(SPEC, Path("/run/x"))
    servers = [line.split() for line in text.splitlines() if line.strip().startswith("server ")]
    assert [words[2] for words in servers] == [
        "10.10.10.2:6443",
        "10.10.10.3:6443",
        "10.10.10.2:30443",
        "10.10.10.3:30443",
    ]
    assert all(words[3:5] == ["source", "10.10.10.9"] for words in servers)


def test_the_health_check_is_the_one_asked_for() -> None:
    text = configuration(SPEC, Path("/run/x"))
    assert text.count("check port 6443 inter 10s rise 5 fall 3") == 4
    assert "timeout check 5s" in text
    assert "httpchk" not in text


@pytest.mark.parametrize(
    "check",
    [SPEC.health_check, HealthCheck("http", 80, "/healthz", 3, 2, 2, 2), HealthCheck("https", 443, "/", 3, 2, 2, 2)],
    ids=lambda check: check.protocol,
)
@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")
def test_haproxy_accepts_it(tmp_path: Path, check: HealthCheck) -> None:
    for spec in (replace(SPEC, health_check=check), replace(SPEC, health_check=check, targets=())):
        file = tmp_path / "haproxy.cfg"
        file.write_text(configuration(spec, tmp_path))
        done = subprocess.run(["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def answer_all(listener: socket.socket) -> None:
    """Answer one byte with another, until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            if connection.recv(1):
                connection.sendall(b"!")


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")
def test_whom_a_target_keeps_waiting_is_served_by_another_though_it_is_marked_down_meanwhile(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.6", 0), backlog=0) as stuck,
        socket.create_connection(stuck.getsockname()),  # it takes one connection, and answers no other
        socket.create_server(("127.0.0.7", stuck.getsockname()[1])) as target,
    ):
        port = stuck.getsockname()[1]
        threading.Thread(target=answer_all, args=(target,), daemon=True).start()
        spec = replace(
            SPEC,
            public_ip=IPv4Address("127.0.0.4"),
            private_ip=IPv4Address("127.0.0.5"),
            rules=(ForwardingRule(port, port),),
            health_check=HealthCheck("tcp", port, None, 1, 1, 2, 2),
            targets=(IPv4Address("127.0.0.6"), IPv4Address("127.0.0.7")),
        )
        (tmp_path / "haproxy.cfg").write_text(configuration(spec, tmp_path))
        (tmp_path / "server-state").write_text("1\n")
        seconds: list[float] = []

        def ask() -> None:
            began = time.monotonic()
            with socket.create_connection(("127.0.0.4", port), timeout=15) as connection:
                connection.sendall(b"?")
                if connection.recv(1) == b"!":
                    seconds.append(time.monotonic() - began)

        log = tmp_path / "haproxy.log"
        command = ["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")]
        with log.open("w") as said, subprocess.Popen(command, stderr=said, stdout=said) as haproxy:
            try:
                until = time.monotonic() + 10
                while not haproxy.poll() and time.monotonic() < until:
                    with socket.socket() as probe:
                        if probe.connect_ex(("127.0.0.4", port)) == 0:
                            break
                    time.sleep(0.05)
                clients = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
                for client in clients:
                    client.start()
                for client in clients:
                    client.join(timeout=20)
                down = "127.0.0.6 is DOWN" in log.read_text()
            finally:
                haproxy.terminate()
    assert down
    # Half of them were kept waiting first, for as long as HAProxy tries to connect.
    assert len(seconds) == 8
    assert max(seconds) > 2
