"""A datastore that stops, a server that loses its way to it, and a first server that is slow: 2 servers, 1 agent."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.prober import probing
from tests.e2e.stack import LOCAL_CLOUD, CommandFailed, Stack, api, database_id, run, wait_for

pytestmark = pytest.mark.thorough

PREFIX = "e2e-fail"
INTERVAL, UNHEALTHY = 3, 2
OUTAGE_SECONDS = 60
OBJECTS = 50
#: A server notices within some ten seconds: two answers in a row fail, each after the API's own 2 s and curl's 4.
NOTICED_SECONDS = 20
#: K3s that gave up with its datastore is started anew by its unit, and the load balancer trusts after two checks.
RECOVERED_SECONDS = 60
DELAY_SECONDS = 15


def in_server(name: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in a machine, without SSH and network."""
    return run(LOCAL_CLOUD, "shell", name, *command, check=False)


def server_names(stack: Stack) -> list[str]:
    """Names of the servers by their index, as far as the state knows them: while `pulumi up` runs."""
    exported = stack.pulumi("stack", "export", check=False)
    if exported.returncode != 0:  # `pulumi up` is just writing it: "failed to load checkpoint: EOF"
        return []
    deployment = json.loads(exported.stdout)["deployment"]
    droplets = {
        resource["urn"].rsplit("::", 1)[1]: resource
        for resource in deployment.get("resources") or []
        if resource["type"] == "digitalocean:index/droplet:Droplet"
    }
    found = [droplets.get(f"server-{index}-droplet") for index in range(2)]
    return [str(droplet["outputs"]["name"]) for droplet in found if droplet is not None]


@pytest.fixture(scope="module")
def came_up(request: pytest.FixtureRequest) -> Iterator[tuple[Stack, dict[str, Any]]]:
    """The stack, and what the second server did while the first was stopped in the middle of its first start."""
    stack = Stack(
        "e2e-failures",
        {
            "topology": "ha",
            "namePrefix": PREFIX,
            "vpcCidr": "10.26.0.0/24",
            "healthCheckInterval": INTERVAL,
            "healthCheckHealthy": 2,
            "healthCheckUnhealthy": UNHEALTHY,
        },
    )
    stack.init()
    up = stack.start_up()
    try:
        seen = delay_first_server(stack, up)
        output, _ = up.communicate(timeout=600)
        assert up.returncode == 0, output[-6000:]
        yield stack, seen
    finally:
        if up.poll() is None:
            up.terminate()
            up.wait(timeout=60)
        stack.pulumi("cancel", "--yes", check=False)
        stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
        stack.remove()


@pytest.fixture
def stack(came_up: tuple[Stack, dict[str, Any]]) -> Stack:
    return came_up[0]


def delay_first_server(stack: Stack, up: subprocess.Popen[str]) -> dict[str, Any]:
    """Freeze the first server while it starts K3s on the empty datastore, and look at the second in the meantime."""
    names: list[str] = []

    def both_are_there() -> bool:
        nonlocal names
        assert up.poll() is None, up.communicate()[0][-6000:]
        names = server_names(stack)
        return len(names) == 2

    wait_for("two servers in the state", both_are_there, 300)
    first, second = names

    def is_starting() -> bool:
        return in_server(first, "systemctl", "is-active", "k3s").stdout.strip() == "activating"

    wait_for("the first server's K3s to start", is_starting, 300)
    run(LOCAL_CLOUD, "fault", "pause", first)
    try:
        until = time.monotonic() + DELAY_SECONDS
        states = set()
        while time.monotonic() < until:
            states.add(in_server(second, "systemctl", "is-active", "k3s").stdout.strip())
            time.sleep(1)
        booted = json.loads(in_server(second, "cloud-init", "status", "--format", "json").stdout)["status"]
        configured = in_server(second, "test", "-e", "/etc/rancher/k3s/config.yaml").returncode == 0
    finally:
        run(LOCAL_CLOUD, "fault", "resume", first)
    return {"states": states, "booted": booted, "configured": configured}


def authority(server: str) -> str:
    return in_server(server, "cat", "/var/lib/rancher/k3s/server/tls/server-ca.crt").stdout


def answers(stack: Stack) -> bool:
    return stack.kubectl("get", "nodes", check=False).returncode == 0


def test_a_second_server_waits_for_a_slow_first_one_and_there_is_one_ca(
    came_up: tuple[Stack, dict[str, Any]],
) -> None:
    stack, seen = came_up
    # It could have started: its first boot was over, and only the order held it back.
    assert seen == {"states": {"inactive"}, "booted": "done", "configured": False}
    first, second = (server["name"] for server in stack.outputs()["servers"])
    assert authority(first).startswith("-----BEGIN CERTIFICATE-----")
    assert authority(first) == authority(second)
    query = "SELECT count(DISTINCT name) FROM kine WHERE name LIKE '/bootstrap/%'"
    assert run(LOCAL_CLOUD, "sql", "--cluster", database_id(stack), "k3s", query).stdout.strip() == "1"
    assert list(stack.nodes().values()) == [True, True, True]


def test_the_api_recovers_by_itself_from_a_minute_without_its_database(stack: Stack) -> None:
    manifest = "\n---\n".join(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: kept-{index}}}\ndata: {{index: '{index}'}}"
        for index in range(OBJECTS)
    )
    stack.kubectl("apply", "--filename", "-", stdin=manifest)
    stack.kubectl("create", "deployment", "before", "--image=nginx", "--replicas=3")
    stack.kubectl("rollout", "status", "deployment/before", "--timeout=60s")
    database = database_id(stack)
    run(LOCAL_CLOUD, "fault", "stop-database", database)
    stopped = time.monotonic()
    try:
        assert stack.kubectl("get", "configmap", "kept-0", check=False).returncode != 0
        time.sleep(max(0.0, stopped + OUTAGE_SECONDS - time.monotonic()))
    finally:
        run(LOCAL_CLOUD, "fault", "start-database", database)
    recovery = wait_for("the API's recovery", lambda: answers(stack), RECOVERED_SECONDS)
    outage = time.monotonic() - stopped
    print(f"\ndatabase stopped for {OUTAGE_SECONDS} s: no API for {outage:.1f} s, {recovery:.1f} s after its start")
    wait_for("all nodes Ready", lambda: list(stack.nodes().values()) == [True, True, True], RECOVERED_SECONDS)
    listed = json.loads(stack.kubectl("get", "configmaps", "--output", "json").stdout)["items"]
    kept = {
        item["metadata"]["name"]: item.get("data") for item in listed if item["metadata"]["name"] != "kube-root-ca.crt"
    }
    assert kept == {f"kept-{index}": {"index": str(index)} for index in range(OBJECTS)}
    stack.kubectl("rollout", "status", "deployment/before", "--timeout=60s")
    # It takes new work, too: the controllers are back.
    stack.kubectl("create", "deployment", "after", "--image=nginx", "--replicas=3")
    stack.kubectl("rollout", "status", "deployment/after", "--timeout=60s")


def test_clients_are_served_through_the_other_server_when_one_cannot_reach_the_database(stack: Stack) -> None:
    outputs = stack.outputs()
    cut_off, other = (server["name"] for server in outputs["servers"])
    address = outputs["servers"][0]["privateAddress"]
    agent = outputs["agents"][0]["name"]

    def lets_clients_in() -> bool:
        probe = f"exec 3<>/dev/tcp/{address}/6443"
        return in_server(other, "timeout", "2", "bash", "-c", probe).returncode == 0

    wait_for("the server to let clients in", lets_clients_in, RECOVERED_SECONDS)
    time.sleep(INTERVAL * 2 + 1)
    database = database_id(stack)
    run(LOCAL_CLOUD, "fault", "cut", cut_off, database)
    began = time.monotonic()
    try:
        noticed = wait_for("the server to send clients away", lambda: not lets_clients_in(), NOTICED_SECONDS)
        # Until then a load balancer sends clients to it, and tries nobody else for them.
        time.sleep(INTERVAL * UNHEALTHY + 1)
        with probing(stack.kubeconfig) as probes:
            stack.kubectl("create", "configmap", "written-during-the-cut")
            time.sleep(max(0.0, began + OUTAGE_SECONDS - time.monotonic()))
            assert stack.nodes()[agent]
        print(
            f"\nserver cut off from the database: it left after {noticed:.1f} s; then {probes.asked} questions through "
            f"the load balancer, {len(probes.failed)} failed, the slowest took {probes.slowest} s"
        )
        assert probes.asked > 200
        assert probes.failed == []
    finally:
        run(LOCAL_CLOUD, "fault", "mend", cut_off, database)
    back = wait_for("the server to let clients in again", lets_clients_in, RECOVERED_SECONDS)
    print(f"line mended: the server serves again after {back:.1f} s")
    print(in_server(cut_off, "journalctl", "--no-pager", "--lines=4", "--unit=k3s-api-traffic").stdout)
    wait_for("all nodes Ready", lambda: list(stack.nodes().values()) == [True, True, True], RECOVERED_SECONDS)
    stack.kubectl("get", "configmap", "written-during-the-cut")


def test_a_database_that_servers_use_is_not_dropped(stack: Stack) -> None:
    with pytest.raises(CommandFailed, match="is being accessed by other users"):
        api("DELETE", f"databases/{database_id(stack)}/dbs/k3s")
    assert answers(stack)


def test_failures_leave_nothing_to_change(stack: Stack) -> None:
    stack.preview("--refresh", "--expect-no-changes")
