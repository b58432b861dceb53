"""Every command in README, and which test runs it. tests/unit/test_readme_commands.py checks both."""

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
_BACKUP = "tests/e2e/backups.py"
_ETCD, _RESTORE = (
    "tests/e2e/test_datastore_etcd.py",
    "test_a_snapshot_brings_everything_back_after_all_servers_were_lost",
)
_STACK = "tests/e2e/stack.py"
_PG = "tests/e2e/test_datastore_pg.py"
_BENCH = "tests/bench.py"
_NEW_STACK, _NEW = (
    "tests/e2e/test_new_stack.py",
    "test_a_new_stack_can_be_previewed_as_it_was_written_and_keeps_its_comments",
)

PROOFS: dict[str, Proof] = {
    "make demo": Proof(_BENCH, "warm", 'run("make", "demo")'),
    "bin/local kubectl create deployment web --image=nginx --replicas=3": Proof(
        _HA,
        "test_a_deployment_becomes_available_and_its_rows_are_in_postgres",
        'kubectl("create", "deployment", "web", "--image=nginx", "--replicas=3")',
    ),
    "bin/local pulumi preview": Proof(_HA, "test_nothing_changes_after_up", 'preview("--expect-no-changes")'),
    "bin/local pulumi stack output": Proof(_STACK, "outputs", '_of_state("stack", "output", "--json"'),
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
    "pulumi up --refresh": Proof(
        _ETCD, "test_one_survivor_brings_the_others_back_after_the_majority_was_lost", 'stack.up("--refresh")'
    ),
    "pulumi up": Proof(_STACK, "up", 'pulumi("up", "--yes"'),
    "pulumi stack init fra1": Proof(_STACK, "init", 'pulumi("stack", "init", self.name)'),
    "kubectl get nodes": Proof(_STACK, "nodes", 'kubectl("get", "nodes"'),
    "bin/backup": Proof(_BACKUP, "backup", '"bin/backup", str(file)'),
    "bin/restore": Proof(_BACKUP, "restore", '"bin/restore", str(file)'),
    "bin/backup fra1.backup --stack fra1": Proof(_BACKUP, "backup", '"bin/backup", str(file), "--stack", stack.name'),
    "make stack NAME=fra1-new TOPOLOGY=ha": Proof(_NEW_STACK, _NEW, 'run("make", "stack", f"NAME={NAME}"'),
    "pulumi stack init fra1-new": Proof(_STACK, "init", 'pulumi("stack", "init", self.name)'),
    "bin/restore fra1.backup --stack fra1-new": Proof(
        _BACKUP, "restore", '"bin/restore", str(file), "--stack", stack.name'
    ),
    "make test-all": Proof(".ci/run", None, "make test-all"),
    # In tables and between the lines.
    "pulumi destroy": Proof(_STACK, "destroy", 'pulumi("destroy", "--yes"'),
    "pulumi preview": Proof(_STACK, "preview", 'pulumi("preview", *arguments'),
    "pulumi refresh": Proof(
        "tests/e2e/test_single_node.py", "test_drift_is_shown_and_up_mends_it", 'pulumi("refresh", "--yes"'
    ),
    "pulumi cancel": Proof("tests/e2e/conftest.py", "brought_up", 'pulumi("cancel", "--yes"'),
    "pulumi stack output sshCommand": Proof(
        _HA, "test_the_ssh_command_works_as_printed", 'stack.outputs()["sshCommand"]'
    ),
    "pulumi stack output kubeconfig --show-secrets > kubeconfig/fra1.yaml": Proof(
        _STACK, "outputs", '_of_state("stack", "output", "--json", "--show-secrets")'
    ),
    "pulumi stack output sshPrivateKey --show-secrets | ssh-add -q -t 600 -": Proof(
        _HA,
        "test_the_ssh_command_works_as_printed",
        "pulumi stack output sshPrivateKey --show-secrets | ssh-add -q -t 600 -",
    ),
    "scp SNAPSHOT root@ADDRESS:/root/snapshot": Proof(_ETCD, _RESTORE, "base64 -d > /root/snapshot"),
    "ssh root@ADDRESS k3s server --cluster-reset --cluster-reset-restore-path=/root/snapshot": Proof(
        _ETCD, _RESTORE, '"k3s", "server", "--cluster-reset", "--cluster-reset-restore-path=/root/snapshot"'
    ),
    "ssh root@ADDRESS sh -s < k3s_cluster/over_ssh/on_servers/reset-etcd.sh": Proof(
        _ETCD,
        "test_one_survivor_brings_the_others_back_after_the_majority_was_lost",
        'in_server(survivor, "sh", "-s", stdin=RESET_SCRIPT.read_text())',
    ),
    "ssh root@ADDRESS k3s server --cluster-reset --cluster-reset-restore-path=NAME": Proof(
        _ETCD, _RESTORE, '"k3s", "server", "--cluster-reset", f"--cluster-reset-restore-path={name}"'
    ),
    "bin/local CMD": Proof(_STACK, "kubectl", 'LOCAL, "kubectl"'),
    "bin/local": Proof(_STACK, "kubectl", 'LOCAL, "kubectl"'),
    "bin/local-cloud up": Proof("tests/e2e/conftest.py", "cloud", 'run(LOCAL_CLOUD, "up")'),
    "bin/local-cloud publish v1.36.5+k3s1": Proof("tests/e2e/test_lifecycle.py", "stack", 'run(LOCAL_CLOUD, "publish"'),
    "bin/status STACK": Proof("tests/e2e/status.py", "status", "run(LOCAL, STATUS, stack.name"),
    "bin/recover": Proof("tests/e2e/test_interruptions.py", None, "bin/recover"),
    "bin/local bin/recover": Proof("tests/e2e/test_interruptions.py", None, "bin/recover"),
    "make stack NAME=prod TOPOLOGY=ha": Proof(_NEW_STACK, _NEW, 'run("make", "stack", f"NAME={NAME}"'),
    "bin/preview-all": Proof(
        "tests/plugins/test_previews.py",
        "test_every_stack_is_previewed_without_an_account_or_a_trace",
        "bin/preview-all",
    ),
    "make docs": Proof("tests/unit/test_readme_settings.py", None, "with_part("),
    "pulumi stack output serverToken --show-secrets --stack fra1": Proof(
        _PG, "test_a_wrong_token_is_told_before_anything_starts", "stack.outputs()"
    ),
    "pulumi stack select fra1-new": Proof(_STACK, "init", '"stack", "select", "--create"'),
    **dict.fromkeys(
        (
            "pulumi config set agentCount 3",
            "pulumi config set datastoreRestoreFrom k3s-ext-datastore",
            "pulumi config set --path 'agentPools[0].name' batch",
            "pulumi config set --path 'disable[0]' traefik",
            "pulumi config set k3sVersion v1.36.5+k3s1",
            "pulumi config set datastorePasswordVersion 2",
            "pulumi config set datastoreSize db-s-2vcpu-4gb",
            "pulumi config set datastoreProtect false",
            "pulumi config set kubeconfigMerge true",
        ),
        Proof(_NEW_STACK, "test_each_config_set_of_readme_sets_what_there_is", "shell_commands(README.read_text())"),
    ),
}

#: What cannot be run here, and why.
NOT_RUN: dict[str, str] = {
    "export DIGITALOCEAN_TOKEN=dop_v1_...": "a real account's token; bin/local exports the local cloud's",
    "pulumi install": "gets the official plugins from the internet",
    "export KUBECONFIG=$PWD/kubeconfig/fra1.yaml": "only sets a variable; bin/local sets the same",
    "make test": "is a part of `make test-all`, which CI runs",
    "make test-fast": "is the run that these tests are part of",
    "make bench": "measures for a quarter of an hour",
    "make bench BENCH=--cold": "builds everything anew first",
    "doctl vpcs list": "DigitalOcean's own command, which the project does not bring",
    "doctl databases list": "DigitalOcean's own command, which the project does not bring",
    "doctl databases backups": "DigitalOcean's own command, which the project does not bring",
    "pulumi config rm restoreFile": "takes back what a `bin/restore` that made nothing has set",
    "pulumi config set KEY VALUE": "has no key",
    "pulumi config set image ...": "has no value",
    "pulumi config set --secret datastoreEndpoint": "asks for the value",
    "pulumi config set --secret datastoreRestoreToken": "asks for the value",
    "pulumi config set --path --secret etcdS3.secretKey": "asks for the value",
    "pulumi config set datastoreCa < ca.pem": "reads a file that is the reader's own",
    "kubectl get pdb -A": "only looks",
    "kubectx": "a program of its own; test_two_stacks.py switches contexts with kubectl",
    "kubectx fra1": "a program of its own; test_two_stacks.py switches contexts with kubectl",
}


#: What a command begins with, where it stands between the lines.
_PROGRAM = re.compile(r"(pulumi|make|kubectl|kubectx|doctl|bin/[a-z-]+)( |$)")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def shell_commands(text: str) -> Iterator[str]:
    """Each line of README's `sh` blocks, without its comment, and each command in `code` outside of blocks."""
    for language, block in _FENCED.findall(text):
        for line in block.splitlines() if language == "sh" else ():
            if command := re.sub(r"(^|\s)#.*$", "", line).strip():
                yield command
    for span in re.findall(r"`([^`\n]+)`", _FENCED.sub("", text)):
        if _PROGRAM.match(span):
            yield span
