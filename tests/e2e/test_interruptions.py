"""`pulumi up` killed at ten moments of a run, each time recovered to one complete cluster; and so `pulumi destroy`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from local_cloud import control
from tests.e2e import kills
from tests.e2e.stack import LOCAL, LOCAL_CLOUD, Stack, rented, rented_with_prefix, run

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
        **{"ssh_keys": 1, "tags": 2, "vpcs": 1, "droplets": 2, "firewalls": 3, "projects": 1},
        **{"load_balancers": 1, "databases": 1},
    },
}
#: The last of a destroy, which wait for nothing but each other's users: they are under way at the same time.
LAST = "/v2/(vpcs|projects)/[^/]+"
#: Where `up` is killed: a call of the API that has taken effect and whose answer has not come, or the n-th server whose
#: K3s is starting. Spread over a run from its first seconds to its last. Then where the destroy is: a deletion. All of
#: them, one after another: `python -m tests.e2e.kill_every_deletion`.
MOMENTS = [
    (SINGLE, "/v2/account/keys", "/v2/account/keys/[^/]+"),
    (SINGLE, "/v2/vpcs", LAST),
    (SINGLE, "/v2/firewalls", "/v2/firewalls/[^/]+"),
    (SINGLE, "/v2/droplets", "/v2/droplets/[^/]+"),
    (SINGLE, "/v2/projects", "/v2/projects/[^/]+"),
    (SINGLE, 1, "/v2/tags/[^/]+"),
    (HA, "/v2/databases", "/v2/databases/[^/]+"),
    (HA, "/v2/load_balancers", "/v2/load_balancers/[^/]+"),
    (HA, "/v2/databases/[^/]+/users", "/v2/vpcs/[^/]+"),
    (HA, 2, LAST),
]
#: One of each topology is enough for the main job; the others are thorough.
MAIN_JOB = (MOMENTS[3], MOMENTS[-1])


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


def kill_up_at(stack: Stack, moment: str | int) -> float:
    """Start `pulumi up`, kill it at the moment, and return how many seconds it had run."""
    if isinstance(moment, int):
        return kills.kill(
            stack.start_up(), f"server {moment}", lambda: sum(starting(name) for name in droplets()) >= moment
        )
    kills.hang("POST", moment)
    return kills.kill(stack.start_up(), moment, kills.calls_hang)


def recover(stack: Stack) -> str:
    said = run(LOCAL, "bin/recover", "--yes", PULUMI_STACK=stack.name).stdout
    assert "nothing is left over" in said
    return said


def assert_complete(stack: Stack) -> None:
    assert {kind: len(names) for kind, names in mine().items()} == COMPLETE[stack.name]
    servers = stack.outputs()["servers"]
    assert sorted(droplets()) == sorted(server["name"] for server in servers)
    assert stack.nodes() == dict.fromkeys(droplets(), True)


def mine() -> dict[str, list[str]]:
    """What the account has of this module's, by kind."""
    found = {kind: [name for name in names if name.startswith(PREFIX)] for kind, names in rented().items()}
    return {kind: names for kind, names in found.items() if names}


@pytest.mark.parametrize(
    ("stack", "moment", "deletion"),
    [pytest.param(*each, marks=() if each in MAIN_JOB else pytest.mark.thorough) for each in MOMENTS],
    ids=[f"{stack.name}-{where}" for stack, where, _ in MOMENTS],
)
def test_a_run_that_was_killed_is_recovered_to_one_complete_cluster_and_its_destroy_to_nothing(
    stack: Stack, moment: str | int, deletion: str
) -> None:
    ran = kill_up_at(stack, moment)
    refused = stack.up(check=False) if moment == "/v2/account/keys" else None
    print(f"\n{stack.name}: up killed after {ran:.1f} s ({moment})\n{recover(stack).strip()}")
    stack.up()
    if refused is not None:
        # What Pulumi itself says of a killed run's lock, and what the README tells to do about it.
        assert refused.returncode != 0
        assert "pulumi cancel" in refused.stdout
    assert_complete(stack)
    recover(stack)
    kills.hang("DELETE", deletion, times=2 if deletion == LAST else 1)
    ran = kills.kill(stack.start_destroy(), deletion, kills.calls_hang)
    said = recover(stack)
    print(f"{stack.name}: destroy killed after {ran:.1f} s ({deletion})\n{said.strip()}")
    assert said.count("is gone, and is taken out of the state") >= (2 if deletion == LAST else 1)
    if stack is SINGLE and deletion == LAST:
        stack.up()
        assert_complete(stack)
    stack.destroy()
    assert rented_with_prefix(PREFIX) == []


def test_the_killed_runs_left_nothing_in_any_state() -> None:
    for stack in (SINGLE, HA):
        deployment = json.loads(stack.pulumi("stack", "export").stdout)["deployment"]
        assert [each for each in deployment.get("resources") or [] if each.get("id")] == []
