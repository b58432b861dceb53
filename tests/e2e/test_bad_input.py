"""What cannot work is refused in one message, before the cloud has heard of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_cloud import control
from tests.e2e.stack import LOCAL, Stack, run


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
    run(
        *(LOCAL, "env", "-u", "DIGITALOCEAN_TOKEN", "-u", "DIGITALOCEAN_API_URL"),
        *("pulumi", "--non-interactive", "preview"),
        **environment,
    )
