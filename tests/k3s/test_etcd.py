"""Servers of the stand-in with etcd inside: they join, survive each other, leave, and come back from a snapshot."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from typing import Any

import pytest

from local_cloud.machine_room import MachineRoomError
from tests.k3s.machines import Machine, eventually, run

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces are for root")]

Make = Callable[[int], Machine]


def server(machine: Machine, **config: object) -> None:
    machine.configure(
        token="server-secret",
        agent_token="agent-secret",
        secrets_encryption=True,
        disable=["traefik", "metrics-server", "local-storage"],
        **config,
    )


def etcd(machine: Machine, question: str, body: object) -> Any:
    """etcd's own answer, over its gateway on loopback, with the client certificate that K3s keeps."""
    tls = "/var/lib/rancher/k3s/server/tls/etcd"
    keys = ("--cacert", f"{tls}/server-ca.crt", "--cert", f"{tls}/client.crt", "--key", f"{tls}/client.key")
    command = (
        "curl",
        "-sS",
        "--fail-with-body",
        *keys,
        "-d",
        json.dumps(body),
        f"https://127.0.0.1:2382/v3/{question}",
    )
    return json.loads(run(*machine.inside(*command)))


def members(machine: Machine) -> dict[str, bool]:
    """The node of every member, and whether it votes."""
    listed = etcd(machine, "cluster/member/list", {})["members"]
    return {member.get("name", "").rpartition("-")[0]: not member.get("isLearner") for member in listed}


def test_three_servers_form_one_etcd_that_outlives_each_of_them(machine: Make) -> None:
    one, two, three = machine(1), machine(2), machine(3)
    schedule = {"etcd_snapshot_schedule_cron": "@every 2s", "etcd_snapshot_retention": 2}
    server(one, cluster_init=True, **schedule)
    one.start("server")
    assert "kine" not in one.log
    stranger = f"https://{one.address}:6443"
    two.configure(token="another-secret", server=stranger)
    two.begin("server")
    assert two.process
    assert two.process.wait(30) == 1
    assert "failed to validate token" in two.log
    for number in (two, three):
        server(number, server=stranger)
        number.start("server")
    assert members(one) == {"node-1": True, "node-2": True, "node-3": True}
    for name in ("server-ca", "etcd/server-ca", "etcd/peer-ca"):
        assert len({each.file(f"server/tls/{name}.crt").read_bytes() for each in (one, two, three)}) == 1
    eventually(lambda: three.ready_nodes() == {"node-1", "node-2", "node-3"})

    three.kubectl("create", "configmap", "kept", "--from-literal=word=here")
    key = "L3JlZ2lzdHJ5L2NvbmZpZ21hcHMvZGVmYXVsdC9rZXB0"  # /registry/configmaps/default/kept
    assert etcd(two, "kv/range", {"key": key})["count"] == "1"

    snapshots = one.file("server/db/snapshots")
    eventually(lambda: len(list(snapshots.glob("etcd-snapshot-node-1-*"))) == 2)
    run(*one.inside(str(one.k3s), "etcd-snapshot", "save", "--name", "before"))
    listed = run(*one.inside(str(one.k3s), "etcd-snapshot", "ls"))
    assert "file:///var/lib/rancher/k3s/server/db/snapshots/before-node-1-" in listed
    # As bin/backup does it. What is not done here is refused, and may be declined.
    with pytest.raises(MachineRoomError, match="--etcd-snapshot-compress is not supported by this stand-in"):
        run(*one.inside(str(one.k3s), "etcd-snapshot", "save", "--etcd-snapshot-compress"))
    declined = ("--etcd-s3=false", "--etcd-snapshot-compress=false")
    run(*one.inside(str(one.k3s), "etcd-snapshot", "save", "--name=brief", *declined))
    (brief,) = snapshots.glob("brief-node-1-*")
    run(*one.inside(str(one.k3s), "etcd-snapshot", "delete", "--etcd-s3=false", brief.name))
    assert not brief.exists()

    # Power loss of the one that began: the others go on, and it comes back to its data.
    one.unplug()
    one.stop(signal.SIGKILL)
    eventually(lambda: works(two))
    assert two.get("configmap", "kept")["data"] == {"word": "here"}
    run("ip", "-n", one.namespace.rpartition("-")[0], "link", "set", "t1", "up")
    one.start("server")
    assert set(members(one)) == {"node-1", "node-2", "node-3"}

    # A node that is deleted takes its member along, and an empty machine of its name is a new member.
    # K3s does it for a node that its etcd controllers have marked, which is some moments after the node is Ready.
    marks = ("node-role.kubernetes.io/etcd", "etcd.k3s.cattle.io/node-name")
    eventually(lambda: all(mark in json.dumps(one.get("node", "node-3")["metadata"]) for mark in marks))
    three.stop()
    one.kubectl("delete", "node", "node-3")
    assert set(members(one)) == {"node-1", "node-2"}, one.log[-3000:] + two.log[-3000:]
    shutil.rmtree(three.file("server"))
    three.start("server")
    assert members(one) == {"node-1": True, "node-2": True, "node-3": True}

    # A member that is removed while it runs starts anew, as one that joins.
    one.kubectl("delete", "node", "node-2")
    assert two.process
    assert two.process.wait(60) == 1
    server(two, server=f"https://{three.address}:6443")
    two.start("server")
    assert members(one) == {"node-1": True, "node-2": True, "node-3": True}
    assert two.get("configmap", "kept")["data"] == {"word": "here"}


def test_a_snapshot_comes_back_on_another_machine(machine: Make) -> None:
    one, two = machine(1), machine(2)
    server(one, cluster_init=True)
    one.start("server")
    one.kubectl("create", "secret", "generic", "door", "--from-literal=code=open-sesame")
    run(*one.inside(str(one.k3s), "etcd-snapshot", "save", "--name", "backup"))
    (snapshot,) = one.file("server/db/snapshots").glob("backup-node-1-*")
    authority = one.file("server/tls/server-ca.crt").read_bytes()
    one.stop()

    copy = two.file("copy")
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(snapshot.read_bytes())
    reset = ("server", "--cluster-reset", "--cluster-reset-restore-path=/var/lib/rancher/k3s/copy", "--etcd-s3=false")
    server(two, server=f"https://{one.address}:6443")
    with pytest.raises(MachineRoomError, match="remove server from configuration before resetting"):
        run(*two.inside(str(two.k3s), *reset))
    server(two, cluster_init=True)
    run(*two.inside(str(two.k3s), *reset))
    with pytest.raises(MachineRoomError, match="previously reset"):
        run(*two.inside(str(two.k3s), *reset))
    two.start("server")
    assert two.file("server/tls/server-ca.crt").read_bytes() == authority
    assert two.kubectl("get", "secret", "door", "-o", "jsonpath={.data.code}") == "b3Blbi1zZXNhbWU="
    assert set(members(two)) == {"node-2"}
    two.kubectl("delete", "node", "node-1")
    eventually(lambda: two.ready_nodes() == {"node-2"})


def works(machine: Machine) -> bool:
    try:
        machine.kubectl("get", "--raw=/readyz", "--request-timeout=5s")
    except MachineRoomError:
        return False
    return True
