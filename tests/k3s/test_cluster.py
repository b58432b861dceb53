"""Clusters of the stand-in, from the command line that a node's unit has."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import postgresql as postgresql_server
from tests.k3s.machines import SWITCH, Machine, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces are for root")]

Make = Callable[[int], Machine]


def server(machine: Machine, **config: object) -> None:
    machine.configure(token="server-secret", agent_token="agent-secret", secrets_encryption=True, **config)


def test_a_single_server_runs_deployments_and_keeps_them(machine: Make) -> None:
    one = machine(1)
    server(one, tls_san=["api.example"], node_external_ip="203.0.113.7", disable=["traefik"])
    one.start("server")
    eventually(lambda: one.ready_nodes() == {"node-1"})

    addresses = {entry["type"]: entry["address"] for entry in one.get("node", "node-1")["status"]["addresses"]}
    assert addresses["InternalIP"] == one.address
    assert addresses["ExternalIP"] == "203.0.113.7"
    kubeconfig = one.root / "disk/etc/upper/rancher/k3s/k3s.yaml"
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    assert "server: https://127.0.0.1:6443" in kubeconfig.read_text()
    certificate = subprocess.run(
        [
            "openssl",
            "x509",
            "-noout",
            "-ext",
            "subjectAltName",
            "-in",
            one.file("server/tls/serving-kube-apiserver.crt"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in ("DNS:api.example", f"IP Address:{one.address}", "IP Address:203.0.113.7", "IP Address:127.0.0.1"):
        assert name in certificate

    one.kubectl("create", "secret", "generic", "door", "--from-literal=code=open-sesame")
    one.kubectl("create", "deployment", "web", "--image=nginx", "--replicas=3")
    one.kubectl("wait", "--for=condition=Available", "--timeout=60s", "deployment/web")
    deployments = {item["metadata"]["name"] for item in one.get("deployments", "-A")["items"]}
    assert "coredns" in deployments
    assert "traefik" not in deployments

    assert one.stop() == 0
    database = b"".join(path.read_bytes() for path in one.file("server/db").glob("state.db*"))
    assert b"/registry/secrets/default/door" in database
    assert b"open-sesame" not in database, "the Secret can be read in the datastore"
    one.start("server")
    assert one.get("deployment", "web")["spec"]["replicas"] == 3
    assert one.kubectl("get", "secret", "door", "-o", "jsonpath={.data.code}") == "b3Blbi1zZXNhbWU="


def test_an_agent_joins_with_its_token_and_nobody_takes_its_name(machine: Make) -> None:
    one, two, three = machine(1), machine(2), machine(3)
    server(one)
    one.start("server")

    two.configure(server=f"https://{one.address}:6443", token="wrong")
    two.begin("agent")
    two.wait_for("401 Unauthorized")
    two.stop()

    full = one.file("server/agent-token").read_text().strip()
    assert full.endswith("::node:agent-secret")
    two.configure(
        server=f"https://{one.address}:6443", token=full, node_label=["tier=web"], node_taint=["only=web:NoSchedule"]
    )
    two.start("agent")
    eventually(lambda: one.ready_nodes() == {"node-1", "node-2"})
    node = one.get("node", "node-2")
    assert node["metadata"]["labels"]["tier"] == "web"
    assert {"key": "only", "value": "web", "effect": "NoSchedule"} in node["spec"]["taints"]
    assert "node-role.kubernetes.io/control-plane" not in node["metadata"]["labels"]

    three.configure(server=f"https://{one.address}:6443", token="agent-secret", node_name="node-2")
    three.begin("agent")
    three.wait_for("Node password rejected")
    three.stop()

    one.kubectl("delete", "node", "node-2")
    two.stop()
    two.start("agent")
    eventually(lambda: one.ready_nodes() == {"node-1", "node-2"})


CLOSED_KUBELET = (
    "add table inet test; add chain inet test input { type filter hook input priority 0; };"
    "add rule inet test input iif != lo tcp dport 10250 drop"
)


def test_the_api_server_reaches_kubelets_through_their_nodes_tunnels_alone(machine: Make) -> None:
    """As github.com/k3s-io/k3s, pkg/agent/tunnel/tunnel.go and pkg/daemons/control/tunnel.go (dialBackend)."""
    one, two = machine(1), machine(2)

    def asked(node: str) -> subprocess.CompletedProcess[str]:
        command = one.inside(str(one.k3s), "kubectl", "get", "--raw", f"/api/v1/nodes/{node}/proxy/healthz")
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    server(one)
    one.start("server")
    two.configure(server=f"https://{one.address}:6443", token="agent-secret")
    subprocess.run(two.inside("nft", CLOSED_KUBELET), check=True)
    two.start("agent")
    eventually(lambda: one.ready_nodes() == {"node-1", "node-2"})
    assert [asked(node).stdout for node in ("node-1", "node-2")] == ["ok", "ok"]

    through = ["--proxytunnel", "--proxy-insecure", "--proxy", f"https://{one.address}:6443", "http://node-2:10250/"]
    shown = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_connect}", *through]
    stranger = subprocess.run(two.inside(*shown), capture_output=True, text=True, check=False, timeout=60)
    assert stranger.stdout == "403"

    two.stop()
    eventually(lambda: "failed to find Session for client node-2" in asked("node-2").stderr + one.log)
    assert asked("node-2").returncode != 0


def test_a_program_that_dies_takes_k3s_with_it(machine: Make) -> None:
    one = machine(1)
    server(one)
    one.start("server")
    assert one.process
    children = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children")
    scheduler = next(
        int(pid)
        for task in children.parent.parent.iterdir()
        for pid in (task / "children").read_text().split()
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"kube-scheduler\0")
    )
    os.kill(scheduler, signal.SIGKILL)
    assert one.process.wait(30) == 1
    assert "kube-scheduler exited by itself" in one.log


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"flannel_iface": "eth7"}, "flannel-iface: unable to find interface eth7"),
        ({"cluster_init": True, "etcd_s3_config_secret": "s3"}, "etcd-s3-config-secret is not supported"),
    ],
)
def test_what_cannot_be_honoured_stops_the_start(machine: Make, config: dict[str, object], message: str) -> None:
    one = machine(1)
    server(one, **config)
    one.begin("server")
    assert one.process
    assert one.process.wait(30) == 1
    assert message in one.log


def test_an_unknown_key_is_skipped_by_a_server_and_ends_an_agent(machine: Make) -> None:
    """github.com/k3s-io/k3s, pkg/configfilearg: parser.go, stripInvalidFlags, and ValidFlags in defaultparser.go."""
    one, two = machine(1), machine(2)
    server(one, no_such_key=1)
    one.start("server")
    assert "Unknown flag --no-such-key found in config.yaml, skipping" in one.log
    two.configure(server=f"https://{one.address}:6443", token="agent-secret", no_such_key=1)
    two.begin("agent")
    assert two.process
    assert two.process.wait(30) == 1
    assert "flag provided but not defined: -no-such-key" in two.log


def test_two_servers_share_a_database_and_agents_outlive_the_one_they_joined(machine: Make, postgresql: str) -> None:
    one, two, three = machine(1), machine(2), machine(3)
    for number in (one, two):
        server(number, datastore_endpoint=postgresql)
    one.start("server")
    two.configure(token="another-secret", datastore_endpoint=postgresql)
    two.begin("server")
    assert two.process
    assert two.process.wait(30) == 1
    assert "bootstrap data already found and encrypted with different token" in two.log
    server(two, datastore_endpoint=postgresql)
    two.start("server")
    assert one.file("server/tls/server-ca.crt").read_bytes() == two.file("server/tls/server-ca.crt").read_bytes()

    three.configure(server=f"https://{one.address}:6443", token="agent-secret")
    three.start("agent")
    eventually(lambda: two.ready_nodes() == {"node-1", "node-2", "node-3"})
    balancer = three.file("agent/etc/k3s-agent-load-balancer.json")
    eventually(lambda: balancer.exists() and two.address in balancer.read_text())

    two.kubectl("create", "deployment", "web", "--image=nginx", "--replicas=3")
    two.kubectl("wait", "--for=condition=Available", "--timeout=60s", "deployment/web")
    two.kubectl("drain", "node-1", "--ignore-daemonsets", "--timeout=60s")
    two.kubectl("wait", "--for=condition=Available", "--timeout=60s", "deployment/web")
    homes = {
        pod["spec"]["nodeName"]
        for pod in two.get("pods", "-l", "app=web", "--field-selector=status.phase=Running")["items"]
    }
    assert "node-1" not in homes

    # Power loss: nothing says goodbye, and packets to it go nowhere.
    one.unplug()
    one.stop(signal.SIGKILL)

    def renewed() -> str:
        lease = ("lease", "-n", "kube-node-lease", "node-3", "--ignore-not-found", "-o", "jsonpath={.spec.renewTime}")
        return two.kubectl("get", *lease)

    for _ in range(3):
        last = renewed()
        eventually(lambda last=last: renewed() > last, seconds=45)


@pytest.fixture
def postgresql(machine: Make) -> Iterator[str]:
    """A PostgreSQL that the machines reach, as a datastore endpoint."""
    options = "-c listen_addresses=10.99.0.1 -c port=5433"
    inside = ("ip", "netns", "exec", SWITCH)
    with postgresql_server.started(options, hosts=("host all all 10.99.0.0/24 trust",), inside=inside):
        yield "postgres://postgres@10.99.0.1:5433/k3s?sslmode=disable"
