"""Nodes through their whole life: scale, upgrade, replace, repair; all on one highly available cluster, in order."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from local_cloud import control
from tests.e2e.conftest import brought_up
from tests.e2e.kept_connections import kept_connections
from tests.e2e.prober import probing
from tests.e2e.stack import LOCAL, LOCAL_CLOUD, Stack, delete_droplets, rented, rented_with_prefix, run, wait_for

PREFIX = "e2e-life"
FIRST, MINOR, PATCH, LAST = "v1.35.6+k3s1", "v1.36.3+k3s1", "v1.36.4+k3s1", "v1.36.5+k3s1"
NEXT = "v1.36.6+k3s1"
REPLICAS, BUDGET = 6, 4

WORKLOAD = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {REPLICAS}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{terminationGracePeriodSeconds: 1, containers: [{{name: web, image: nginx}}]}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec: {{minAvailable: {BUDGET}, selector: {{matchLabels: {{app: web}}}}}}
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    run(LOCAL_CLOUD, "publish", FIRST, MINOR, PATCH, LAST, NEXT)
    stack = Stack(
        "e2e-life",
        {
            "topology": "ha",
            "namePrefix": PREFIX,
            "vpcCidr": "10.22.0.0/24",
            "healthCheckInterval": 3,
            "healthCheckHealthy": 2,
            "healthCheckUnhealthy": 2,
            "k3sVersion": FIRST,
            "drainTimeout": 120,
            "agentCount": 2,
        },
    )
    for up in brought_up(stack):
        run(LOCAL, "kubectl", "apply", "-f", "-", stdin=WORKLOAD, PULUMI_STACK=stack.name)
        stack.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        yield up


def change(stack: Stack, **settings: Any) -> str:
    """Change settings for good, and bring them about; what `pulumi up` said."""
    stack.config |= settings
    stack.configure()
    return stack.up().stdout


def versions(stack: Stack) -> dict[str, str]:
    items = json.loads(stack.kubectl("get", "nodes", "--output", "json").stdout)["items"]
    return {item["metadata"]["name"]: item["status"]["nodeInfo"]["kubeletVersion"] for item in items}


def node(stack: Stack, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.kubectl("get", "node", name, "--output", "json").stdout)
    return found


def in_machine(droplet: str, *command: str) -> str:
    return run(LOCAL_CLOUD, "shell", droplet, *command).stdout.strip()


def started_at(droplet: str, unit: str) -> str:
    return in_machine(droplet, "systemctl", "show", "--property=ExecMainStartTimestampMonotonic,MainPID", unit)


def names(stack: Stack, kind: str) -> list[str]:
    return [machine["name"] for machine in stack.outputs()[kind]]


@contextmanager
def budget_watched(stack: Stack) -> Iterator[list[int]]:
    """The number of available replicas, at first and after each change of the deployment during the block."""
    seen: list[int] = []
    ended = threading.Event()
    watches: list[subprocess.Popen[str]] = []
    command = (
        *(LOCAL, "kubectl", "get", "deployment", "web", "--watch"),
        '--output=jsonpath={.kind} {.status.availableReplicas}{"\\n"}',
    )

    def watch() -> None:
        # A watch ends with its server, and is begun anew.
        while not ended.wait(0.2):
            with subprocess.Popen(
                command,
                env={**os.environ, "PULUMI_STACK": stack.name},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ) as kubectl:
                watches.append(kubectl)
                if ended.is_set():
                    kubectl.terminate()
                assert kubectl.stdout is not None
                for line in kubectl.stdout:
                    # An API server that stops ends a watch with a Status.
                    kind, _, available = line.strip().partition(" ")
                    if kind == "Deployment":
                        seen.append(int(available or 0))

    with ThreadPoolExecutor(max_workers=1) as pool:
        watching = pool.submit(watch)
        try:
            yield seen
        finally:
            ended.set()
            for kubectl in watches:
                kubectl.terminate()
            watching.result(timeout=30)


def test_agents_come_and_go_within_the_disruption_budget(stack: Stack) -> None:
    with budget_watched(stack) as seen:
        change(stack, agentCount=4)
        assert len(stack.nodes()) == 6
        assert all(stack.nodes().values())
        # Pods come to the new agents, so that there is something to move when they go.
        stack.kubectl("rollout", "restart", "deployment/web")
        stack.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        gone = set(names(stack, "agents")[2:])
        change(stack, agentCount=2)
        assert set(stack.nodes()) == {*names(stack, "servers"), *names(stack, "agents")}
        assert not gone & {*stack.nodes(), *rented()["droplets"]}
        stack.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert len(set(seen)) > 1
    assert min(seen) >= BUDGET


#: What cannot change is said all at once, of the cloud first, then of K3s; what cannot be read, alone.
REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "one server": ({"serverCount": 1}, ("is too few for topology `ha`",)),
    "malformed": ({"k3sVersion": "1.34"}, ("must be a K3s release such as",)),
    "downgrade, secrets encryption": (
        {"k3sVersion": "v1.35.5+k3s1", "k3sServerConfig": {"secrets-encryption": False}},
        ("K3s cannot go back", "secrets-encryption cannot change"),
    ),
    # The firewalls' ports follow from it, and nodes must not be cut off before it is refused.
    "flannel backend": (
        {"k3sServerConfig": {"flannel-backend": "wireguard-native"}},
        ("flannel-backend cannot change",),
    ),
    "skipped minor, pod range": (
        {"k3sVersion": "v1.37.0+k3s1", "k3sServerConfig": {"cluster-cidr": "10.50.0.0/16"}},
        ("skips a minor version", "cluster-cidr cannot change"),
    ),
    "skipped minor, region, topology": (
        {"k3sVersion": "v1.37.0+k3s1", "region": "nyc3", "topology": "single-node"},
        ("region cannot change", "topology cannot change"),
    ),
}


@pytest.mark.parametrize(("settings", "messages"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_in_the_plan(stack: Stack, settings: dict[str, Any], messages: tuple[str, ...]) -> None:
    control.call("DELETE", "requests")
    stack.configure(**settings)
    try:
        # `up` without a preview, so that nothing but the refusal itself holds it back.
        done = stack.up(check=False)
    finally:
        stack.configure()
    assert done.returncode != 0
    for message in messages:
        assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert [call for call in control.call("GET", "requests")["requests"] if call["method"] != "GET"] == []


def test_nothing_was_touched_by_what_was_refused(stack: Stack) -> None:
    stack.preview("--expect-no-changes")
    assert set(versions(stack).values()) == {FIRST}


def test_a_version_that_was_never_released_touches_no_node_and_can_be_taken_back(stack: Stack) -> None:
    before = [started_at(name, "k3s") for name in names(stack, "servers")]
    stack.configure(k3sVersion="v1.36.99+k3s1")
    failed = stack.up(check=False)
    stack.configure()
    assert failed.returncode != 0
    assert "v1.36.99+k3s1" in failed.stdout
    assert not any(node(stack, name)["spec"].get("unschedulable") for name in stack.nodes())
    assert " unchanged" in stack.up("--refresh").stdout
    stack.preview("--expect-no-changes")
    assert [started_at(name, "k3s") for name in names(stack, "servers")] == before


def test_the_plan_of_an_upgrade_names_each_node_with_both_versions(stack: Stack) -> None:
    stack.configure(k3sVersion=MINOR)
    plan = stack.preview().stdout
    stack.configure()
    for name in stack.nodes():
        assert f"{name}: K3s {FIRST} -> {MINOR}" in plan


@pytest.mark.parametrize("version", [MINOR, pytest.param(PATCH, marks=pytest.mark.thorough)], ids=["minor", "patch"])
def test_an_upgrade_is_not_noticed_at_the_api(stack: Stack, version: str) -> None:
    began = time.monotonic()
    with (
        probing(stack.kubeconfig) as probes,
        kept_connections(stack.kubeconfig) as requests,
        budget_watched(stack) as seen,
    ):
        said = change(stack, k3sVersion=version)
    seconds = time.monotonic() - began
    assert set(versions(stack).values()) == {version}
    # The run says of each node how long it took, and how much of that its pods took to move.
    took = set(re.findall(rf"(\S+): K3s {re.escape(version)} after (\d+) s, drain (\d+) s", said))
    assert {name for name, _, _ in took} == set(stack.nodes())
    for name, whole, drain in sorted(took):
        print(f"\n{name}: {int(whole) - int(drain)} s, and {drain} s of drain", end="")
    assert not any(node(stack, name)["spec"].get("unschedulable") for name in stack.nodes())
    print(
        f"\nupgrade of {len(stack.nodes())} nodes to {version}: {seconds:.0f} s; {len(probes.failed)} of "
        f"{probes.asked} requests failed, the slowest answer took {probes.slowest} s; {requests}"
    )
    assert probes.asked > 50
    assert probes.failed == []
    assert requests.asked > 1000
    assert (requests.failed, requests.errors, requests.missed) == (0, [], [])
    assert min(seen) >= BUDGET


@pytest.mark.thorough
def test_a_failed_roll_stops_and_is_resumed(stack: Stack) -> None:
    broken, other = names(stack, "agents")
    for agent in (broken, other):
        in_machine(agent, "sh", "-c", "echo '127.0.0.1 get.k3s.io' >> /etc/hosts")
    stack.config["k3sVersion"] = LAST
    stack.configure()
    failed = stack.up(check=False)
    assert failed.returncode != 0
    assert "get.k3s.io" in failed.stdout
    assert "`pulumi up` continues from there" in failed.stdout
    now = versions(stack)
    assert {now[server] for server in names(stack, "servers")} == {LAST}
    assert {now[agent] for agent in (broken, other)} == {PATCH}
    for agent in (broken, other):
        in_machine(agent, "sed", "-i", "/get.k3s.io/d", "/etc/hosts")
    stack.up()
    assert set(versions(stack).values()) == {LAST}
    assert not any(node(stack, name)["spec"].get("unschedulable") for name in stack.nodes())
    stack.preview("--expect-no-changes")


@pytest.mark.thorough
def test_a_change_of_addresses_alone_restarts_nothing(stack: Stack) -> None:
    agents, servers = names(stack, "agents"), names(stack, "servers")
    before = [started_at(name, "k3s-agent") for name in agents] + [started_at(name, "k3s") for name in servers]
    change(stack, serverCount=3)
    assert len(stack.nodes()) == 5
    assert in_machine(agents[0], "grep", "-c", f"{PREFIX}-api.internal", "/etc/hosts") == "3"
    change(stack, serverCount=2)
    assert len(stack.nodes()) == 4
    assert in_machine(agents[0], "grep", "-c", f"{PREFIX}-api.internal", "/etc/hosts") == "2"
    assert [started_at(n, "k3s-agent") for n in agents] + [started_at(n, "k3s") for n in servers] == before


@pytest.mark.thorough
def test_a_pool_comes_changes_and_goes_without_the_others_noticing(stack: Stack) -> None:
    agents = names(stack, "agents")
    before = [started_at(name, "k3s-agent") for name in agents]
    # The kubelet itself refuses the second: it ends of it.
    labels = {"disk": "ssd", "node-role.kubernetes.io/worker": "true"}
    pool = {"name": "batch", "count": 1, "size": "s-1vcpu-2gb", "labels": labels}
    change(stack, agentPools=[{**pool, "taints": ["dedicated=batch:NoSchedule"]}])
    (batch,) = set(names(stack, "agents")) - set(agents)
    assert batch.startswith(f"{PREFIX}-batch-")
    assert labels.items() <= node(stack, batch)["metadata"]["labels"].items()
    assert node(stack, batch)["spec"]["taints"] == [{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}]
    said = change(stack, agentPools=[{**pool, "labels": {"disk": "nvme", "rack": "r1"}}])
    assert "replaced" not in said
    marked = node(stack, batch)
    assert "node-role.kubernetes.io/worker" not in marked["metadata"]["labels"]
    assert (marked["metadata"]["labels"]["disk"], marked["metadata"]["labels"]["rack"]) == ("nvme", "r1")
    assert "taints" not in marked["spec"]
    change(stack, agentPools=[])
    assert set(names(stack, "agents")) == set(agents)
    assert batch not in stack.nodes()
    assert [started_at(name, "k3s-agent") for name in agents] == before


@pytest.mark.thorough
def test_k3s_settings_are_applied_in_place_on_every_server(stack: Stack) -> None:
    def traefik() -> int:
        return stack.kubectl("--namespace=kube-system", "get", "deployment", "traefik", check=False).returncode

    assert traefik() == 0
    with probing(stack.kubeconfig) as probes, kept_connections(stack.kubeconfig) as requests:
        said = change(stack, disable=["traefik"], k3sServerConfig={"kubelet-arg": ["max-pods=99"]}, serverTaint=True)
    assert "replaced" not in said
    assert probes.failed == []
    print(f"\nsettings of 2 servers: {requests}")
    assert requests.asked > 1000
    assert (requests.failed, requests.errors, requests.missed) == (0, [], [])
    for server in names(stack, "servers"):
        config = in_machine(server, "cat", "/etc/rancher/k3s/config.yaml")
        assert "max-pods=99" in config
        assert node(stack, server)["status"]["capacity"]["pods"] == "99"
        assert node(stack, server)["spec"]["taints"][0]["key"] == "node-role.kubernetes.io/control-plane"
    assert traefik() != 0
    change(stack, disable=[], k3sServerConfig={}, serverTaint=False)
    assert traefik() == 0
    assert not any("taints" in node(stack, server)["spec"] for server in names(stack, "servers"))


def repaired(stack: Stack, broken: str) -> None:
    """`pulumi preview --refresh` sees it, and `pulumi up --refresh` mends that node and no other."""
    seen = stack.preview("--refresh", "--expect-no-changes", check=False)
    assert seen.returncode != 0
    others = [name for name in stack.nodes() if name != broken]
    units = {name: "k3s" if name in names(stack, "servers") else "k3s-agent" for name in others}
    before = {name: started_at(name, unit) for name, unit in units.items()}
    stack.up("--refresh")
    assert {name: started_at(name, unit) for name, unit in units.items()} == before
    assert all(stack.nodes().values())
    stack.preview("--expect-no-changes")


def test_a_stopped_k3s_is_started(stack: Stack) -> None:
    agent = names(stack, "agents")[0]
    in_machine(agent, "systemctl", "disable", "--now", "k3s-agent")
    repaired(stack, agent)
    assert in_machine(agent, "systemctl", "is-active", "k3s-agent") == "active"


def test_an_edited_config_is_put_right(stack: Stack) -> None:
    server = names(stack, "servers")[1]
    in_machine(server, "sh", "-c", "echo 'debug: true' >> /etc/rancher/k3s/config.yaml")
    repaired(stack, server)
    assert "debug" not in in_machine(server, "cat", "/etc/rancher/k3s/config.yaml")


@pytest.mark.thorough
def test_another_version_is_put_right(stack: Stack) -> None:
    agent = names(stack, "agents")[1]
    installer = "curl -sfL https://get.k3s.io | INSTALL_K3S_EXEC=agent INSTALL_K3S_VERSION='v1.36.4+k3s1' sh -"
    in_machine(agent, "sh", "-c", installer)
    wait_for("the other version", lambda: versions(stack)[agent] == PATCH, 30)
    repaired(stack, agent)
    assert versions(stack)[agent] == LAST


def test_a_droplet_deleted_behind_pulumi_s_back_is_made_anew(stack: Stack) -> None:
    agent = names(stack, "agents")[0]
    delete_droplets(agent)
    repaired(stack, agent)
    assert len(stack.nodes()) == 4


@pytest.mark.thorough
def test_all_servers_lost_at_once_come_back_with_every_object(stack: Stack) -> None:
    stack.kubectl("create", "configmap", "survivor", "--from-literal=word=kept")
    delete_droplets(*names(stack, "servers"))
    stack.up("--refresh")
    assert len(stack.nodes()) == 4
    assert all(stack.nodes().values())
    assert stack.kubectl("get", "configmap", "survivor", "--output=jsonpath={.data.word}").stdout == "kept"
    stack.preview("--expect-no-changes")


@pytest.mark.thorough
def test_a_server_that_was_made_anew_is_trusted_before_the_other_one_leaves(stack: Stack) -> None:
    interval, unhealthy = 5, 5
    check = {"healthCheckInterval": interval, "healthCheckHealthy": 4, "healthCheckUnhealthy": unhealthy}
    before = {key: stack.config[key] for key in check}
    change(stack, **check)
    delete_droplets(names(stack, "servers")[0])
    # Until then the load balancer sends clients to the one that is lost.
    time.sleep(interval * unhealthy + 1)
    stack.config["k3sVersion"] = NEXT
    stack.configure()
    with probing(stack.kubeconfig) as probes:
        stack.up("--refresh")
    print(f"\na lost server and an upgrade in one run: {len(probes.failed)} of {probes.asked} requests failed")
    assert set(versions(stack).values()) == {NEXT}
    assert probes.asked > 50
    assert probes.failed == []
    stack.config |= before
    stack.configure()


@pytest.mark.thorough
def test_a_new_image_replaces_every_node_and_is_not_noticed_at_the_api(stack: Stack) -> None:
    before = set(stack.nodes())
    with probing(stack.kubeconfig) as probes, budget_watched(stack) as seen:
        change(stack, image="debian-12-x64")
    print(
        f"\nnew image for {len(before)} nodes: {len(probes.failed)} of {probes.asked} requests failed, "
        f"the slowest answer took {probes.slowest} s"
    )
    assert len(stack.nodes()) == 4
    assert all(stack.nodes().values())
    assert not before & set(stack.nodes())
    assert not before & set(rented()["droplets"])
    assert probes.failed == []
    assert min(seen) >= BUDGET


def test_a_dead_cluster_can_be_destroyed_quickly(stack: Stack) -> None:
    for droplet in (*names(stack, "servers"), *names(stack, "agents")):
        run(LOCAL_CLOUD, "fault", "kill", droplet)
    began = time.monotonic()
    stack.destroy()
    seconds = time.monotonic() - began
    print(f"\na dead cluster of 4 nodes was destroyed in {seconds:.0f} s")
    assert seconds < 60
    assert rented_with_prefix(PREFIX) == []
