"""HAProxy's configuration says what the API's load balancer says, and HAProxy accepts it."""

import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from local_cloud.load_balancers.configuration import configuration, initial_state
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


@dataclass
class Haproxy:
    """One that runs: its own words, and its socket's folder."""

    log: Path
    port: int

    def answers(self) -> bool:
        """True if a client's byte is answered."""
        try:
            with socket.create_connection(("127.0.0.4", self.port), timeout=15) as connection:
                connection.sendall(b"?")
                return connection.recv(1) == b"!"
        except OSError:
            return False

    def says(self, words: str) -> bool:
        until = time.monotonic() + 10
        while words not in self.log.read_text():
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True


@contextmanager
def haproxy(folder: Path, port: int, check: HealthCheck) -> Iterator[Haproxy]:
    """HAProxy with two targets, 127.0.0.6 and 127.0.0.7."""
    spec = replace(
        SPEC,
        public_ip=IPv4Address("127.0.0.4"),
        private_ip=IPv4Address("127.0.0.5"),
        rules=(ForwardingRule(port, port),),
        health_check=check,
        targets=(IPv4Address("127.0.0.6"), IPv4Address("127.0.0.7")),
    )
    (folder / "haproxy.cfg").write_text(configuration(spec, folder))
    (folder / "server-state").write_text(initial_state(spec, ""))
    log = folder / "haproxy.log"
    command = ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]
    with log.open("w") as said, subprocess.Popen(command, stderr=said, stdout=said) as process:
        try:
            yield Haproxy(log, port)
        finally:
            process.terminate()


class Answering(socketserver.StreamRequestHandler):
    """Answers one byte with another."""

    def handle(self) -> None:
        if self.rfile.read(1):
            self.wfile.write(b"!")


class Target(socketserver.ThreadingTCPServer):
    """Says nothing of health checks, which end a connection as soon as it is there."""

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def answering(address: tuple[str, int]) -> Iterator[int]:
    """The port of a target that answers."""
    with Target(address, Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")
def test_a_new_target_gets_nobody_before_it_has_passed_its_checks(tmp_path: Path) -> None:
    with (
        answering(("127.0.0.6", 0)) as port,
        answering(("127.0.0.7", port)),
        haproxy(tmp_path, port, HealthCheck("tcp", port, None, 1, 1, 2, 2)) as balancer,
    ):
        assert balancer.says("127.0.0.7 is DOWN, changed from server-state")
        assert not balancer.answers()
        assert balancer.says("127.0.0.6 is UP")
        assert balancer.answers()


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")
def test_a_connection_that_a_target_refuses_is_tried_on_no_other_until_the_checks_take_it_out(tmp_path: Path) -> None:
    with (
        answering(("127.0.0.6", 0)) as checked,
        answering(("127.0.0.7", checked)),
        answering(("127.0.0.6", 0)) as port,  # and nothing listens there on 127.0.0.7
        haproxy(tmp_path, port, HealthCheck("tcp", checked, None, 1, 1, 2, 2)) as balancer,
    ):
        assert balancer.says("127.0.0.6 is UP")
        assert balancer.says("127.0.0.7 is UP")
        assert sorted(balancer.answers() for _ in range(4)) == [False, False, True, True]


def test_what_haproxy_knows_of_a_target_is_kept_and_a_new_one_is_down() -> None:
    first = initial_state(replace(SPEC, targets=SPEC.targets[:1]), "")
    known = first.replace("10.10.10.2 10.10.10.2 0", "10.10.10.2 10.10.10.2 2")
    after = [line.split()[:6] for line in initial_state(SPEC, known).splitlines()[2:]]
    assert [(line[1], line[3], line[5]) for line in after] == [
        ("targets-6443", "10.10.10.2", "2"),
        ("targets-443", "10.10.10.2", "2"),
        ("targets-6443", "10.10.10.3", "0"),
        ("targets-443", "10.10.10.3", "0"),
    ]
