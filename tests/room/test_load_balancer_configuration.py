"""HAProxy's configuration says what the API's load balancer says, and HAProxy accepts it."""

import shutil
import subprocess
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
