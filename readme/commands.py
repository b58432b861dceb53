"""Every command in README's shell blocks, and which test runs it. tests/unit/test_readme_commands.py checks both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Proof:
    """A test function and the words in it that are the command, or where it is run by a fixture or script, the file."""

    file: str
    function: str | None
    words: str


_HA = "tests/e2e/test_ha.py"
_STACK = "tests/e2e/stack.py"
_BENCH = "tests/bench.py"

PROOFS: dict[str, Proof] = {
    "make demo": Proof(_BENCH, "warm", 'run("make", "demo")'),
    "bin/local kubectl create deployment web --image=nginx --replicas=3": Proof(
        _HA,
        "test_a_deployment_becomes_available_and_its_rows_are_in_postgres",
        'kubectl("create", "deployment", "web", "--image=nginx", "--replicas=3")',
    ),
    "bin/local pulumi preview": Proof(_HA, "test_nothing_changes_after_up", 'preview("--expect-no-changes")'),
    "bin/local pulumi stack output": Proof(_STACK, "outputs", 'pulumi("stack", "output", "--json"'),
    "bin/status local": Proof(_HA, "test_status_of_a_healthy_cluster", "status(stack"),
    "bin/status local --drift": Proof(_HA, "test_status_of_a_healthy_cluster", 'status(stack, "--drift")'),
    "bin/status local --json": Proof(_HA, "test_status_of_a_healthy_cluster", "status_json(stack)"),
    "bin/local-cloud status": Proof(_BENCH, "memory_mib", 'run(LOCAL_CLOUD, "status")'),
    "bin/local-cloud fault kill k3s-server-…": Proof(
        _HA,
        "test_the_api_answers_through_the_other_server_when_one_dies",
        'run(LOCAL_CLOUD, "fault", "kill", server)',
    ),
    "bin/local pulumi destroy": Proof(_HA, "test_destroy_leaves_nothing_and_up_builds_it_again", "stack.destroy()"),
    "make down": Proof(".ci/run", None, "make down"),
    "pulumi up": Proof(_STACK, "up", 'pulumi("up", "--yes"'),
    "pulumi stack init fra1": Proof(_STACK, "init", 'pulumi("stack", "init", self.name)'),
    "kubectl get nodes": Proof(_STACK, "nodes", 'kubectl("get", "nodes"'),
    "make test": Proof(".ci/run", None, "make test"),
}

#: What cannot be run here, and why.
NOT_RUN: dict[str, str] = {
    "export DIGITALOCEAN_TOKEN=dop_v1_...": "a real account's token; bin/local exports the local cloud's",
    "pulumi install": "gets the official plugins from the internet",
    "export KUBECONFIG=$PWD/kubeconfig/fra1.yaml": "only sets a variable; bin/local sets the same",
    "make test-fast": "is the run that these tests are part of",
    "make bench": "measures for a quarter of an hour",
}


def shell_commands(text: str) -> Iterator[str]:
    """Each line of README's `sh` blocks, without its comment."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if command := re.sub(r"(^|\s)#.*$", "", line).strip():
                yield command
