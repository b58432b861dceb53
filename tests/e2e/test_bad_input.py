"""What cannot work is refused in one message, before the cloud has heard of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from local_cloud import control
from tests.e2e.stack import LOCAL, PROJECT, Stack, run

#: What preflight may add to a preview.
PREFLIGHT_SECONDS = 1.0
#: The check alone, its imports included, as `__main__.py` runs it. The stack's config is what Pulumi would hand it.
TIMED_CHECK = """
import os, pathlib, sys, time
sys.path.insert(0, os.getcwd())
import pulumi
from k3s_cluster.settings import parse_settings
from tests.unit.stack_files import config
settings = parse_settings(config(namePrefix="e2e-bad"), stack="e2e-bad-input", folder=pathlib.Path.cwd())
began = time.monotonic()
from k3s_cluster.account.check import check_account
from k3s_cluster.stack_config import credentials
check_account(settings, credentials({}, os.environ))
print("seconds:", time.monotonic() - began)
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    stack = Stack("e2e-bad-input", {"namePrefix": "e2e-bad"})
    stack.init()
    yield stack
    stack.remove()


@pytest.fixture(autouse=True)
def nothing_is_created() -> Iterator[None]:
    control.call("DELETE", "requests")
    yield
    writes = [call for call in control.call("GET", "requests")["requests"] if call["method"] != "GET"]
    assert writes == []


def test_the_program_s_own_refusal_names_key_value_and_what_is_allowed(stack: Stack) -> None:
    stack.configure(topology="cluster", vpcCidr="8.8.8.0/24")
    done = stack.up(check=False)
    assert done.returncode != 0
    assert "topology: `cluster` must be `single-node` or `ha`." in done.stdout
    assert "vpcCidr: `8.8.8.0/24` must be private" in done.stdout
    assert "Traceback" not in done.stdout


def test_an_unknown_key_is_refused(stack: Stack) -> None:
    stack.configure(serverCounts=3)
    done = stack.up(check=False)
    assert done.returncode != 0
    assert "serverCounts: there is no such key; did you mean `serverCount`?" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_wrong_type_is_refused(stack: Stack) -> None:
    stack.configure(datastoreNodes="three")
    done = stack.up(check=False)
    assert done.returncode != 0
    assert "datastoreNodes" in done.stdout
    assert "integer" in done.stdout
    assert "Traceback" not in done.stdout


def test_without_a_token_up_says_how_to_get_one_and_preview_works(stack: Stack) -> None:
    stack.configure()
    environment = {"PULUMI_STACK": stack.name}
    up = run(
        *(LOCAL, "env", "-u", "DIGITALOCEAN_TOKEN", "pulumi", "--non-interactive", "up", "--yes", "--skip-preview"),
        check=False,
        **environment,
    )
    assert up.returncode != 0
    assert "There is no DigitalOcean token." in up.stdout
    assert "make demo" in up.stdout
    assert "Traceback" not in up.stdout
    # Not even the cloud's address is known to it.
    preview = run(
        *(LOCAL, "env", "-u", "DIGITALOCEAN_TOKEN", "-u", "DIGITALOCEAN_API_URL"),
        *("pulumi", "--non-interactive", "preview"),
        **environment,
    )
    assert "Preflight: skipped, because there is no DigitalOcean token" in preview.stdout


def lines(output: str) -> str:
    """What was printed, without the indentation and line breaks of Pulumi's report."""
    return " ".join(output.split())


#: One stack's config each, and every line that it is refused with, in their order.
REFUSED_BY_THE_ACCOUNT: dict[str, tuple[dict[str, object], list[str]]] = {
    "everything at once": (
        {
            "image": "ubuntu-20-04-x64",
            "serverSize": "s-2vcpu-5gb",
            "agentSize": "4gb",
            "datastoreVersion": "11",
            "datastoreSize": "db-s-1vcpu-3gb",
            "sshKeys": ["nobody-s-key"],
            "projectName": "nobody-s-project",
            "agentCount": 24,
            "costLimit": 30,
        },
        [
            "image: `ubuntu-20-04-x64` is retired: no droplet can be made of it; the nearest are "
            "`ubuntu-26-04-x64`, `ubuntu-24-04-x64` and ",
            "serverSize: `s-2vcpu-5gb` is no droplet size of DigitalOcean; the nearest are `s-2vcpu-4gb`, ",
            "agentSize: `4gb` is no longer offered; the nearest are ",
            "datastoreVersion: `11` of engine `pg` is not offered; choose `17`, `16` or `15`.",
            "datastoreSize: `db-s-1vcpu-3gb` is no database size for engine `pg`; the nearest are ",
            "projectName: `nobody-s-project` is no project of this account; ",
            "agentCount: this stack needs 26 more droplets, and the account, which has ",
            "sshKeys: `nobody-s-key` is neither the name nor the fingerprint of a key in the account; ",
            "costLimit: `30` is exceeded: this stack would cost at least $",
        ],
    ),
    "a region that is none, and a database that takes no standby": (
        {"region": "fra9", "datastoreNodes": 3},
        ["region: `fra9` is no region of DigitalOcean; the nearest are `fra1`, "],
    ),
    "standbys of the smallest database": (
        {"datastoreSize": "db-s-1vcpu-1gb", "datastoreNodes": 3},
        ["datastoreNodes: `3` is not offered with the size `db-s-1vcpu-1gb`, which takes `1`; the nearest size"],
    ),
    "a single node past its limit": (
        {"topology": "single-node", "costLimit": "23.99"},
        ["costLimit: `23.99` is exceeded: this stack would cost $24.00 a month; raise costLimit, or choose fewer or "],
    ),
}


@pytest.mark.parametrize(("changes", "refusals"), REFUSED_BY_THE_ACCOUNT.values(), ids=REFUSED_BY_THE_ACCOUNT.keys())
def test_what_the_account_cannot_give_is_refused_in_the_plan(
    stack: Stack, changes: dict[str, object], refusals: list[str]
) -> None:
    stack.configure(**changes)
    done = stack.preview(check=False)
    said = lines(done.stdout)
    assert done.returncode != 0
    assert "This plan cannot work in the account:" in said
    found = re.findall(r"- (\w+): ", said[said.index("This plan cannot work") :])
    assert [key for key in found if key != PROJECT] == [refusal.split(":")[0] for refusal in refusals]
    for refusal in refusals:
        assert refusal in said
    assert "Traceback" not in done.stdout


def test_up_is_refused_as_the_plan_is(stack: Stack) -> None:
    stack.configure(image="ubuntu-20-04-x64")
    done = stack.up(check=False)
    assert done.returncode != 0
    assert "image: `ubuntu-20-04-x64` is retired" in lines(done.stdout)
    assert "Traceback" not in done.stdout


def test_a_token_that_may_only_read_and_one_that_is_not_known_are_refused(stack: Stack) -> None:
    reader, stranger = "dop_v1_" + "a" * 64, "dop_v1_" + "b" * 64
    control.call("PUT", "tokens", {"token": reader, "scopes": ["read"]})
    stack.configure()
    try:
        for token, refusal in (
            (reader, "token: may only read"),
            (stranger, "does not know the token in DIGITALOCEAN_"),
        ):
            done = run(
                *(LOCAL, "sh", "-c", 'read -r DIGITALOCEAN_TOKEN && export DIGITALOCEAN_TOKEN && exec "$@"', "sh"),
                *("pulumi", "--non-interactive", "preview"),
                check=False,
                stdin=f"{token}\n",
                PULUMI_STACK=stack.name,
            )
            assert done.returncode != 0
            assert refusal in lines(done.stdout)
            assert token not in done.stdout
            assert "Traceback" not in done.stdout
    finally:
        control.call("PUT", "tokens", {"token": reader, "scopes": []})


def test_a_plan_goes_on_where_the_api_is_out_of_order_and_tells_its_cost_where_it_is_not(stack: Stack) -> None:
    stack.configure()
    control.call("POST", "faults", {"method": "GET", "path": "/v[12]/.*", "status": 503, "times": 1000})
    try:
        preview = stack.preview()
    finally:
        control.call("DELETE", "faults")
    assert "Preflight: skipped, because http://192.0.2.1 does not answer" in lines(preview.stdout)
    said = lines(stack.preview().stdout)
    assert "Cost: $102.45 a month (2 servers s-2vcpu-4gb $48.00, 1 agent s-1vcpu-2gb $12.00, load balancer of " in said
    assert "Deployed now: $0.00; difference: +$102.45." in said
    assert "adminCidrs: 0.0.0.0/0, ::/0 lets the whole internet reach SSH" in said


def test_preflight_adds_less_than_a_second_to_a_plan() -> None:
    took = []
    for _ in range(3):
        done = run(LOCAL, "python", "-c", TIMED_CHECK)
        took.append(float(done.stdout.rpartition("seconds:")[2]))
        assert "Cost: $102.45 a month" in done.stdout
    print(f"preflight: {', '.join(f'{seconds:.2f}' for seconds in took)} s")
    assert min(took) <= PREFLIGHT_SECONDS
