"""A small landscape in the local cloud, rented through its API as a customer would."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_cloud import credentials

# Its assertions are tests', too: without this a failure says nothing of what was found.
pytest.register_assert_rewrite("tests.room.copied_rows")

CHECKOUT = Path(__file__).resolve().parents[2]
USER_DATA = "#cloud-config\nwrite_files:\n- path: /root/from-user-data\n  content: here\n"


def run_as(who: str, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command in the cloud's internet as `operator` or `outsider`."""
    words = [str(CHECKOUT / "bin/local"), "--as", who, *command]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(words, 124, stdout="", stderr=str(error))


def eventually(is_so: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `is_so`; the test fails when there is none within `seconds`."""
    until = time.monotonic() + seconds
    while not (value := is_so()):
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.2)
    return value


def api(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON that DigitalOcean's API answers; the test fails when it refuses."""
    token = credentials.TOKEN.read_text().strip()
    command = ["curl", "-sS", "-X", method, "-w", "\n%{http_code}", f"http://192.0.2.1/v2/{path}"]
    command += ["-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json"]
    done = run_as("operator", *command, *(["-d", json.dumps(body)] if body else []))
    text, _, status = done.stdout.rpartition("\n")
    assert status.startswith("2"), f"{method} {path}: {done.stdout} {done.stderr}"
    return json.loads(text) if text else None


@dataclass(frozen=True)
class Droplet:
    id: int
    public_ip: str
    private_ip: str
    ssh_options: tuple[str, ...]

    def ssh(self, command: str, *, who: str = "operator", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return run_as(who, "ssh", *self.ssh_options, f"root@{self.public_ip}", command, timeout=timeout)

    def answers(self) -> bool:
        return self.ssh("true", timeout=10).returncode == 0


@dataclass(frozen=True)
class Landscape:
    """Two droplets of one VPC behind a firewall; only the first has the tag that the database trusts."""

    first: Droplet
    second: Droplet
    database: dict[str, Any]
    user: dict[str, Any]
    ca: str
    balancer: dict[str, Any]


@pytest.fixture(scope="session")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landscape]:
    if os.geteuid() != 0:
        pytest.fail("the machine room's tests need root: run make test as root")
    subprocess.run([str(CHECKOUT / "bin/local-cloud"), "up"], check=True)
    key = tmp_path_factory.mktemp("ssh") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    options = (
        *("-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "ConnectTimeout=3", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes"),
    )
    rented: list[str] = []
    try:
        yield _rent(key.with_suffix(".pub").read_text(), options, rented)
    finally:
        for path in reversed(rented):
            if path.startswith("vpcs"):
                eventually(lambda: not api("GET", f"{path}/members")["members"], 30, "the VPC empties")  # noqa: B023
            api("DELETE", path)


def _rent(public_key: str, options: tuple[str, ...], rented: list[str]) -> Landscape:
    def create(kind: str, name: str, body: dict[str, Any], id_field: str = "id") -> dict[str, Any]:
        made: dict[str, Any] = api("POST", kind, body)[name]
        rented.append(f"{kind}/{made[id_field]}")
        return made

    account_key = create("account/keys", "ssh_key", {"name": "room", "public_key": public_key})
    create("tags", "tag", {"name": "room_trusted"}, "name")
    vpc = create("vpcs", "vpc", {"name": "room-vpc", "region": "fra1", "ip_range": "10.77.0.0/24"})
    place = {"region": "fra1", "vpc_uuid": vpc["id"]}
    machine = {"size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "ssh_keys": [account_key["id"]], **place}
    made = [
        create("droplets", "droplet", {"name": name, "tags": tags, "user_data": USER_DATA, **machine})
        for name, tags in (("room-first", ["room_trusted"]), ("room-second", []))
    ]
    create(
        "firewalls",
        "firewall",
        {
            "name": "room-firewall",
            "droplet_ids": [each["id"] for each in made],
            "inbound_rules": [
                {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["198.51.100.10/32", "10.77.0.0/24"]}},
                {"protocol": "tcp", "ports": "8080", "sources": {"addresses": ["10.77.0.0/24"]}},
            ],
            "outbound_rules": [
                {"protocol": "tcp", "ports": "all", "destinations": {"addresses": ["0.0.0.0/0"]}},
                {"protocol": "udp", "ports": "53", "destinations": {"addresses": ["0.0.0.0/0"]}},
            ],
        },
    )
    balancer = create(
        "load_balancers",
        "load_balancer",
        {
            "name": "room-balancer",
            "droplet_ids": [each["id"] for each in made],
            "forwarding_rules": [
                {"entry_protocol": "tcp", "entry_port": 80, "target_protocol": "tcp", "target_port": 8080}
            ],
            "health_check": {
                "protocol": "tcp",
                "port": 8080,
                "check_interval_seconds": 3,
                "response_timeout_seconds": 3,
                "healthy_threshold": 2,
                "unhealthy_threshold": 2,
            },
            **place,
        },
    )
    database = create(
        "databases",
        "database",
        {
            "name": "room-database",
            "engine": "pg",
            "version": "17",
            "size": "db-s-1vcpu-1gb",
            "num_nodes": 1,
            "region": "fra1",
            "private_network_uuid": vpc["id"],
            "rules": [{"type": "tag", "value": "room_trusted"}],
        },
    )

    def when(path: str, name: str, status: str) -> Any:
        found = api("GET", path)[name]
        return found if found["status"] == status else None

    droplets = []
    for each in made:
        active = eventually(lambda: when(f"droplets/{each['id']}", "droplet", "active"), 60, "droplet active")  # noqa: B023
        address = {network["type"]: network["ip_address"] for network in active["networks"]["v4"]}
        droplets.append(Droplet(each["id"], address["public"], address["private"], options))
    database = eventually(lambda: when(f"databases/{database['id']}", "database", "online"), 60, "database online")
    user = api("POST", f"databases/{database['id']}/users", {"name": "room_user"})["user"]
    ca = api("GET", f"databases/{database['id']}/ca")["ca"]["certificate"]
    balancer = eventually(lambda: when(f"load_balancers/{balancer['id']}", "load_balancer", "active"), 60, "active")
    for each in droplets:
        eventually(each.answers, 60, "SSH answers")
        assert each.ssh("cloud-init status --wait").returncode == 0
    return Landscape(droplets[0], droplets[1], database, user, ca, balancer)
