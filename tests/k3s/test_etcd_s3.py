"""Snapshots of the stand-in's etcd in a bucket of a real S3 store: they get there, are kept in bounds, come back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from local_cloud import certificates
from local_cloud.machine_room import MachineRoomError
from local_cloud.spaces import access_keys
from local_cloud.spaces.access_keys import AccessKey
from local_cloud.spaces.store import Store
from tests.k3s.machines import SWITCH, Machine, eventually, run

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces are for root")]

Make = Callable[[int], Machine]

BUCKET, FOLDER = "snapshots", "clusters/one"
ADDRESS = IPv4Address("10.99.0.1")
KEPT, KEPT_IN_BUCKET = 2, 3


@pytest.fixture
def store(machine: Make, tmp_path: Path) -> Iterator[Store]:
    """A store at the switch, with a bucket."""
    tls = tmp_path / "tls"
    certificates.kept_server(tls, certificates.kept_authority(tls, "A store's authority"), [ADDRESS])
    store = Store(
        folder=tmp_path / "store",
        namespace=SWITCH,
        address=ADDRESS,
        host=str(ADDRESS),
        accounts=tmp_path / "accounts",
        certificate=tls / "server.pem",
        key=tls / "server.key",
        authority=tls / "ca.pem",
    )
    store.start()
    store.make_bucket(BUCKET, access_keys.make(store.accounts))
    yield store
    store.stop()


def server(machine: Machine, store: Store, key: AccessKey, **config: object) -> None:
    machine.configure(
        token="server-secret",
        disable=["traefik", "metrics-server", "local-storage"],
        cluster_init=True,
        etcd_snapshot_retention=KEPT,
        etcd_s3=True,
        etcd_s3_endpoint=store.host,
        etcd_s3_endpoint_ca=str(store.authority),
        etcd_s3_access_key=key.id,
        etcd_s3_secret_key=key.secret,
        etcd_s3_retention=KEPT_IN_BUCKET,
        **{"etcd_s3_bucket": BUCKET, "etcd_s3_folder": FOLDER, **config},
    )


def snapshot(machine: Machine, *words: str) -> subprocess.CompletedProcess[str]:
    """`k3s etcd-snapshot`, both outputs in one; never with a secret among them."""
    command = machine.inside(str(machine.k3s), "etcd-snapshot", *words)
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def in_bucket(store: Store, name: str) -> list[str]:
    """The objects whose names begin with `name`, oldest first."""
    found = [key for key, _ in store.objects(BUCKET) if key.startswith(f"{FOLDER}/{name}")]
    return sorted(found, key=lambda key: int(key.rpartition("-")[2]))


def test_snapshots_go_to_the_bucket_as_long_as_it_lets_them_in(machine: Make, store: Store) -> None:
    one, key = machine(1), access_keys.make(store.accounts)
    server(one, store, key, etcd_snapshot_schedule_cron="@every 2s")
    one.start("server")
    eventually(lambda: len(in_bucket(store, "etcd-snapshot-node-1-")) == KEPT_IN_BUCKET)
    first = in_bucket(store, "etcd-snapshot-")[0]
    eventually(lambda: first not in in_bucket(store, "etcd-snapshot-"))
    assert len(in_bucket(store, "etcd-snapshot-")) <= KEPT_IN_BUCKET + 1
    eventually(lambda: len(list(one.file("server/db/snapshots").glob("etcd-snapshot-*"))) == KEPT)

    assert snapshot(one, "save", "--name", "before").stdout.count("saved.") == 2
    (kept,) = in_bucket(store, "before-node-1-")
    (local,) = one.file("server/db/snapshots").glob("before-node-1-*")
    listed = snapshot(one, "ls").stdout
    assert f"s3://{BUCKET}/{kept}" in listed
    assert f"file:///var/lib/rancher/k3s/server/db/snapshots/{local.name}" in listed
    assert snapshot(one, "delete", local.name).returncode == 0
    assert in_bucket(store, "before-") == []
    assert not local.exists()
    assert "not found" in snapshot(one, "delete", local.name).stdout

    # A store that is away, or refuses the key, costs no snapshot on the disk, and says so.
    store.stop()
    alone = snapshot(one, "save", "--name", "alone")
    assert (alone.returncode, alone.stdout.count("saved.")) == (0, 1)
    assert "Error received during snapshot upload to S3" in alone.stdout
    assert list(one.file("server/db/snapshots").glob("alone-node-1-*"))
    store.start()
    access_keys.revoke(store.accounts, key.id)
    refused = snapshot(one, "ls")
    assert refused.returncode == 1
    assert "failed to initialize S3 client: failed to test for existence of bucket snapshots" in refused.stdout
    eventually(lambda: "Error received during snapshot upload to S3" in one.log)
    assert one.process
    assert one.process.poll() is None
    one.kubectl("get", "--raw=/readyz")

    # With a key that is good again they get there; what was missed is not made up for.
    one.stop()
    server(one, store, access_keys.make(store.accounts), etcd_snapshot_schedule_cron="@every 2s")
    newest = in_bucket(store, "etcd-snapshot-")[-1]
    one.start("server")
    eventually(lambda: in_bucket(store, "etcd-snapshot-")[-1] != newest)
    assert in_bucket(store, "alone-") == []
    assert key.secret not in one.log + alone.stdout + refused.stdout


def test_a_snapshot_comes_back_from_the_bucket_on_another_machine(machine: Make, store: Store) -> None:
    one, two, key = machine(1), machine(2), access_keys.make(store.accounts)
    server(one, store, key)
    one.start("server")
    one.kubectl("create", "configmap", "kept", "--from-literal=word=here")
    snapshot(one, "save", "--name", "backup")
    (name,) = (Path(key).name for key in in_bucket(store, "backup-node-1-"))
    one.stop()

    def restore(name: str, *flags: str) -> None:
        run(*two.inside(str(two.k3s), "server", "--cluster-reset", f"--cluster-reset-restore-path={name}", *flags))

    server(two, store, AccessKey(key.id, "wrong"))
    with pytest.raises(MachineRoomError, match="failed to initialize S3 client"):
        restore(name)
    server(two, store, key, etcd_s3_bucket="no-such-bucket")
    with pytest.raises(MachineRoomError, match="bucket no-such-bucket does not exist"):
        restore(name)
    server(two, store, key)
    with pytest.raises(MachineRoomError, match="failed to download snapshot from S3"):
        restore("backup-node-1-1")
    assert not two.file("server/db/etcd/member").exists()
    restore(name)
    two.start("server")
    assert two.get("configmap", "kept")["data"] == {"word": "here"}


def test_two_servers_snapshots_are_counted_together(machine: Make, store: Store) -> None:
    """What K3s does, and README says: the bucket's retention knows no servers."""
    one, two, key = machine(1), machine(2), access_keys.make(store.accounts)
    server(one, store, key, etcd_snapshot_schedule_cron="@every 2s")
    one.start("server")
    server(two, store, key, etcd_snapshot_schedule_cron="@every 2s", server=f"https://{one.address}:6443")
    two.start("server")
    eventually(
        lambda: (
            {Path(key).name[:20] for key in in_bucket(store, "")} == {"etcd-snapshot-node-1", "etcd-snapshot-node-2"}
        )
    )
    one.stop()
    two.stop()
    assert len(in_bucket(store, "etcd-snapshot-")) <= KEPT_IN_BUCKET + 1
