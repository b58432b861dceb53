"""`pulumi up` killed at ten moments of a run, each time recovered to one complete cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from local_cloud import control
from tests.e2e.stack import LOCAL, LOCAL_CLOUD, ORPHANS_SECONDS, Stack, rented, rented_with_prefix, run, wait_for

PREFIX = "e2e-kill"
COMMON = {
    "vpcCidr": "10.27.0.0/24",
    "healthCheckInterval": 3,
    "healthCheckHealthy": 2,
    "healthCheckUnhealthy": 2,
    "namePrefix": PREFIX,
}
SINGLE = Stack("e2e-kill-single", {**COMMON, "topology": "single-node"})
HA = Stack("e2e-kill-ha", {**COMMON, "topology": "ha", "agentCount": 0})
#: How many of each kind a complete cluster has.
COMPLETE = {
    SINGLE.name: {"ssh_keys": 1, "tags": 2, "vpcs": 1, "droplets": 1, "firewalls": 2, "projects": 1},
    HA.name: {
        **{"ssh_keys": 1, "tags": 2, "vpcs": 1, "droplets": 2, "firewalls": 2, "projects": 1},
        **{"load_balancers": 1, "databases": 1},
    },
}
#: Where a run is killed: a call of the API that has taken effect and whose answer has not come, or the n-th server
#: whose K3s is starting. Spread over a run from its first seconds to its last.
MOMENTS = [
    (SINGLE, "/v2/account/keys"),
    (SINGLE, "/v2/vpcs"),
    (SINGLE, "/v2/firewalls"),
    (SINGLE, "/v2/droplets"),
    (SINGLE, "/v2/projects"),
    (SINGLE, 1),
    (HA, "/v2/databases"),
    (HA, "/v2/load_balancers"),
    (HA, "/v2/databases/[^/]+/users"),
    (HA, 2),
]


@pytest.fixture(scope="module", autouse=True)
def stacks() -> Iterator[None]:
    for stack in (SINGLE, HA):
        stack.init()
    try:
        yield
    finally:
        control.call("DELETE", "faults")
        for stack in (SINGLE, HA):
            run(LOCAL, "bin/recover", "--yes", check=False, PULUMI_STACK=stack.name)
            stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
            stack.remove()


def droplets() -> list[str]:
    return [name for name in rented().get("droplets", []) if name.startswith(PREFIX)]


def starting(name: str) -> bool:
    done = run(LOCAL_CLOUD, "shell", name, "systemctl", "is-active", "k3s", check=False)
    return done.stdout.strip() in ("activating", "active")


def kill_at(stack: Stack, moment: str | int) -> float:
    """Start `pulumi up`, kill it at the moment, and return how many seconds it had run."""
    if isinstance(moment, str):
        fault = {"method": "POST", "path": moment, "times": 1, "hang_seconds": 600, "when": "after"}
        control.call("POST", "faults", fault)
    up = stack.start_up()
    began = time.monotonic()

    def has_come() -> bool:
        assert up.poll() is None, f"it ended before it was killed:\n{up.communicate()[0][-6000:]}"
        if isinstance(moment, str):
            return all(fault["times"] == 0 for fault in control.call("GET", "faults")["faults"])
        return sum(starting(name) for name in droplets()) >= moment

    try:
        wait_for(f"the moment {moment}", has_come, 300)
    finally:
        # bin/local has become pulumi itself; its plugins are left to notice.
        up.kill()
    ran = time.monotonic() - began
    up.wait(timeout=60)
    assert up.stdout is not None
    up.stdout.close()
    time.sleep(ORPHANS_SECONDS)
    control.call("DELETE", "faults")
    return ran


def mine() -> dict[str, list[str]]:
    """What the account has of this module's, by kind."""
    found = {kind: [name for name in names if name.startswith(PREFIX)] for kind, names in rented().items()}
    return {kind: names for kind, names in found.items() if names}


@pytest.mark.parametrize(("stack", "moment"), MOMENTS, ids=[f"{stack.name}-{where}" for stack, where in MOMENTS])
def test_a_run_that_was_killed_is_recovered_to_one_complete_cluster(stack: Stack, moment: str | int) -> None:
    ran = kill_at(stack, moment)
    refused = stack.up(check=False) if moment == "/v2/account/keys" else None
    recovered = run(LOCAL, "bin/recover", "--yes", PULUMI_STACK=stack.name)
    began = time.monotonic()
    stack.up()
    print(f"\n{stack.name} killed after {ran:.1f} s ({moment}); up again in {time.monotonic() - began:.1f} s")
    print(recovered.stdout.strip())
    if refused is not None:
        # What Pulumi itself says of a killed run's lock, and what the README tells to do about it.
        assert refused.returncode != 0
        assert "pulumi cancel" in refused.stdout
    assert {kind: len(names) for kind, names in mine().items()} == COMPLETE[stack.name]
    outputs = stack.outputs()
    assert sorted(droplets()) == sorted(server["name"] for server in outputs["servers"])
    assert stack.nodes() == dict.fromkeys(droplets(), True)
    assert "nothing is left over" in run(LOCAL, "bin/recover", "--yes", PULUMI_STACK=stack.name).stdout
    stack.destroy()
    assert rented_with_prefix(PREFIX) == []


def test_the_killed_runs_left_nothing_in_any_state() -> None:
    for stack in (SINGLE, HA):
        deployment = json.loads(stack.pulumi("stack", "export").stdout)["deployment"]
        assert [each for each in deployment.get("resources") or [] if each.get("id")] == []
