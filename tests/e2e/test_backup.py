"""Backup on one stack, destroy, restore into another: every object comes back, on machines that never saw it."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k3s_cluster.backup.backup_file import open_backup
from tests.e2e.backups import (
    PASSPHRASE,
    PLAIN,
    SEEDED,
    backup,
    folder_with_passphrase,
    living_nodes,
    require_all_back,
    restore,
    seed,
    seeded,
    start_restore,
)
from tests.e2e.stack import LOCAL, LOCAL_CLOUD, Stack, rented, rented_with_prefix, run, wait_for

CHECKS = {"healthCheckInterval": 3, "healthCheckHealthy": 2, "healthCheckUnhealthy": 2}


def _stack(name: str, subnet: int, **settings: Any) -> Stack:
    return Stack(name, {"namePrefix": name, "vpcCidr": f"10.{subnet}.0.0/24", **settings})


#: SQLite -> SQLite, SQLite -> Postgres (ha), Postgres (ha) -> MySQL.
FIRST = _stack("e2e-bk-first", 61, topology="single-node")
SECOND = _stack("e2e-bk-second", 62, topology="single-node")
HA = _stack("e2e-bk-ha", 63, topology="ha", **CHECKS)
LAST = _stack("e2e-bk-last", 64, topology="single-node", datastoreEngine="mysql", datastoreProtect=True)

#: The controller manager ends pods of nodes that are gone after 40 s, at checks 20 s apart (its pod GC).
PODS_MOVE_SECONDS = 120
SQLITE = "/var/lib/rancher/k3s/server/db/state.db"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = folder_with_passphrase(tmp_path_factory)
    (made / "wrong").write_text("another passphrase\n")
    return made


@pytest.fixture(scope="module", autouse=True)
def stacks() -> Iterator[None]:
    """Each is brought up by the test that needs it; all are gone afterwards."""
    stacks = (FIRST, SECOND, HA, LAST)
    try:
        for stack in stacks:
            stack.init()
        yield
    finally:
        for stack in stacks:
            if rented_with_prefix(stack.name):
                run(LOCAL, "bin/recover", "--yes", check=False, PULUMI_STACK=stack.name)
                stack.pulumi("state", "unprotect", "--all", "--yes", check=False)
                stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
            stack.remove()


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, Any]]:
    """What each stack's cluster held when it was backed up."""
    return {}


def every_process_s_arguments() -> bytes:
    found = b""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += process.read_bytes()
        except OSError:  # it has just ended
            continue
    return found


def test_a_living_cluster_is_backed_up(seen: dict[str, dict[str, Any]], folder: Path) -> None:
    FIRST.up()
    seed(FIRST)
    FIRST.kubectl("-n", "seed-00", "rollout", "status", "deployment/seed-00", "--timeout=60s")
    file = backup(FIRST, folder)
    seen[FIRST.name] = seeded(FIRST)
    # What happened after the backup is not in it.
    FIRST.kubectl("create", "configmap", "later")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [left.name for left in folder.iterdir() if left.name.startswith(".")] == []


def test_nothing_in_the_file_can_be_read_without_the_passphrase(folder: Path) -> None:
    file = folder / "e2e-bk-first.backup"
    held = file.read_bytes()
    opened = open_backup(file, PASSPHRASE)
    assert held.startswith(b"age-encryption.org/v1\n-> scrypt ")
    for text in (PLAIN, "/registry/", "e2e-bk", opened.origin.server_token, opened.origin.agent_token, PASSPHRASE):
        assert len(text) > 5
        assert text.encode() not in held
    # And with it, secrets are as the API server keeps them: the key to them is sealed with the server token.
    secrets = [row.value for row in opened.rows() if row.name.startswith("/registry/secrets/seed-") and row.value]
    assert len(secrets) >= 60
    assert all(value.startswith(b"k8s:enc:") for value in secrets)


def test_a_living_cluster_is_not_overwritten(folder: Path) -> None:
    said = restore(FIRST, folder / "e2e-bk-first.backup", folder, check=False)
    assert "stack e2e-bk-first has a cluster already, and a backup goes into an empty one" in said
    assert "Traceback" not in said
    # By hand it is refused as well, in the plan.
    FIRST.configure(restoreFile=str(folder / "e2e-bk-first.backup"))
    refused = FIRST.preview(check=False)
    assert refused.returncode != 0
    assert "restoreFile cannot change from no backup to `e2e-bk-first.backup`" in refused.stdout
    FIRST.configure()
    assert FIRST.nodes() == living_nodes(FIRST)
    assert FIRST.kubectl("get", "configmap", "later").returncode == 0


def test_destroy_takes_everything() -> None:
    FIRST.destroy()
    assert rented_with_prefix(FIRST.name) == []


def test_a_wrong_passphrase_is_refused_before_anything_is_made(folder: Path) -> None:
    before = rented()
    said = restore(SECOND, folder / "e2e-bk-first.backup", folder, passphrase="wrong", check=False)
    (line,) = [line for line in said.splitlines() if line]
    assert line.endswith("cannot be opened: the passphrase is another one, or the file is damaged (Decryption failed).")
    assert rented() == before
    assert "restoreFile" not in SECOND.config_file.read_text()


def test_a_cluster_of_a_later_k3s_is_refused_in_the_plan(folder: Path) -> None:
    SECOND.configure(k3sVersion="v1.35.6+k3s1")
    before = rented()
    said = restore(SECOND, folder / "e2e-bk-first.backup", folder, check=False)
    assert "restoreFile: the backup is of a cluster with K3s v1.36.4+k3s1, and k3sVersion" in said
    assert "Traceback" not in said
    assert rented() == before
    SECOND.configure()


def test_a_restore_that_was_killed_goes_on_and_every_object_is_back(
    seen: dict[str, dict[str, Any]], folder: Path
) -> None:
    file = folder / "e2e-bk-first.backup"
    restoring = start_restore(SECOND, file, folder)

    def rows_are_there() -> bool:
        assert restoring.poll() is None, f"it ended before it was killed:\n{restoring.communicate()[0][-6000:]}"
        servers = [name for name in rented().get("droplets", []) if name.startswith(SECOND.name)]
        return (
            bool(servers) and run(LOCAL_CLOUD, "shell", servers[0], "test", "-e", SQLITE, check=False).returncode == 0
        )

    try:
        wait_for("the backup's rows on the new server", rows_are_there, 300)
        assert PASSPHRASE.encode() not in every_process_s_arguments()
    finally:
        os.killpg(restoring.pid, signal.SIGKILL)
        restoring.communicate(timeout=60)
    run(LOCAL, "bin/recover", "--yes", PULUMI_STACK=SECOND.name)
    restore(SECOND, file, folder)
    require_all_back(SECOND, seen[FIRST.name])


def test_from_then_on_neither_backup_nor_passphrase_is_needed(folder: Path) -> None:
    SECOND.configure(restoreFile="elsewhere/e2e-bk-first.backup")
    SECOND.preview("--expect-no-changes")
    SECOND.configure()
    refused = SECOND.preview(check=False)
    assert refused.returncode != 0
    # The tokens are the backup's.
    assert "restoreFile cannot change from `e2e-bk-first.backup` to no backup" in refused.stdout


def test_a_backup_of_sqlite_is_restored_into_postgres(seen: dict[str, dict[str, Any]], folder: Path) -> None:
    said = restore(HA, folder / "e2e-bk-first.backup", folder)
    # The plan, which `bin/restore` asks about, says it.
    plan, updating, _ = said.partition("Updating")
    assert updating
    (planned,) = [line for line in plan.splitlines() if "restored-datastore" in line]
    assert "create" in planned
    require_all_back(HA, seen[FIRST.name])
    assert len(HA.nodes()) == 3
    backup(HA, folder)
    seen[HA.name] = seeded(HA)
    HA.kubectl("create", "configmap", "later")
    HA.destroy()
    assert rented_with_prefix(HA.name) == []


def test_a_backup_of_postgres_is_restored_into_mysql_after_a_ctrl_c(
    seen: dict[str, dict[str, Any]], folder: Path
) -> None:
    file = folder / "e2e-bk-ha.backup"
    restoring = start_restore(LAST, file, folder)
    said = ""
    try:
        assert restoring.stdout is not None
        for line in restoring.stdout:
            said += line
            if "restored-datastore" in line and "created" in line:
                break
        assert PASSPHRASE.encode() not in every_process_s_arguments()
    finally:
        os.killpg(restoring.pid, signal.SIGINT)
        said += restoring.communicate(timeout=120)[0]
    assert restoring.returncode != 0, said
    assert "bin/restore: not finished; the same again goes on" in said
    assert "Traceback" not in said
    restore(LAST, file, folder)
    require_all_back(LAST, seen[HA.name])


def test_a_backup_of_mysql_holds_all_that_is_in_it(seen: dict[str, dict[str, Any]], folder: Path) -> None:
    opened = open_backup(backup(LAST, folder), PASSPHRASE)
    assert opened.origin.engine == "mysql"
    # The last word on each key, as the API server will read it.
    live = {row.name for row in {row.name: row for row in opened.rows()}.values() if not row.deleted}
    for kind in ("configmaps", "secrets", "deployments", "example.com/widgets"):
        there = {name for name in live if re.fullmatch(rf"/registry/{kind}/seed-\d\d/seed-\d\d", name)}
        assert len(there) == SEEDED.get(kind, SEEDED["widgets.example.com"]), kind


def test_what_opens_a_restored_database_is_protected_and_secret(folder: Path) -> None:
    def protected() -> set[str]:
        resources = json.loads(LAST.pulumi("stack", "export").stdout)["deployment"]["resources"]
        return {resource["urn"].rpartition("::")[2] for resource in resources if resource.get("protect")}

    # It holds the tokens, which a state shows to nobody who may not decrypt it.
    assert "restored-datastore" in protected()
    token = open_backup(folder / "e2e-bk-ha.backup", PASSPHRASE).origin.server_token
    assert token in LAST.pulumi("stack", "export", "--show-secrets").stdout
    assert token not in LAST.pulumi("stack", "export").stdout
    LAST.configure(restoreFile="e2e-bk-ha.backup", datastoreProtect=False)
    LAST.up()
    assert protected() == set()


def test_pods_move_to_the_new_machines() -> None:
    nodes = SECOND.nodes()

    def moved() -> bool:
        pods = json.loads(SECOND.kubectl("get", "pods", "-A", "-l", "tier=web", "-o", "json").stdout)["items"]
        return len(pods) == SEEDED["deployments"] and all(
            pod["spec"].get("nodeName") in nodes and pod["status"]["phase"] == "Running" for pod in pods
        )

    wait_for("the pods on new machines", moved, PODS_MOVE_SECONDS)


def test_a_restored_cluster_works_like_any_other() -> None:
    SECOND.kubectl("create", "configmap", "after-the-restore")
    SECOND.configure(restoreFile="e2e-bk-first.backup", agentCount=1)
    SECOND.up()
    assert SECOND.nodes() == living_nodes(SECOND)
    assert len(SECOND.nodes()) == 2


def test_restored_stacks_go_without_a_trace() -> None:
    for stack in (SECOND, LAST):
        stack.destroy()
        assert rented_with_prefix(stack.name) == []
