"""`pulumi up` killed at ten moments of a run, and recovered to one complete cluster; and so `pulumi destroy`."""

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
#: Where `up` is killed: calls of the API that have taken effect and whose answer has not come, or the n-th server whose
#: K3s is starting. Spread over a run from its first seconds to its last. Then where the destroy is: deletions. What was
#: recovered goes on to the next of them, which waits for the one before: else it could have come beside it.
#: `python -m tests.e2e.kill_every_deletion` takes all deletions.
MOMENTS: list[tuple[Stack, tuple[str | int, ...], tuple[str, ...]]] = [
    (SINGLE, ("/v2/account/keys", "/v2/droplets"), ("/v2/droplets/[^/]+", "/v2/account/keys/[^/]+")),
    (SINGLE, ("/v2/vpcs", 1), (LAST,)),
    (SINGLE, ("/v2/firewalls",), ("/v2/firewalls/[^/]+", "/v2/tags/[^/]+")),
    (SINGLE, ("/v2/projects",), ("/v2/projects/[^/]+",)),
    (HA, ("/v2/databases", "/v2/databases/[^/]+/users"), ("/v2/load_balancers/[^/]+", "/v2/vpcs/[^/]+")),
    (HA, ("/v2/load_balancers",), ("/v2/databases/[^/]+",)),
    (HA, (2,), (LAST,)),
]
#: One of each topology is enough for the main job; the others are thorough.
MAIN_JOB = (MOMENTS[0], MOMENTS[-1])


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


def empty_attributes(stack: Stack) -> None:
    """As a run leaves them that was killed while it wrote them: github.com/google/go-cloud, blob/fileblob/attrs.go."""
    (state,) = stack.state_files()
    attributes = state.with_name(f"{state.name}.attrs")
    assert attributes.exists()
    attributes.write_text("")


def recover(stack: Stack) -> str:
    said = run(LOCAL, "bin/recover", "--yes", PULUMI_STACK=stack.name).stdout
    assert "nothing is left over" in said
    return said


def assert_complete(stack: Stack) -> None:
    assert {kind: len(names) for kind, names in mine().items()} == COMPLETE[stack.name]
    servers = stack.outputs()["servers"]
    assert sorted(droplets()) == sorted(server["name"] for server in servers)
    assert stack.nodes() == dict.fromkeys(droplets(), True)


def assert_a_forgotten_database_keeps_its_rows(stack: Stack) -> None:
    """A destroy may forget the parts of a database cluster, which go with it, while the cluster lives.

    What is left over of it is a stack that `up` completes, and that `destroy` takes down.
    """
    stack.kubectl("create", "configmap", "kept")
    forget_database(stack)
    said = recover(stack)
    assert "is taken into the state: database in a cluster k3s (k3s)" in said
    assert "removed:" not in said
    stack.up()
    assert_complete(stack)
    stack.kubectl("get", "configmap", "kept")
    stack.preview("--expect-no-changes")
    forget_database(stack)
    recover(stack)


def forget_database(stack: Stack) -> None:
    resources = json.loads(stack.pulumi("stack", "export").stdout)["deployment"]["resources"]
    for kind in ("databaseDb:DatabaseDb", "databaseUser:DatabaseUser"):
        for urn in [each["urn"] for each in resources if each["type"] == f"digitalocean:index/{kind}"]:
            stack.pulumi("state", "delete", urn, "--target-dependents", "--force", "--yes")


def mine() -> dict[str, list[str]]:
    """What the account has of this module's, by kind."""
    found = {kind: [name for name in names if name.startswith(PREFIX)] for kind, names in rented().items()}
    return {kind: names for kind, names in found.items() if names}


@pytest.mark.parametrize(
    ("stack", "moments", "deletions"),
    [pytest.param(*each, marks=() if each in MAIN_JOB else pytest.mark.thorough) for each in MOMENTS],
    ids=[f"{stack.name}-{'-'.join(map(str, moments))}" for stack, moments, _ in MOMENTS],
)
def test_runs_that_were_killed_are_recovered_to_one_complete_cluster_and_its_destroy_to_nothing(
    stack: Stack, moments: tuple[str | int, ...], deletions: tuple[str, ...]
) -> None:
    for moment in moments:
        ran = kill_up_at(stack, moment)
        if moment == "/v2/account/keys":
            # What Pulumi itself says of a killed run's lock, and what the README tells to do about it.
            refused = stack.up(check=False)
            assert refused.returncode != 0
            assert "pulumi cancel" in refused.stdout
        empty_attributes(stack)
        print(f"\n{stack.name}: up killed after {ran:.1f} s ({moment})\n{recover(stack).strip()}")
    stack.up()
    assert_complete(stack)
    recover(stack)
    if "/v2/databases/[^/]+/users" in moments:
        assert_a_forgotten_database_keeps_its_rows(stack)
    for deletion in deletions:
        kills.hang("DELETE", deletion, times=2 if deletion == LAST else 1)
        ran = kills.kill(stack.start_destroy(), deletion, kills.calls_hang)
        empty_attributes(stack)
        said = recover(stack)
        print(f"{stack.name}: destroy killed after {ran:.1f} s ({deletion})\n{said.strip()}")
        assert said.count("is gone, and is taken out of the state") >= (2 if deletion == LAST else 1)
    if stack is SINGLE and LAST in deletions:
        stack.up()
        assert_complete(stack)
    stack.destroy()
    assert rented_with_prefix(PREFIX) == []


def test_the_killed_runs_left_nothing_in_any_state() -> None:
    for stack in (SINGLE, HA):
        deployment = json.loads(stack.pulumi("stack", "export").stdout)["deployment"]
        assert [each for each in deployment.get("resources") or [] if each.get("id")] == []
