"""`pulumi up` killed at ten moments, and an API that fails at every kind of call."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from local_cloud import control
from tests.e2e.stack import LOCAL, LOCAL_CLOUD, Stack, rented, rented_with_prefix, run, wait_for

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
#: Longer than the plugins need to notice that their engine is gone.
ORPHANS_SECONDS = 4
#: Reads of this test's plugins take so long at most: see pulumi_plugins/digitalocean/client.py.
READ_SECONDS = 3


@pytest.fixture(scope="module", autouse=True)
def stacks() -> Iterator[None]:
    control.call("DELETE", "requests")
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


def kinds_of_call() -> list[tuple[str, str]]:
    """Method and pattern of every call that was made of the API so far, from its own log."""
    named = re.compile(
        r"(?<=/)([0-9a-f]{8}-[0-9a-f-]{27}|\d+)(?=/|$)|(?<=/tags/)[^/]+|(?<=/dbs/)[^/]+|(?<=/users/)[^/]+"
    )
    calls = control.call("GET", "requests")["requests"]
    return sorted({(call["method"], named.sub("[^/]+", call["path"])) for call in calls if call["status"] < 400})


@pytest.mark.parametrize("failure", ["429", "500", "hang"])
def test_up_and_destroy_end_well_when_every_kind_of_call_fails_three_times(failure: str) -> None:
    """All failures of one kind in one run: each kind of call fails three times before it is answered."""
    kinds = calls_of_a_clean_run()
    what = {"hang_seconds": 600} if failure == "hang" else {"status": int(failure)}
    for method, path in kinds:
        control.call("POST", "faults", {"method": method, "path": path, "times": 3, **what})
    # The plugin's own settings, so that its waits between two attempts do not make this test slow.
    impatient = {"DIGITALOCEAN_HTTP_RETRY_WAIT_MIN": "0.2", "LOCAL_CLOUD_READ_SECONDS": str(READ_SECONDS)}
    began = time.monotonic()
    command = (LOCAL, "pulumi", "--non-interactive")
    run(*command, "up", "--yes", "--skip-preview", PULUMI_STACK=HA.name, **impatient)
    up = time.monotonic() - began
    assert {kind: len(names) for kind, names in mine().items()} == COMPLETE[HA.name]
    assert HA.nodes() == dict.fromkeys(droplets(), True)
    run(*command, "destroy", "--yes", "--skip-preview", PULUMI_STACK=HA.name, **impatient)
    assert rented_with_prefix(PREFIX) == []
    spared = [
        f"{fault['method']} {fault['path']}" for fault in control.call("GET", "faults")["faults"] if fault["times"]
    ]
    control.call("DELETE", "faults")
    print(f"\n{failure} three times at each of {len(kinds)} kinds of call: up in {up:.0f} s; not called: {spared}")
    # What only some runs ask (a name that is taken, a wait that was short) may be left; what all runs need is not.
    assert Counter(each.split()[0] for each in spared)["POST"] == 0
    assert len(spared) <= len(kinds) // 4


def calls_of_a_clean_run() -> list[tuple[str, str]]:
    """The kinds of call that the stack's own runs make: those seen so far, and by one run if there was none."""
    if not any(call["path"].startswith("/v2/load_balancers") for call in control.call("GET", "requests")["requests"]):
        HA.up()
        HA.destroy()
    return kinds_of_call()


def test_the_killed_and_failed_runs_left_nothing_in_any_state() -> None:
    for stack in (SINGLE, HA):
        deployment = json.loads(stack.pulumi("stack", "export").stdout)["deployment"]
        assert [each for each in deployment.get("resources") or [] if each.get("id")] == []
