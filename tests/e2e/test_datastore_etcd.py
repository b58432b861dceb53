"""etcd inside the servers: the suite that every engine passes, then members that are lost, come, go, and come back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import brought_up
from tests.e2e.datastore_suite import End, Life, change, highly_available
from tests.e2e.prober import probing
from tests.e2e.stack import LOCAL_CLOUD, Stack, delete_droplets, open_to_outsider, rented, run, wait_for

NAME = "e2e-etcd"
SNAPSHOTS = "/var/lib/rancher/k3s/server/db/snapshots"
SNAPSHOT_SECONDS, KEPT = 5, 2
#: Members elect a new leader 5 to 10 s after they last heard of the old one: K3s sets etcd's election-timeout to 5 s,
#: and etcd waits up to twice as long (etcd.io/docs/v3.5/tuning).
ELECTION_SECONDS = 10


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    snapshots = {"etcdSnapshotSchedule": f"@every {SNAPSHOT_SECONDS}s", "etcdSnapshotRetention": KEPT}
    yield from brought_up(highly_available(NAME, "10.66.0.0/24", datastoreEngine="etcd", **snapshots))


def in_server(name: str, *command: str, stdin: str = "") -> str:
    return run(LOCAL_CLOUD, "shell", name, *command, stdin=stdin).stdout.strip()


def servers(stack: Stack) -> list[str]:
    return [server["name"] for server in stack.outputs()["servers"]]


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
    assert not {kind for kind in found if "database" in kind}
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


def test_members_leave_and_a_new_setting_goes_from_server_to_server_unnoticed(stack: Stack) -> None:
    kept, gone = servers(stack)[:3], servers(stack)[3:]
    before = members(kept[0])
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


def test_servers_cannot_be_replaced_all_at_once(stack: Stack) -> None:
    stack.configure(serverSize="s-4vcpu-8gb", image="debian-12-x64")
    refused = stack.preview(check=False)
    stack.configure()
    assert refused.returncode != 0
    for setting in ("serverSize", "image"):
        assert f"{setting} cannot change from" in refused.stdout
    assert "with etcd inside the servers: all their droplets would be replaced" in refused.stdout


def test_a_snapshot_brings_everything_back_after_all_servers_were_lost(stack: Stack) -> None:
    first = servers(stack)[0]
    in_server(first, "k3s", "etcd-snapshot", "save", "--name", "kept")
    kept = in_server(first, "sh", "-c", f"base64 {SNAPSHOTS}/kept-*")
    stack.kubectl("create", "configmap", "after-the-snapshot")
    delete_droplets(*servers(stack))
    stack.pulumi("refresh", "--yes", "--skip-preview")
    refused = stack.up(check=False)
    assert refused.returncode != 0
    assert f"{first} was not started: none of the cluster's servers has data of etcd any more" in refused.stdout
    # What README says to do.
    in_server(first, "sh", "-c", "base64 -d > /root/snapshot", stdin=kept)
    in_server(first, "k3s", "server", "--cluster-reset", "--cluster-reset-restore-path=/root/snapshot")
    stack.up()
    assert set(members(first)) == set(servers(stack))
    assert all(stack.nodes().values())
    assert len(stack.nodes()) == 4
    hidden = stack.kubectl("get", "secret", "hidden", "--output=jsonpath={.data.word}").stdout
    assert base64.b64decode(hidden) == b"plainly-visible"
    stack.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert stack.kubectl("get", "configmap", "after-the-snapshot", check=False).returncode != 0


class TestEnd(End):
    pass
