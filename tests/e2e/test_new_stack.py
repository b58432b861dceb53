"""`make stack`, and then what it says to do next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from readme.commands import NOT_RUN, shell_commands
from readme.made_part import README
from readme.settings_table import declared
from tests.e2e.stack import LOCAL, Stack, rented_with_prefix, run

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


def test_each_config_set_of_readme_sets_what_there_is(stack: Stack) -> None:
    stack.pulumi("stack", "init", NAME)
    commands = [command for command in shell_commands(README.read_text()) if command.startswith("pulumi config set ")]
    runnable = [command for command in dict.fromkeys(commands) if command not in NOT_RUN]
    assert len(runnable) > 3
    for command in runnable:
        run(LOCAL, "bash", "-c", command, PULUMI_STACK=NAME)
    keys = {key.partition(":")[2] for key in yaml.safe_load(stack.config_file.read_text())["config"]}
    assert keys <= set(declared())
    assert len(keys) == len(runnable)
