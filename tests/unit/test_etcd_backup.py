"""Backups of etcd: the file, the script that takes a snapshot on a server, and how a new cluster begins from one."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyrage
import pytest

from k3s_cluster.backup import backup_file, commands, etcd, passphrase
from k3s_cluster.backup.backup_file import BackupError, Origin, SnapshotWriter, open_backup
from k3s_cluster.over_ssh import embedded_etcd, etcd_membership, etcd_restore
from k3s_cluster.over_ssh.connection import NodeError, SshTarget
from k3s_cluster.over_ssh.restored_datastore import RestoredDatastoreProvider, mismatch

PASSPHRASE = "correct horse battery staple"
ORIGIN = Origin("fra1", "etcd", "v1.36.4+k3s1", "2026-11-24T21:00:00+00:00", "server", "agent", {})
DATABASE = bytes(range(256)) * 3000 + b"\n"
SNAPSHOT = DATABASE + hashlib.sha256(DATABASE).digest()


def written(path: Path, snapshot: bytes = SNAPSHOT, piece: int = 1000) -> Path:
    writer = SnapshotWriter(ORIGIN)
    for start in range(0, len(snapshot), piece):
        writer.add(snapshot[start : start + piece])
    writer.save(path, PASSPHRASE)
    return path


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("sealed") / "b")


def test_a_snapshot_comes_out_as_it_went_in(sealed: Path) -> None:
    opened = open_backup(sealed, PASSPHRASE)
    assert (opened.origin, opened.is_snapshot, opened.contents()) == (ORIGIN, True, "an etcd snapshot")
    assert b"".join(opened.snapshot()) == SNAPSHOT
    assert len(list(opened.snapshot())) > 1
    # As the documentation has it, without this program.
    inside = gzip.decompress(pyrage.passphrase.decrypt(sealed.read_bytes(), PASSPHRASE))
    assert inside.partition(b"\n")[2] == SNAPSHOT


@pytest.mark.parametrize("busy", [1, backup_file.ATTEMPTS])
def test_a_machine_that_was_busy_when_its_speed_was_measured_is_asked_again(
    sealed: Path, monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    decrypt, asked = pyrage.passphrase.decrypt, []

    def measuring(file: bytes, word: str) -> bytes:
        asked.append(word)
        if len(asked) <= busy:
            raise pyrage.DecryptError(
                "Excessive work parameter for passphrase.\nDecryption would take around 40 seconds."
            )
        # A machine that runs tests may really be busy.
        for _ in range(20):
            with contextlib.suppress(pyrage.DecryptError):
                return decrypt(file, word)
        return decrypt(file, word)

    monkeypatch.setattr(pyrage.passphrase, "decrypt", measuring)
    if busy < backup_file.ATTEMPTS:
        assert open_backup(sealed, PASSPHRASE).is_snapshot
    else:
        with pytest.raises(BackupError, match="Decryption would take around 40 seconds"):
            open_backup(sealed, PASSPHRASE)
    assert len(asked) == min(busy + 1, backup_file.ATTEMPTS)


@pytest.mark.parametrize("cut", [SNAPSHOT[:-1], SNAPSHOT[1:], b"", SNAPSHOT[:20]], ids=["end", "start", "all", "most"])
def test_a_snapshot_that_did_not_come_whole_is_no_backup(cut: bytes, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="did not arrive as it was taken; nothing was written"):
        written(tmp_path / "b", cut)
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_knows_rows_only_refuses_a_snapshot(sealed: Path) -> None:
    inside = gzip.decompress(pyrage.passphrase.decrypt(sealed.read_bytes(), PASSPHRASE))
    header = json.loads(inside.partition(b"\n")[0])
    # What such a program compares, before it reads anything else.
    assert header["format"] != backup_file.FORMAT
    for change in ({"format": backup_file.FORMAT}, {"engine": "pg"}):
        other = gzip.compress(json.dumps({**header, **change}).encode() + b"\n")
        with pytest.raises(BackupError, match="something else than a backup"):
            backup_file._read(Path("b"), other)


@pytest.mark.parametrize(
    ("of", "into", "said"),
    [
        ("etcd", "etcd", []),
        ("sqlite", "pg", []),
        ("pg", "sqlite", []),
        (
            "etcd",
            "pg",
            ["is a snapshot of `etcd`, which does not go into `pg`: `pulumi config set datastoreEngine etcd`"],
        ),
        ("pg", "etcd", ["is of a cluster on `pg`, and its rows do not go into `etcd`: set datastoreEngine to `pg` or"]),
    ],
)
def test_etcd_goes_into_etcd_and_rows_into_sql(of: str, into: str, said: list[str]) -> None:
    problems = mismatch(Origin("fra1", of, "v1.36.4+k3s1", "then", "server", "agent", {}), into)
    assert len(problems) == len(said)
    assert all(text in problem for text, problem in zip(said, problems, strict=True))


def test_a_plan_refuses_another_kind_of_datastore(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    monkeypatch.setenv(passphrase.FILE_VARIABLE, str(tmp_path / "passphrase"))
    news: dict[str, Any] = {"file": str(sealed), "engine": "pg", "k3s_version": "v1.36.4+k3s1", "fixed": {}}
    (failure,) = RestoredDatastoreProvider().check({}, news).failures
    assert failure.reason.startswith("restoreFile: the backup is a snapshot of `etcd`, which does not go into `pg`")
    assert RestoredDatastoreProvider().check({}, {**news, "engine": "etcd"}).failures == []


K3S = """#!/bin/sh
echo "$*" >> "$HERE/told"
case "$*" in
    *" save "*) [ ! -e "$HERE/fails" ] || { echo partly > "$HERE/backup-1a-node-7.part"; echo 'no leader' >&2; exit 1; }
        printf 'of etcd' > "$HERE/backup-1a-node-7" ;;
esac
"""


def taken(folder: Path) -> subprocess.CompletedProcess[bytes]:
    """The script with its K3s stood in, in a folder that has another snapshot."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/k3s").write_text(K3S)
    (folder / "bin/k3s").chmod(0o755)
    (folder / "etcd-snapshot-node-6").write_text("a scheduled one")
    environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HERE": str(folder)}
    command = ["sh", "-c", etcd.SCRIPT.read_text(), "etcd_snapshot.sh", str(folder), "backup-1a"]
    return subprocess.run(command, env=environment, capture_output=True, timeout=30, check=False)


def test_a_snapshot_is_read_and_leaves_the_server(tmp_path: Path) -> None:
    done = taken(tmp_path)
    assert (done.returncode, done.stdout) == (0, b"of etcd")
    # Neither a bucket nor a compression that the cluster's own snapshots have is meant.
    assert (tmp_path / "told").read_text().splitlines() == [
        "etcd-snapshot save --name=backup-1a --etcd-s3=false --etcd-snapshot-compress=false",
        "etcd-snapshot delete --etcd-s3=false backup-1a-node-7",
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "told", "etcd-snapshot-node-6"}


def test_a_snapshot_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "fails").touch()
    done = taken(tmp_path)
    assert done.returncode != 0
    assert (done.stdout, done.stderr) == (b"", b"no leader\n")
    assert not list(tmp_path.glob("backup-1a*"))


def test_a_reader_that_goes_leaves_nothing(tmp_path: Path) -> None:
    taken(tmp_path)
    script = etcd.SCRIPT.read_text()
    command = ["sh", "-c", 'sh -c "$1" etcd_snapshot.sh "$2" backup-1a | true', "sh", script, str(tmp_path)]
    (tmp_path / "bin/k3s").write_text(K3S.replace("printf 'of etcd'", "head -c 10000000 /dev/zero"))
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HERE": str(tmp_path)}
    subprocess.run(command, env=environment, capture_output=True, timeout=30, check=True)
    assert not list(tmp_path.glob("backup-1a*"))


class Server:
    """A server that is known by the files on it."""

    def __init__(self, host: str, *files: str) -> None:
        self.target = SshTarget(host=host, private_key="", host_key="")
        self.files = set(files)
        self.ran: list[str] = []

    def attempt(self, *command: str, **_: object) -> tuple[int, str, str]:
        if command[0] == "test":
            return int(command[2] not in self.files), "", ""
        self.ran.append(command[-2] if command[0] == "sh" else " ".join(command))
        return 0, "", ""

    def run(self, *command: str, **_: object) -> str:
        self.ran.append(" ".join(command))
        if command[0] == "mv":
            self.files = (self.files - {command[1]}) | {command[2]}
        return ""

    def write_file(self, path: str, text: str) -> bool:
        self.ran.append(f"write {text.strip()}")
        return True


WAITING, TAKEN_UP, DATA = etcd_restore.WAITING_PATH, etcd_restore.TAKEN_UP_PATH, embedded_etcd.DATA_PATH
RESET = ["reset-etcd.sh", f"mv {WAITING} {TAKEN_UP}", "write cluster-init: true"]


def take(node: Server, *peers: Server | None) -> bool:
    hosts = [{"host": f"10.0.0.{number}"} for number in range(2, 2 + len(peers))]
    props = {"name": "srv-1", "peers": hosts, "private_key": "of-nobody", "api_name": "api", "from_backup": True}
    others: Any = list(peers)
    return etcd_membership.take(props, node, others, lambda _text: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ((WAITING,), RESET),
        ((WAITING, DATA), RESET),  # the reset was cut off: whatever it left is no data
        ((TAKEN_UP, DATA), []),  # K3s goes on with it
        ((DATA,), []),
    ],
    ids=["new", "cut off in the reset", "cut off after it", "done"],
)
def test_a_waiting_snapshot_is_taken_up_once_it_is_whole_and_then_never_again(
    files: tuple[str, ...], told: list[str]
) -> None:
    node = Server("10.0.0.1", *files)
    assert take(node, Server("10.0.0.2"), Server("10.0.0.3")) is bool(told)
    assert node.ran == told


def test_a_restored_cluster_never_begins_without_its_snapshot() -> None:
    node = Server("10.0.0.1")
    with pytest.raises(NodeError, match=r"the backup's snapshot is not on it .* would begin empty"):
        take(node, Server("10.0.0.2"), Server("10.0.0.3"))
    assert node.ran == []


@pytest.mark.parametrize("peer", [Server("10.0.0.2", DATA), None], ids=["has data", "silent"])
def test_a_snapshot_is_not_taken_up_beside_another_server_s_data(peer: Server | None) -> None:
    node = Server("10.0.0.1", WAITING)
    with pytest.raises(NodeError, match="another server has data of etcd, or does not answer"):
        take(node, Server("10.0.0.3"), peer)
    assert node.ran == []


def test_after_a_cut_off_reset_the_others_are_waited_for_before_it_is_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node: Any = Server("10.0.0.1", WAITING, DATA)
    late: list[Any] = [Server("10.0.0.2")]

    def connect(_target: SshTarget, _progress: object, *seconds: float) -> Any:
        if seconds:
            raise NodeError("it is booting")
        return contextlib.nullcontext(late[0])

    monkeypatch.setattr(etcd_membership, "connect", connect)
    props = {"name": "srv-1", "private_key": "", "api_name": "api", "peers": [{"host": "10.0.0.2", "host_key": "KEY"}]}
    with contextlib.ExitStack() as stack:
        assert etcd_membership.peers(props, stack, node, lambda _text: None) == late


def test_old_nodes_go_before_the_snapshot_does_and_only_once() -> None:
    node: Any = Server("10.0.0.1", TAKEN_UP, DATA)
    etcd_restore.finish(node, "srv-1")
    delete, away = node.ran
    assert delete == "k3s kubectl delete nodes --field-selector=metadata.name!=srv-1 --ignore-not-found"
    assert away == f"rm -rf {etcd_restore.FOLDER}"
    node = Server("10.0.0.1", DATA)
    etcd_restore.finish(node, "srv-1")
    assert node.ran == []


def test_a_snapshot_is_not_brought_where_a_cluster_is() -> None:
    node: Any = Server("10.0.0.1", DATA)
    with pytest.raises(NodeError, match=r"already another cluster's state on 10\.0\.0\.1"):
        etcd_restore.bring(node, lambda: iter([SNAPSHOT]))


def test_a_server_without_majority_is_not_asked_for_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    class Answering:
        def __init__(self, host: str) -> None:
            self.host = host

        def __enter__(self) -> Answering:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(commands, "connect", lambda target, *_: Answering(target.host))
    monkeypatch.setattr(commands.k3s_service, "answers", lambda server: server.host == "203.0.113.2")
    servers: Any = [
        commands.stack_state.Server(host, SshTarget(host=host, private_key="", host_key=""), {}, "")
        for host in ("203.0.113.1", "203.0.113.2")
    ]
    with commands._any_server(servers, serving=True) as (_, chosen):
        assert chosen.name == "203.0.113.2"
    with (
        pytest.raises(NodeError, match=r"the API on 203.0.113.1 does not answer"),
        commands._any_server(servers[:1], serving=True),
    ):
        pass
