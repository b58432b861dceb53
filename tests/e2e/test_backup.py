"""Backup on one stack, destroy, restore into another: every object comes back, on machines that never saw it."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.stack import LOCAL, Stack, rented, rented_with_prefix, run, wait_for

PASSPHRASE = "correct horse battery staple"
#: The seeded set, by kind: 200 objects.
SEEDED = {"namespaces": 10, "configmaps": 60, "secrets": 60, "services": 30, "serviceaccounts": 20, "deployments": 20}
KINDS = ",".join(SEEDED)
PLAIN = "plainly-visible"
#: The controller manager ends pods of nodes that are gone after 40 s, at checks 20 s apart (its pod GC).
PODS_MOVE_SECONDS = 120


def ha(name: str, subnet: int) -> Stack:
    checks = {"healthCheckInterval": 3, "healthCheckHealthy": 2, "healthCheckUnhealthy": 2}
    return Stack(name, {"topology": "ha", "namePrefix": name, "vpcCidr": f"10.{subnet}.0.0/24", **checks})


def single(name: str, subnet: int) -> Stack:
    return Stack(name, {"topology": "single-node", "namePrefix": name, "vpcCidr": f"10.{subnet}.0.0/24"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("backup")
    (made / "passphrase").write_text(PASSPHRASE + "\n")
    (made / "wrong").write_text("another passphrase\n")
    return made


@pytest.fixture(scope="module")
def stacks() -> Iterator[dict[str, Stack]]:
    """The stacks of this module, each brought up by the test that needs it; all gone afterwards."""
    made = {
        "sqlite": single("e2e-bk-one", 61),
        "pg": ha("e2e-bk-ha", 62),
        "restored-pg": ha("e2e-bk-ha2", 63),
        "restored-sqlite": single("e2e-bk-one2", 64),
        "moved": single("e2e-bk-one3", 65),
    }
    yield made
    for stack in made.values():
        if stack.config_file.exists():
            stack.pulumi("cancel", "--yes", check=False)
            stack.pulumi("state", "unprotect", "--all", "--yes", check=False)
            stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
            stack.remove()


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, Any]]:
    """What each stack's cluster held when it was backed up."""
    return {}


def seed(stack: Stack) -> None:
    """200 objects of the kinds that people have, in ten namespaces."""
    labels = {"seeded": "yes"}
    objects: list[dict[str, Any]] = []

    def add(kind: str, number: int, version: str = "v1", **rest: Any) -> None:
        name = f"seed-{number:02}"
        metadata = {"name": name, "labels": labels}
        if kind != "Namespace":
            metadata["namespace"] = f"seed-{number % SEEDED['namespaces']:02}"
        objects.append({"apiVersion": version, "kind": kind, "metadata": metadata, **rest})

    for number in range(SEEDED["namespaces"]):
        add("Namespace", number)
    for number in range(SEEDED["configmaps"]):
        add("ConfigMap", number, data={"text": f"{PLAIN} {number} ä\t\\x", "large": "x" * 5000})
    for number in range(SEEDED["secrets"]):
        add("Secret", number, stringData={"text": f"{PLAIN} {number}"})
    for number in range(SEEDED["services"]):
        add("Service", number, spec={"selector": {"app": f"seed-{number:02}"}, "ports": [{"port": 80}]})
    for number in range(SEEDED["serviceaccounts"]):
        add("ServiceAccount", number)
    for number in range(SEEDED["deployments"]):
        app = {"app": f"seed-{number:02}"}
        pod = {
            "metadata": {"labels": {**app, "tier": "web"}},
            "spec": {"containers": [{"name": "c", "image": "nginx"}]},
        }
        spec = {"replicas": 1, "selector": {"matchLabels": app}, "template": pod}
        add("Deployment", number, "apps/v1", spec=spec)
    assert len(objects) == 200
    stack.kubectl("apply", "--server-side", "--filename", "-", stdin=yaml.safe_dump_all(objects))


def seeded(stack: Stack) -> dict[str, Any]:
    """The seeded objects: what they are, without what controllers write of them."""
    listed = json.loads(stack.kubectl("get", KINDS, "-A", "-l", "seeded=yes", "-o", "json").stdout)["items"]
    return {
        "/".join((item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])): (
            item["metadata"]["uid"],
            item.get("data"),
            item.get("spec"),
        )
        for item in listed
    }


def backup(stack: Stack, folder: Path) -> Path:
    file = folder / f"{stack.name}.backup"
    done = run(
        *(LOCAL, "bin/backup", str(file)),
        PULUMI_STACK=stack.name,
        K3S_BACKUP_PASSPHRASE_FILE=str(folder / "passphrase"),
    )
    print("\n" + done.stdout.strip())
    return file


def restore(stack: Stack, file: Path, folder: Path, passphrase: str = "passphrase", check: bool = True) -> Any:
    return run(
        *(LOCAL, "bin/restore", str(file), "--stack", stack.name, "--yes"),
        check=check,
        K3S_BACKUP_PASSPHRASE_FILE=str(folder / passphrase),
    )


def living_nodes(stack: Stack) -> dict[str, bool]:
    outputs = stack.outputs()
    return {node["name"]: True for node in (*outputs["servers"], *outputs["agents"])}


@pytest.mark.parametrize("engine", ["sqlite", "pg"])
def test_a_living_cluster_is_backed_up(
    engine: str, stacks: dict[str, Stack], seen: dict[str, dict[str, Any]], folder: Path
) -> None:
    stack = stacks[engine]
    stack.init()
    stack.up()
    seed(stack)
    stack.kubectl("-n", "seed-00", "rollout", "status", "deployment/seed-00", "--timeout=60s")
    file = backup(stack, folder)
    seen[engine] = seeded(stack)
    assert len(seen[engine]) == 200
    # What happened after the backup is not in it.
    stack.kubectl("create", "configmap", "later")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [left.name for left in folder.iterdir() if left.name.startswith(".")] == []


def test_nothing_in_the_file_can_be_read_without_the_passphrase(stacks: dict[str, Stack], folder: Path) -> None:
    exported = stacks["pg"].pulumi("stack", "export", "--show-secrets").stdout
    token = exported.partition("token: ")[2].partition("\\")[0]
    assert len(token) == 48
    for file in folder.glob("*.backup"):
        held = file.read_bytes()
        assert held.startswith(b"age-encryption.org/v1\n-> scrypt ")
        for text in (PLAIN, "/registry/", "e2e-bk", token, PASSPHRASE):
            assert text.encode() not in held


def test_a_living_cluster_is_not_overwritten(stacks: dict[str, Stack], folder: Path) -> None:
    done = restore(stacks["pg"], folder / "e2e-bk-ha.backup", folder, check=False)
    assert done.returncode == 1
    assert "stack e2e-bk-ha has a cluster already, and a backup goes into an empty one" in done.stdout
    assert stacks["pg"].nodes() == living_nodes(stacks["pg"])


def test_destroy_is_refused_where_the_database_is_protected(stacks: dict[str, Stack]) -> None:
    stack = stacks["pg"]
    stack.configure(datastoreProtect=True)
    stack.up()
    before = rented_with_prefix(stack.name)
    refused = stack.pulumi("destroy", "--yes", check=False)
    assert refused.returncode != 0
    assert "cannot be deleted" in refused.stdout
    assert "because it is protected" in refused.stdout
    assert "pulumi state unprotect" in refused.stdout
    assert rented_with_prefix(stack.name) == before
    assert stack.nodes() == living_nodes(stack)


def test_even_a_forced_destroy_leaves_what_the_cluster_can_be_built_around_again(
    stacks: dict[str, Stack], seen: dict[str, dict[str, Any]]
) -> None:
    stack = stacks["pg"]
    # Without its preview Pulumi deletes what is not protected before it fails.
    assert stack.pulumi("destroy", "--yes", "--skip-preview", check=False).returncode != 0
    assert f"{stack.name}-ext-datastore" in rented()["databases"]
    stack.up()
    assert seeded(stack) == seen["pg"]
    # Let go as the setting's description says, it can be destroyed: the next test does.
    stack.configure(datastoreProtect=False)
    stack.up()


def test_destroy_takes_everything(stacks: dict[str, Stack]) -> None:
    for engine in ("sqlite", "pg"):
        stacks[engine].destroy()
        assert rented_with_prefix(stacks[engine].name) == []


def test_a_wrong_passphrase_is_refused_before_anything_is_made(stacks: dict[str, Stack], folder: Path) -> None:
    stack = stacks["restored-pg"]
    stack.init()
    before = rented()
    done = restore(stack, folder / "e2e-bk-ha.backup", folder, passphrase="wrong", check=False)
    assert done.returncode == 1
    assert "cannot be opened: the passphrase is another one, or the file is damaged" in done.stdout
    assert "Traceback" not in done.stdout
    assert rented() == before


def test_an_older_k3s_is_refused_in_the_plan(stacks: dict[str, Stack], folder: Path) -> None:
    stack = stacks["restored-pg"]
    stack.configure(k3sVersion="v1.33.6+k3s1")
    before = rented()
    done = restore(stack, folder / "e2e-bk-ha.backup", folder, check=False)
    assert done.returncode != 0
    assert "restoreFile: the backup is of a cluster with K3s v1.34.2+k3s1, and k3sVersion" in done.stdout
    assert rented() == before
    stack.configure()


@pytest.mark.parametrize(
    ("engine", "target"), [("pg", "restored-pg"), ("sqlite", "restored-sqlite"), ("pg", "moved")], ids="->".join
)
def test_every_object_comes_back_on_new_machines(
    engine: str, target: str, stacks: dict[str, Stack], seen: dict[str, dict[str, Any]], folder: Path
) -> None:
    stack = stacks[target]
    stack.init()
    restore(stack, folder / f"{stacks[engine].name}.backup", folder)
    assert seeded(stack) == seen[engine]
    assert stack.kubectl("get", "configmap", "later", check=False).returncode != 0
    # kubectl works with the new kubeconfig, and knows no node but those that live.
    assert stack.kubectl("config", "current-context").stdout.strip() == stack.name
    assert stack.nodes() == living_nodes(stack)
    stack.config["restoreFile"] = str(folder / f"{stacks[engine].name}.backup")
    # From here on the backup is not needed.
    stack.preview("--expect-no-changes")


def test_pods_move_to_the_new_machines(stacks: dict[str, Stack]) -> None:
    stack = stacks["restored-pg"]
    nodes = stack.nodes()

    def moved() -> bool:
        pods = json.loads(stack.kubectl("get", "pods", "-A", "-l", "tier=web", "-o", "json").stdout)["items"]
        return len(pods) == 20 and all(
            pod["spec"].get("nodeName") in nodes and pod["status"]["phase"] == "Running" for pod in pods
        )

    seconds = wait_for("the pods on new machines", moved, PODS_MOVE_SECONDS)
    print(f"\nthe deployments' pods ran on the new machines {seconds:.0f} s after the restore")


def test_a_restored_cluster_works_like_any_other(stacks: dict[str, Stack], folder: Path) -> None:
    stack = stacks["restored-pg"]
    stack.kubectl("create", "configmap", "after-the-restore")
    stack.configure(agentCount=2)
    stack.up()
    assert stack.nodes() == living_nodes(stack)
    assert len(stack.nodes()) == 4
    # The tokens are the backup's: another one, or none, is refused before anything is touched.
    del stack.config["restoreFile"]
    stack.configure()
    done = stack.up(check=False)
    assert done.returncode != 0
    assert "restoreFile cannot change from" in done.stdout
    assert stack.nodes() == living_nodes(stack)


def test_restored_stacks_go_without_a_trace(stacks: dict[str, Stack]) -> None:
    for stack in stacks.values():
        if stack.config_file.exists():
            stack.destroy()
            assert rented_with_prefix(stack.name) == []
