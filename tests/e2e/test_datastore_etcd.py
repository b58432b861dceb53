"""etcd inside the servers: the suite that every engine passes, then members that are lost, come, go, and come back."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import yaml

from k3s_cluster.backup.backup_file import open_backup
from k3s_cluster.k3s_config import CONFIG_PATH
from k3s_cluster.over_ssh.etcd_restore import FOLDER, RESET_SCRIPT, TAKEN_UP_PATH, WAITING_PATH
from tests.e2e.backups import (
    PASSPHRASE,
    PLAIN,
    backup,
    folder_with_passphrase,
    require_all_back,
    restore,
    seed,
    seeded,
    start_restore,
)
from tests.e2e.conftest import brought_up
from tests.e2e.datastore_suite import INTERVAL, UNHEALTHY, End, Life, change, highly_available, serves
from tests.e2e.kept_connections import kept_connections
from tests.e2e.prober import probing
from tests.e2e.stack import (
    LOCAL,
    LOCAL_CLOUD,
    PROJECT,
    Stack,
    delete_droplets,
    open_to_outsider,
    rented,
    rented_with_prefix,
    run,
    wait_for,
)

NAME, RESTORED = "e2e-etcd", "e2e-etcd-new"
BEFORE, AFTER = "v1.36.3+k3s1", "v1.36.4+k3s1"
SNAPSHOTS = "/var/lib/rancher/k3s/server/db/snapshots"
SNAPSHOT_SECONDS, KEPT = 5, 2
BUCKET_FOLDER, KEPT_IN_BUCKET = "clusters/e2e", 9
#: Members elect a new leader 5 to 10 s after they last heard of the old one: K3s sets etcd's election-timeout to 5 s,
#: and etcd waits up to twice as long (etcd.io/docs/v3.5/tuning).
ELECTION_SECONDS = 10
#: Failed answers of the API, of four seconds each, and questions to others who do not answer, on top of an election.
NOTICED_SECONDS = ELECTION_SECONDS + 35
CUT_SECONDS = 60
RETURN_SECONDS = 60

#: What a client says of a write that etcd has dropped: its own patience ends, or etcd's.
UNANSWERED = re.compile(r"writing (kept-connections-\d+): .*(?:deadline exceeded|request timed out)")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    run(LOCAL_CLOUD, "publish", BEFORE, AFTER)
    snapshots = {"etcdSnapshotSchedule": f"@every {SNAPSHOT_SECONDS}s", "etcdSnapshotRetention": KEPT}
    yield from brought_up(
        highly_available(NAME, "10.66.0.0/24", datastoreEngine="etcd", k3sVersion=BEFORE, **snapshots)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_with_passphrase(tmp_path_factory)


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """The seeded objects, as they were when they were backed up."""
    return {}


@pytest.fixture(scope="module")
def restored() -> Iterator[Stack]:
    """A stack that is made from a backup by the tests themselves."""
    stack = highly_available(RESTORED, "10.67.0.0/24", datastoreEngine="pg")
    stack.init()
    try:
        yield stack
    finally:
        if rented_with_prefix(RESTORED):
            run(LOCAL, "bin/recover", "--yes", check=False, PULUMI_STACK=RESTORED)
            stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
        stack.remove()


@dataclass(frozen=True)
class Bucket:
    """A bucket of the local cloud's Spaces, and a key to it."""

    name: str
    key: str
    secret: str

    def objects(self) -> list[str]:
        """The names of the snapshots in this stack's folder."""
        listed = run(LOCAL_CLOUD, "spaces", "ls", self.name).stdout.split()[1::2]
        return [name.removeprefix(f"{BUCKET_FOLDER}/") for name in listed if name.startswith(f"{BUCKET_FOLDER}/")]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    name = f"{NAME}-{token_hex(4)}"
    run(LOCAL_CLOUD, "spaces", "bucket", name)
    key = json.loads(run(LOCAL_CLOUD, "spaces", "key").stdout)
    yield Bucket(name, key["accessKey"], key["secretKey"])
    run(LOCAL_CLOUD, "spaces", "revoke", key["accessKey"])


def set_bucket(stack: Stack, bucket: Bucket, secret: str = "") -> None:
    """Set `etcdS3` for good, as a person does: the secret is typed, and the config file has it only encrypted."""
    plain = {"endpoint": "fra1.digitaloceanspaces.com", "bucket": bucket.name, "folder": BUCKET_FOLDER}
    for key, value in {**plain, "retention": str(KEPT_IN_BUCKET)}.items():
        stack.pulumi("config", "set", "--path", f"etcdS3.{key}", value)
    for key, value in {"accessKey": bucket.key, "secretKey": secret or bucket.secret}.items():
        command = ("config", "set", "--path", "--secret", f"etcdS3.{key}")
        run(LOCAL, "pulumi", "--non-interactive", *command, stdin=value, PULUMI_STACK=stack.name)
    stack.config["etcdS3"] = yaml.safe_load(stack.config_file.read_text())["config"][f"{PROJECT}:etcdS3"]


def in_server(name: str, *command: str, stdin: str = "") -> str:
    return run(LOCAL_CLOUD, "shell", name, *command, stdin=stdin).stdout.strip()


def servers(stack: Stack) -> list[str]:
    return [server["name"] for server in stack.outputs()["servers"]]


def agents(stack: Stack) -> list[str]:
    return [agent["name"] for agent in stack.outputs()["agents"]]


def etcd(server: str, question: str, **body: object) -> dict[str, Any]:
    """etcd's own answer, past Kubernetes (etcd.io/docs/v3.5/dev-guide/api_grpc_gateway)."""
    tls = "/var/lib/rancher/k3s/server/tls/etcd"
    keys = ("--cacert", f"{tls}/server-ca.crt", "--cert", f"{tls}/client.crt", "--key", f"{tls}/client.key")
    url = f"https://127.0.0.1:2382/v3/{question}"
    found: dict[str, Any] = json.loads(in_server(server, "curl", "-sS", "--fail", *keys, "-d", json.dumps(body), url))
    return found


def encoded(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


def members(server: str) -> dict[str, str]:
    """The id of every member that votes, by its node's name."""
    found = etcd(server, "cluster/member/list")["members"]
    assert not any(member.get("isLearner") for member in found)
    nodes = {member["name"].rpartition("-")[0]: member["ID"] for member in found}
    assert len(nodes) == len(found)
    return nodes


def snapshots(server: str) -> list[str]:
    return [name for name in in_server(server, "ls", SNAPSHOTS).split() if name.startswith(f"etcd-snapshot-{server}-")]


def test_there_is_no_database_and_every_server_is_a_member(stack: Stack) -> None:
    found = rented()
    assert not any(name.startswith(NAME) for name in found.get("databases", []))
    assert sum(name.startswith(NAME) for name in found["droplets"]) == 4
    assert set(members(servers(stack)[0])) == set(servers(stack))
    first, agent = stack.outputs()["servers"][0], stack.outputs()["agents"][0]["name"]
    for port in (2379, 2380):
        assert not open_to_outsider(first["publicAddress"], port)
    knock = f"timeout 2 bash -c 'exec 3<>/dev/tcp/{first['privateAddress']}/2379' || echo closed"
    assert in_server(agent, "sh", "-c", knock).endswith("closed")
    for server in servers(stack):
        # Whoever is rebuilt joins, and nobody begins a second cluster.
        told = in_server(server, "cat", "/etc/rancher/k3s/config.yaml.d/etcd.yaml")
        assert told == f"server: https://{NAME}-api.internal:6443"


class TestLife(Life):
    # The server that the suite cuts off is the first, which leads.
    answers_seconds = Life.answers_seconds + ELECTION_SECONDS

    def stored(self, stack: Stack, key: str) -> int:
        return int(etcd(servers(stack)[0], "kv/range", key=encoded(key)).get("count", 0))


def test_an_upgrade_is_not_noticed_and_goes_from_server_to_server(stack: Stack) -> None:
    with probing(stack.kubeconfig) as probes, kept_connections(stack.kubeconfig) as requests:
        began = time.monotonic()
        change(stack, k3sVersion=AFTER)
        took = time.monotonic() - began
    print(
        f"\nupgrade of 3 members of etcd and an agent: {took:.0f} s, {len(probes.failed)} of {probes.asked} requests "
        f"failed, the slowest answer took {probes.slowest} s; {requests}"
    )
    nodes = json.loads(stack.kubectl("get", "nodes", "-o", "json").stdout)["items"]
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {AFTER}
    # Machines on one kernel have one clock.
    clock = ("systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic")
    started = [int(in_server(name, *clock, "k3s")) for name in servers(stack)]
    started += [int(in_server(name, *clock, "k3s-agent")) for name in agents(stack)]
    assert started == sorted(started)
    assert probes.asked > 100
    assert probes.failed == []
    assert requests.asked > 1000
    # A write that reaches etcd's leader while that hands over to another member is dropped without an answer, as README
    # says (go.etcd.io/raft v3.6.0, raft.go:1296): at most one at each hand-over, and no write that was acknowledged.
    unanswered = [found[1] for error in requests.errors if (found := UNANSWERED.search(error))]
    assert requests.failed == len(unanswered) <= len(servers(stack)), requests.errors
    assert set(requests.missed) <= set(unanswered)


@pytest.mark.thorough
def test_a_member_that_is_cut_off_leaves_and_comes_back_by_itself(stack: Stack) -> None:
    cut_off, *others = stack.outputs()["servers"]
    name, address = cut_off["name"], cut_off["privateAddress"]
    agent = agents(stack)[0]
    before = members(others[0]["name"])
    peers = ", ".join(each for other in others for each in (other["privateAddress"], other["publicAddress"]))
    rules = f"""
        table inet cut {{
            chain input {{ type filter hook input priority -20; ip saddr {{ {peers} }} drop; }}
            chain output {{ type filter hook output priority -20; ip daddr {{ {peers} }} drop; }}
        }}"""
    in_server(name, "nft", "-f", "-", stdin=rules)
    began = time.monotonic()
    try:
        noticed = wait_for("the server to send clients away", lambda: not serves(agent, address), NOTICED_SECONDS)
        time.sleep(INTERVAL * UNHEALTHY)
        with probing(stack.kubeconfig) as probes:
            stack.kubectl("create", "configmap", "written-during-the-cut")
            time.sleep(max(0.0, began + CUT_SECONDS - time.monotonic()))
        print(
            f"\na member of etcd was cut off: it left after {noticed:.1f} s; then {probes.asked} questions through the "
            f"load balancer, {len(probes.failed)} failed, the slowest took {probes.slowest} s"
        )
        assert probes.asked > 100
        assert probes.failed == []
    finally:
        in_server(name, "nft", "delete", "table", "inet", "cut")
    back = wait_for("the server to let clients in again", lambda: serves(agent, address), RETURN_SECONDS)
    wait_for("all nodes Ready", lambda: all(stack.nodes().values()), RETURN_SECONDS)
    print(f"line mended: the member serves again after {back:.1f} s")
    assert members(name) == before
    key = encoded("/registry/configmaps/default/written-during-the-cut")
    assert etcd(name, "kv/range", key=key, serializable=True)["count"] == "1"
    stack.preview("--refresh", "--expect-no-changes")


def test_secrets_are_encrypted_in_etcd_and_its_snapshots(stack: Stack) -> None:
    stack.kubectl("create", "secret", "generic", "hidden", "--from-literal=word=plainly-visible")
    first = servers(stack)[0]
    (stored,) = etcd(first, "kv/range", key=encoded("/registry/secrets/default/hidden"))["kvs"]
    assert base64.b64decode(stored["value"]).startswith(b"k8s:enc:")
    in_server(first, "k3s", "etcd-snapshot", "save", "--name", "sealed")
    assert in_server(first, "sh", "-c", f"grep -c plainly-visible {SNAPSHOTS}/sealed-* || true") == "0"
    assert in_server(first, "sh", "-c", f"stat -c %a {SNAPSHOTS}/sealed-*") == "600"


def test_snapshots_are_taken_on_every_server_and_old_ones_go(stack: Stack) -> None:
    def kept() -> list[list[str]]:
        return [snapshots(server) for server in servers(stack)]

    def enough() -> bool:
        return all(len(found) == KEPT for found in kept())

    wait_for("snapshots", enough, 4 * SNAPSHOT_SECONDS)
    before = {name for found in kept() for name in found}
    wait_for("newer snapshots", lambda: not before & {name for found in kept() for name in found}, 8 * SNAPSHOT_SECONDS)
    wait_for("no more of them than are kept", enough, SNAPSHOT_SECONDS)


@pytest.mark.thorough
def test_a_lost_server_comes_back_as_a_new_member_and_two_more_join(stack: Stack) -> None:
    lost, *others = (servers(stack)[index] for index in (1, 0, 2))
    before = members(others[0])
    delete_droplets(lost)
    stack.pulumi("refresh", "--yes", "--skip-preview")
    change(stack, serverCount=5)
    now = members(others[0])
    assert set(now) == set(servers(stack))
    assert len(now) == 5
    assert lost in now
    assert now[lost] != before[lost]
    assert {now[name] for name in others} == {before[name] for name in others}
    assert all(stack.nodes().values())


@pytest.mark.thorough
def test_a_key_that_the_bucket_refuses_is_noticed_at_the_first_server(stack: Stack, bucket: Bucket) -> None:
    first, *others = servers(stack)
    set_bucket(stack, bucket, secret="wrong-secret")
    refused = stack.up(check=False)
    assert refused.returncode != 0
    assert f"{first} runs, but cannot use the bucket in etcdS3" in refused.stdout
    assert "failed to initialize S3 client" in refused.stdout
    for secret in (bucket.key, "wrong-secret"):
        assert secret not in refused.stdout
    for other in others:
        assert "etcd-s3" not in in_server(other, "cat", CONFIG_PATH)
    assert all(stack.nodes().values())
    # Pulumi sees no change in what is set back, so the message says how the server that has it is found.
    assert "To take the change back instead, `pulumi up --refresh`" in refused.stdout
    del stack.config["etcdS3"]
    stack.configure()
    stack.preview("--expect-no-changes")
    stack.up("--refresh")
    assert "etcd-s3" not in in_server(first, "cat", CONFIG_PATH)
    assert all(stack.nodes().values())


@pytest.mark.thorough
def test_members_leave_and_new_settings_go_from_server_to_server_unnoticed(stack: Stack, bucket: Bucket) -> None:
    kept, gone = servers(stack)[:3], servers(stack)[3:]
    before = members(kept[0])
    set_bucket(stack, bucket)
    with probing(stack.kubeconfig) as probes:
        said = change(stack, serverCount=3, k3sServerConfig={"kubelet-arg": ["max-pods=99"]})
    print(
        f"\n3 servers restarted, 2 left: {len(probes.failed)} of {probes.asked} requests failed, the slowest answer "
        f"took {probes.slowest} s"
    )
    assert "replaced" not in said
    assert members(kept[0]) == {name: before[name] for name in kept}
    assert not set(gone) & {*stack.nodes(), *rented()["droplets"]}
    for server in kept:
        assert "max-pods=99" in in_server(server, "cat", "/etc/rancher/k3s/config.yaml")
    assert probes.asked > 100
    assert probes.failed == []
    stack.preview("--refresh", "--expect-no-changes")


@pytest.mark.thorough
class TestBucket:
    """Snapshots go to Spaces as well, since `etcdS3` says so; how they come back is the last test's."""

    def test_with_a_good_one_every_server_s_snapshots_arrive(self, stack: Stack, bucket: Bucket) -> None:
        def from_all() -> bool:
            names = {name.rpartition("-")[0] for name in bucket.objects()}
            return names == {f"etcd-snapshot-{server}" for server in servers(stack)}

        wait_for("snapshots of all servers in the bucket", from_all, 6 * SNAPSHOT_SECONDS)
        assert len(bucket.objects()) <= KEPT_IN_BUCKET + len(servers(stack))

    def test_the_key_is_in_files_for_root_alone(self, stack: Stack, bucket: Bucket) -> None:
        for secret in (bucket.key, bucket.secret):
            assert secret not in stack.pulumi("stack", "export").stdout
        for server in servers(stack):
            places = ("/etc", "/run", "/tmp", "/root", "/var/log", "/var/lib/cloud", "/var/lib/rancher/k3s/server")
            found = in_server(server, "sh", "-c", f"grep -rlF -f - {' '.join(places)} || true", stdin=bucket.secret)
            assert found == CONFIG_PATH
            assert in_server(server, "stat", "-c", "%a %U", CONFIG_PATH) == "600 root"
            for told in (("ps", "-eo", "args"), ("journalctl", "--no-pager", "--output=cat")):
                assert bucket.secret not in in_server(server, *told)


def test_servers_cannot_be_replaced_all_at_once(stack: Stack) -> None:
    stack.configure(serverSize="s-4vcpu-8gb", image="debian-12-x64")
    refused = stack.preview(check=False)
    stack.configure()
    assert refused.returncode != 0
    for setting in ("serverSize", "image"):
        assert f"{setting} cannot change from" in refused.stdout
    assert "with etcd inside the servers: all their droplets would be replaced" in refused.stdout


@pytest.mark.thorough
def test_one_survivor_brings_the_others_back_after_the_majority_was_lost(stack: Stack) -> None:
    lost, survivor = servers(stack)[:2], servers(stack)[2]
    address = stack.outputs()["servers"][2]["publicAddress"]
    stack.kubectl("create", "configmap", "before-the-loss")
    delete_droplets(*lost)
    stack.pulumi("refresh", "--yes", "--skip-preview")
    refused = stack.up(check=False)
    assert refused.returncode != 0
    said = " ".join(refused.stdout.split())
    assert f"{lost[0]} cannot join: the API of no other server answers, so etcd has lost its majority" in said
    assert f"go on with one that has the data ({address}), as README says" in said
    # What README says to do; over a line that breaks at once, and then once more.
    in_server(survivor, "sh", "-c", "sh -s 2>&1 | true", stdin=RESET_SCRIPT.read_text())
    state = in_server(survivor, "systemctl", "show", "--property=ActiveState", "--value", "k3s")
    assert state in ("active", "activating")
    in_server(survivor, "test", "-e", "/etc/rancher/k3s/config.yaml.d/etcd.yaml")
    in_server(survivor, "sh", "-s", stdin=RESET_SCRIPT.read_text())
    stack.up("--refresh")
    assert set(members(survivor)) == set(servers(stack))
    assert len(stack.nodes()) == 4
    assert all(stack.nodes().values())
    stack.kubectl("get", "configmap", "before-the-loss")
    for server in servers(stack):
        told = in_server(server, "cat", "/etc/rancher/k3s/config.yaml.d/etcd.yaml")
        assert told == f"server: https://{NAME}-api.internal:6443"
    stack.preview("--refresh", "--expect-no-changes")


@pytest.mark.thorough
def test_a_snapshot_brings_everything_back_after_all_servers_were_lost(stack: Stack, bucket: Bucket) -> None:
    first = servers(stack)[0]
    in_server(first, "k3s", "etcd-snapshot", "save", "--name", "kept")
    (name,) = (name for name in bucket.objects() if name.startswith("kept-"))
    kept = in_server(first, "sh", "-c", f"base64 {SNAPSHOTS}/kept-*")
    stack.kubectl("create", "configmap", "after-the-snapshot")
    delete_droplets(*servers(stack))
    stack.pulumi("refresh", "--yes", "--skip-preview")
    refused = stack.up(check=False)
    assert refused.returncode != 0
    assert f"{first} was not started: none of the cluster's servers has data of etcd any more" in refused.stdout
    # What README says to do.
    in_server(first, "sh", "-c", "base64 -d > /root/snapshot", stdin=kept)
    own_disk = "--etcd-s3=false"
    in_server(first, "k3s", "server", "--cluster-reset", "--cluster-reset-restore-path=/root/snapshot", own_disk)
    # And once more, from the bucket; K3s does it twice only when it is told that this is meant.
    in_server(first, "rm", "-r", "/root/snapshot", "/var/lib/rancher/k3s/server/db")
    in_server(first, "k3s", "server", "--cluster-reset", f"--cluster-reset-restore-path={name}")
    stack.up()
    assert set(members(first)) == set(servers(stack))
    assert all(stack.nodes().values())
    assert len(stack.nodes()) == 4
    hidden = stack.kubectl("get", "secret", "hidden", "--output=jsonpath={.data.word}").stdout
    assert base64.b64decode(hidden) == b"plainly-visible"
    stack.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert stack.kubectl("get", "configmap", "after-the-snapshot", check=False).returncode != 0


@pytest.mark.thorough
def test_a_living_etcd_is_backed_up_and_keeps_nothing_of_it(stack: Stack, seen: dict[str, Any], folder: Path) -> None:
    seed(stack)
    file = backup(stack, folder)
    seen.update(seeded(stack))
    stack.kubectl("create", "configmap", "later")
    assert file.stat().st_mode & 0o777 == 0o600
    opened = open_backup(file, PASSPHRASE)
    assert opened.is_snapshot
    held = file.read_bytes()
    for text in (PLAIN, "/registry/", opened.origin.server_token, opened.origin.agent_token):
        assert text.encode() not in held
    for server in servers(stack):
        assert "backup-" not in in_server(server, "ls", "-A", SNAPSHOTS)
        assert "backup-" not in in_server(server, "k3s", "etcd-snapshot", "ls")


class TestEnd(End):
    pass


@pytest.mark.thorough
def test_a_backup_of_etcd_goes_into_etcd_only(restored: Stack, folder: Path) -> None:
    said = restore(restored, folder / f"{NAME}.backup", folder, check=False)
    assert "restoreFile: the backup is a snapshot of `etcd`, which does not go into `pg`" in said
    assert "Traceback" not in said
    assert rented_with_prefix(RESTORED) == []


def told_of(stack: Stack) -> set[str]:
    """The nodes whose password, lease or storage drivers the cluster has."""
    asked = (("secrets", "kube-system"), ("leases", "kube-node-lease"), ("csinodes", "default"))
    listed = [stack.kubectl("get", kind, "-n", space, "-o", "name").stdout.split() for kind, space in asked]
    secrets, *others = ([each.partition("/")[2] for each in found] for found in listed)
    ending = ".node-password.k3s"
    passwords = [name.removesuffix(ending) for name in secrets if name.endswith(ending)]
    return {*passwords, *(name for found in others for name in found)}


@pytest.mark.thorough
def test_a_restore_that_was_killed_goes_on_and_every_object_is_back(
    restored: Stack, seen: dict[str, Any], folder: Path
) -> None:
    restored.config["datastoreEngine"] = "etcd"
    restored.configure()
    file = folder / f"{NAME}.backup"
    restoring = start_restore(restored, file, folder)

    def snapshot_is_there() -> bool:
        assert restoring.poll() is None, f"it ended before it was killed:\n{restoring.communicate()[0][-6000:]}"
        there = [name for name in rented().get("droplets", []) if name.startswith(f"{RESTORED}-server-")]
        look = ("sh", "-c", f"test -e {WAITING_PATH} -o -e {TAKEN_UP_PATH}")
        return any(run(LOCAL_CLOUD, "shell", name, *look, check=False).returncode == 0 for name in there)

    try:
        wait_for("the snapshot on the first server", snapshot_is_there, 300)
    finally:
        os.killpg(restoring.pid, signal.SIGKILL)
        restoring.communicate(timeout=60)
    run(LOCAL, "bin/recover", "--yes", PULUMI_STACK=RESTORED)
    restore(restored, file, folder)
    require_all_back(restored, seen)
    assert len(restored.nodes()) == 4
    assert set(members(servers(restored)[0])) == set(servers(restored))
    wait_for("what the old machines said of themselves to go", lambda: told_of(restored) == set(restored.nodes()), 60)
    for server in servers(restored):
        assert in_server(server, "sh", "-c", f"ls -d {FOLDER} || echo gone").endswith("gone")
    restored.preview("--refresh", "--expect-no-changes")
    restored.destroy()
    assert rented_with_prefix(RESTORED) == []


@pytest.mark.thorough
def test_one_server_takes_up_what_three_had(restored: Stack, seen: dict[str, Any], folder: Path) -> None:
    restored.config["topology"] = "single-node"
    restored.configure()
    restore(restored, folder / f"{NAME}.backup", folder)
    require_all_back(restored, seen)
    (server,) = servers(restored)
    assert set(members(server)) == {server}
    restored.preview("--refresh", "--expect-no-changes")
    restored.destroy()
    assert rented_with_prefix(RESTORED) == []
