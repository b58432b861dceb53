"""`make stack`, and then what it says to do next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.stack import Stack, rented_with_prefix, run

NAME = "e2e-new"


@pytest.fixture
def stack() -> Iterator[Stack]:
    stack = Stack(NAME, {})
    stack.config_file.unlink(missing_ok=True)
    yield stack
    stack.remove()


def test_a_new_stack_can_be_previewed_as_it_was_written_and_keeps_its_comments(stack: Stack) -> None:
    run("make", "stack", f"NAME={NAME}", "TOPOLOGY=single-node")
    comments = [line for line in stack.config_file.read_text().splitlines() if line.lstrip().startswith("#")]
    stack.pulumi("stack", "init", NAME)
    stack.pulumi("config", "set", "agentCount", "1")
    shown = stack.preview().stdout
    assert "server-0" in shown
    assert "agent-0" in shown
    assert "loadBalancer" not in shown
    kept = stack.config_file.read_text().splitlines()
    assert [line for line in comments if line not in kept] == []
    refused = run("make", "stack", f"NAME={NAME}", check=False)
    assert refused.returncode != 0
    assert f"make stack: Pulumi.{NAME}.yaml is there already" in refused.stdout
    assert rented_with_prefix(f"k3s-{NAME}") == []
