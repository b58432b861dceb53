"""Backups: what is in the file, who can open it, and what a new cluster can be made from."""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyrage
import pytest

from k3s_cluster import immutable_settings
from k3s_cluster.backup import backup_file, mysql, passphrase, postgres, sqlite, stack_state
from k3s_cluster.backup.backup_file import BackupError, BackupWriter, Origin, live_objects, open_backup
from k3s_cluster.backup.datastore import engine_of
from k3s_cluster.backup.kine_rows import Row, belongs_to_a_machine, bootstrap_key, from_line, to_line
from k3s_cluster.datastore_endpoint import DatabaseAddress, datastore_endpoint
from k3s_cluster.over_ssh import restored_datastore
from k3s_cluster.over_ssh.connection import NodeError, SshTarget
from k3s_cluster.over_ssh.restored_datastore import RestoredDatastoreProvider, unfit
from k3s_cluster.pulumi_cli import RECOVERING

PASSPHRASE = "correct horse battery staple"
ORIGIN = Origin("fra1", "pg", "v1.36.4+k3s1", "2026-11-24T21:00:00+00:00", "server", "agent", {"flannel-backend": "x"})
BOOTSTRAP = Row(1, bootstrap_key("server"), 1, 0, 0, 0, 0, b"sealed", b"")
WEIRD = Row(7, "/registry/configmaps/default/ä\t\\x\n", 1, 0, None, 6, 0, bytes(range(256)), None)
ROWS = [BOOTSTRAP, Row(2, "/registry/pods/a/b", 1, 0, 0, 0, 0, b"1", b""), WEIRD]


def writer(rows: list[Row] = ROWS) -> BackupWriter:
    made = BackupWriter(ORIGIN)
    for row in rows:
        made.add(row)
    return made


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup, made once: age takes a second for each passphrase, so that guessing takes long."""
    folder = tmp_path_factory.mktemp("sealed")
    file = folder / "b"
    writer().save(file, PASSPHRASE)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(folder.iterdir()) == [file]
    return file


@pytest.fixture(scope="module")
def lines(sealed: Path) -> bytes:
    """What is in it."""
    return bytes(pyrage.passphrase.decrypt(sealed.read_bytes(), PASSPHRASE))


def test_what_went_in_comes_out(sealed: Path) -> None:
    opened = open_backup(sealed, PASSPHRASE)
    assert opened.origin == ORIGIN
    assert list(opened.rows()) == ROWS


def test_an_origin_in_a_message_shows_no_token() -> None:
    assert "server'" not in repr(ORIGIN)


def test_another_passphrase_or_a_damaged_file_is_refused(sealed: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="the passphrase is another one, or the file is damaged"):
        open_backup(sealed, "another passphrase")
    whole, damaged = sealed.read_bytes(), tmp_path / "damaged"
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BackupError, match="the passphrase is another one, or the file is damaged"):
        open_backup(damaged, PASSPHRASE)


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "b"
    with pytest.raises(BackupError, match="cannot be read"):
        open_backup(file, PASSPHRASE)
    file.write_text("apiVersion: v1")
    with pytest.raises(BackupError, match="is no backup"):
        open_backup(file, PASSPHRASE)
    for text in (b"other", gzip.compress(b'{"format": "of the future"}\n'), gzip.compress(b"[]\n")):
        with pytest.raises(BackupError, match="something else than a backup"):
            backup_file._read(file, text)


def test_missing_rows_are_noticed(lines: bytes) -> None:
    whole = gzip.decompress(lines).splitlines(keepends=True)
    for kept in (whole[:-1], [*whole[:2], whole[-1]]):
        cut = backup_file._read(Path("b"), gzip.compress(b"".join(kept)))
        with pytest.raises(BackupError, match="is not complete"):
            list(cut.rows())


def test_a_datastore_without_what_the_token_seals_gives_no_backup(tmp_path: Path) -> None:
    other = BOOTSTRAP._replace(name=bootstrap_key("another token"))
    with pytest.raises(BackupError, match="no certificate authorities that the server token seals"):
        writer([other, *ROWS[1:]]).save(tmp_path / "b", PASSPHRASE)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_backup_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "b"
    file.write_text("the one before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup_file.os, "fsync", full)
    with pytest.raises(BackupError, match=r"b could not be written \(No space left on device\)"):
        writer().save(file, PASSPHRASE)
    assert file.read_text() == "the one before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_took_the_file_s_place_meanwhile_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(BackupError, match="b could not be written"):
        writer().save(tmp_path / "b", PASSPHRASE)
    assert list(tmp_path.iterdir()) == [tmp_path / "b"]


def test_live_objects_are_counted_as_kubectl_would() -> None:
    gone = Row(9, "/registry/pods/a/b", 0, 1, 2, 2, 0, b"1", b"1")
    assert live_objects(ROWS) == 2
    assert live_objects([*ROWS, gone]) == 1


def test_the_bootstrap_key_is_k3s_s_own() -> None:
    # The first 12 hex digits of `printf secret | sha256sum`.
    assert bootstrap_key("secret") == "/bootstrap/2bb80d537b1d"


@pytest.mark.parametrize(
    ("name", "belongs"),
    [
        ("/registry/minions/k3s-server-1a2b", True),
        ("/registry/leases/kube-node-lease/k3s-server-1a2b", True),
        ("/registry/masterleases/10.10.10.2", True),
        ("/registry/csinodes/k3s-server-1a2b", True),
        ("/registry/secrets/kube-system/k3s-server-1a2b.node-password.k3s", True),
        ("/registry/secrets/kube-system/k3s-serving", False),
        ("/registry/secrets/default/x.node-password.k3s", False),
        ("/registry/leases/kube-system/kube-scheduler", False),
        ("/registry/configmaps/default/minions", False),
        ("/bootstrap/2bb80d537b1d", False),
        ("compact_rev_key", False),
    ],
)
def test_what_is_left_out_of_a_restore(name: str, belongs: bool) -> None:
    assert belongs_to_a_machine(name) is belongs


def test_a_row_is_one_line() -> None:
    line = to_line(WEIRD)
    assert "\n" not in line
    assert from_line(line) == WEIRD


def test_rows_become_what_postgres_copies() -> None:
    (chunk,) = postgres._chunks([WEIRD._replace(value=b"\\\n", old_value=None)])
    assert chunk == b"7\t/registry/configmaps/default/\xc3\xa4\\t\\\\x\\n\t1\t0\t\\N\t6\t0\t\\\\x5c0a\t\\N\n"


def test_rows_are_read_from_a_copy_however_it_is_cut() -> None:
    name = WEIRD.name.encode().hex()
    text = f"1\t{name}\t1\t0\t\\N\t6\t0\t{WEIRD.value.hex() if WEIRD.value else ''}\t\\N\n".encode()
    found: list[Row] = []
    lines = postgres._Lines(lambda line: found.append(postgres._row(line)))
    for start in range(0, len(text), 5):
        lines.write(text[start : start + 5])
    assert found == [WEIRD._replace(id=1)]


def on_a_server(verb: str, path: Path, *rest: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", sqlite.SCRIPT.read_text(), verb, str(path), *rest]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def test_a_sqlite_datastore_is_made_and_read(tmp_path: Path) -> None:
    path = tmp_path / "rancher/k3s/server/db/state.db"
    stdin = "".join(to_line(row) + "\n" for row in ROWS) + "[99]\n"
    assert on_a_server("load", path, BOOTSTRAP.name, stdin=stdin).returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [from_line(line) for line in on_a_server("dump", path).stdout.splitlines()] == ROWS
    database = sqlite3.connect(path)
    database.execute("INSERT INTO kine (name) VALUES ('next')")
    # Revisions go on after the last one there ever was.
    assert database.execute("SELECT max(id) FROM kine").fetchone() == (100,)
    database.commit()
    database.close()
    # Again is nothing; another backup is refused.
    assert on_a_server("load", path, BOOTSTRAP.name, stdin=stdin).returncode == 0
    refused = on_a_server("load", path, "/bootstrap/other", stdin=stdin)
    assert refused.returncode == 1
    assert "there is already another cluster's state" in refused.stderr
    assert len(on_a_server("dump", path).stdout.splitlines()) == len(ROWS) + 1


def test_an_interrupted_load_leaves_no_datastore(tmp_path: Path) -> None:
    path = tmp_path / "rancher/k3s/server/db/state.db"
    assert on_a_server("load", path, BOOTSTRAP.name, stdin=to_line(BOOTSTRAP) + "\n[1,").returncode != 0
    assert not path.exists()
    stdin = "".join(to_line(row) + "\n" for row in ROWS) + "[99]\n"
    assert on_a_server("load", path, BOOTSTRAP.name, stdin=stdin).returncode == 0
    assert len(on_a_server("dump", path).stdout.splitlines()) == len(ROWS)


@pytest.mark.parametrize("key", [BOOTSTRAP.name, "/bootstrap/other"], ids=["again", "another cluster's"])
def test_a_load_that_has_nothing_to_do_still_takes_what_is_sent(tmp_path: Path, key: str) -> None:
    path = tmp_path / "rancher/k3s/server/db/state.db"
    assert on_a_server("load", path, BOOTSTRAP.name, stdin=to_line(BOOTSTRAP) + "\n[1]\n").returncode == 0
    command = [sys.executable, "-I", "-c", sqlite.SCRIPT.read_text(), "load", str(path), key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        line = to_line(BOOTSTRAP._replace(value=b"x" * 1000)) + "\n"
        # A broken pipe, as paramiko has it, if nobody reads.
        process.stdin.write(line * (5_000_000 // len(line)))
        process.stdin.close()
        said = process.stderr.read()
    if key == BOOTSTRAP.name:
        assert (process.returncode, said) == (0, "")
    else:
        assert (process.returncode, said) == (1, f"there is already another cluster's state in {path}\n")


class ServerThatSays:
    """A connection whose command ends with `status` and these errors, or takes too long."""

    target = SshTarget(host="203.0.113.1", private_key="", host_key="")

    def __init__(self, status: int, errors: str = "", late: bool = False) -> None:
        self._status, self._errors, self._late = status, errors, late

    def attempt(self, *command: str, **_: object) -> tuple[int, str, str]:
        try:
            if self._late:
                raise TimeoutError
        except TimeoutError:
            raise NodeError(f"`{command}` took over 1 s") from None
        return self._status, "", self._errors


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (ServerThatSays(1, "Traceback\n  line\nsqlite3.Error: no\n"), "failed: sqlite3.Error: no"),
        (ServerThatSays(127), "failed: it ended with 127"),
        (ServerThatSays(0, late=True), "took over 900 s"),
    ],
    ids=["a traceback", "nothing", "late"],
)
def test_what_failed_on_a_server_is_one_line_without_the_script(server: Any, said: str) -> None:
    with pytest.raises(NodeError) as failed:
        sqlite.dump(server, lambda _: None)
    assert str(failed.value) == f"the dump of SQLite on 203.0.113.1 {said}"
    with pytest.raises(NodeError) as failed:
        sqlite.load(server, ROWS, 7, BOOTSTRAP.name)
    assert str(failed.value) == f"the load of SQLite on 203.0.113.1 {said}"


def test_a_datastore_that_is_not_there_or_empty_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    done = on_a_server("dump", path)
    assert (done.returncode, done.stderr) == (1, f"{path}: unable to open database file\n")
    path.touch()
    done = on_a_server("dump", path)
    assert (done.returncode, done.stderr) == (1, f"{path}: no such table: kine\n")


def test_an_endpoint_is_read_as_it_was_written() -> None:
    for host in ("db.example.com", "2001:db8::1"):
        address = DatabaseAddress("pg", host, 25060, "k3s_user", "p@ss:/?#%w ö", "k3s")
        assert postgres.address_of(datastore_endpoint(address)) == address
        address = DatabaseAddress("mysql", host, 25060, "k3s_user", "p@ss:/?#%w ö", "k3s")
        assert mysql.address_of(datastore_endpoint(address)) == address


def test_without_a_name_it_is_the_database_that_kine_takes() -> None:
    assert postgres.address_of("postgres://u:p@h:5432").database == "kubernetes"
    assert mysql.address_of("mysql://u:p@tcp(h:3306)/").database == "kubernetes"


@pytest.mark.parametrize("dsn", ["mysql://root@unix(/run/mysqld.sock)/k3s", "mysql://u:p@tcp(h)/k3s", "mysql:///k3s"])
def test_a_mysql_endpoint_that_no_tunnel_leads_to_is_refused(dsn: str) -> None:
    with pytest.raises(BackupError, match="must have the form mysql://"):
        mysql.address_of(dsn)


def test_engines() -> None:
    assert engine_of("sqlite", None) == "sqlite"
    assert engine_of("pg", "postgres://u:p@h:1/k3s") == "pg"
    assert engine_of("external", "postgresql://u:p@h:1/k3s") == "pg"
    assert engine_of("mysql", "mysql://u:p@tcp(h:1)/k3s") == "mysql"
    assert engine_of("etcd", None) == "etcd"


@pytest.mark.parametrize(
    ("engine", "endpoint", "instead"),
    [
        ("external", "postgres://u:p@h:1/k3s?sslmode=disable", "rows go over TLS only"),
        ("external", "https://10.0.0.1:2379", "a datastore at https:// cannot be backed up"),
    ],
)
def test_an_engine_whose_rows_are_not_copied_is_refused_with_what_to_do(
    engine: str, endpoint: str | None, instead: str
) -> None:
    with pytest.raises(BackupError, match=instead) as refused:
        engine_of(engine, endpoint)
    assert "u:p" not in str(refused.value)


def test_a_backup_fits_a_cluster_of_the_same_or_a_later_k3s_and_the_same_fixed_settings() -> None:
    fixed = dict(ORIGIN.fixed)
    assert unfit(ORIGIN, "v1.36.4+k3s1", fixed) == []
    assert unfit(ORIGIN, "v1.37.0+k3s1", fixed) == []
    (older,) = unfit(ORIGIN, "v1.35.6+k3s1", fixed)
    assert "of a cluster with K3s v1.36.4+k3s1, and k3sVersion `v1.35.6+k3s1` is older" in older
    (other,) = unfit(ORIGIN, "v1.36.4+k3s1", {})
    assert "`x` for k3sServerConfig.flannel-backend, and it must stay so" in other


def test_fixed_settings_are_those_of_config_yaml_that_rows_depend_on() -> None:
    assert immutable_settings.of({"token": "t", "secrets-encryption": True, "cluster-cidr": "10.1.0.0/16"}) == {
        "cluster-cidr": "10.1.0.0/16",
        "secrets-encryption": "true",
    }


def test_a_plan_refuses_a_backup_that_does_not_open(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = RestoredDatastoreProvider()
    news: dict[str, Any] = {
        "file": str(sealed),
        "k3s_version": "v1.36.4+k3s1",
        "engine": "pg",
        "fixed": dict(ORIGIN.fixed),
    }
    monkeypatch.delenv(passphrase.FILE_VARIABLE, raising=False)
    typed = tmp_path / "passphrase"
    (failure,) = provider.check({}, {**news, "file": str(tmp_path / "gone")}).failures
    assert f"`{tmp_path / 'gone'}` is no file here" in failure.reason
    (failure,) = provider.check({}, news).failures
    assert "run `bin/restore`, which asks for it" in failure.reason
    assert "`pulumi config rm restoreFile`" in failure.reason
    monkeypatch.setenv(passphrase.FILE_VARIABLE, str(typed))
    typed.write_text("another passphrase")
    (failure,) = provider.check({}, news).failures
    assert "restoreFile: " in failure.reason
    assert "the passphrase is another one" in failure.reason
    typed.write_text(PASSPHRASE)
    assert provider.check({}, news).failures == []
    # What is there already needs neither file nor passphrase.
    monkeypatch.delenv(passphrase.FILE_VARIABLE)
    assert provider.check({}, news).failures
    # Nor does bin/recover after a restore that was killed: it looks, and makes nothing.
    with monkeypatch.context() as recovering:
        recovering.setenv(RECOVERING, "1")
        assert provider.check({}, news).failures == []
    assert provider.check(news, {**news, "file": "gone"}).failures == []


def test_the_passphrase_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    told = {passphrase.FILE_VARIABLE: str(file)}
    assert passphrase.to_make(told) == passphrase.to_open(told) == passphrase.to_restore(told) == PASSPHRASE
    file.write_text("short")
    assert passphrase.to_open(told) == "short"
    with pytest.raises(BackupError, match="fewer than 8 characters"):
        passphrase.to_make(told)
    with pytest.raises(BackupError, match="which cannot be read"):
        passphrase.to_open({passphrase.FILE_VARIABLE: str(tmp_path / "none")})
    file.write_text("\n")
    with pytest.raises(BackupError, match="which is empty"):
        passphrase.to_open({passphrase.FILE_VARIABLE: str(file)})


def resource(kind: str, **outputs: Any) -> dict[str, Any]:
    return {"type": f"pulumi-python:dynamic/{kind}", "id": "1", "outputs": outputs}


def secret(value: str) -> dict[str, str]:
    mark = "4dabf18193072939515e22adb298388d"
    return {mark: "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps(value)}


def test_a_cluster_is_read_from_a_state() -> None:
    told = {"host": "203.0.113.1", "host_key": "ssh-ed25519 AAAA", "private_key": secret("KEY")}
    config = secret("token: t\nagent-token: a\n")
    server = resource("over_ssh:Node", role="server", name="s", config=config, datastore_ca="CA", **told)
    agent = resource("over_ssh:Node", role="agent", name="a", config=secret("token: a\n"), **told)
    begun = resource("cluster:Invariants", datastore_engine="pg")
    found = stack_state.cluster({"deployment": {"resources": [begun, server, agent, {**server, "delete": True}]}})
    assert found is not None
    assert (found.engine, found.restore_file) == ("pg", None)
    (known,) = found.servers
    assert (known.name, known.target.private_key, known.datastore_ca) == ("s", "KEY", "CA")
    assert known.config == {"token": "t", "agent-token": "a"}
    assert "KEY" not in repr(known)
    assert "token: t" not in repr(known)


def test_a_stack_is_begun_with_its_first_resource() -> None:
    assert stack_state.cluster({"deployment": {}}) is None
    begun = resource("cluster:Invariants", datastore_engine="sqlite", restore_file="fra1.backup")
    found = stack_state.cluster({"deployment": {"resources": [begun]}})
    assert found == stack_state.Cluster("sqlite", "fra1.backup", ())


def test_a_state_with_two_clusters_is_refused() -> None:
    begun = resource("cluster:Invariants", datastore_engine="sqlite")
    with pytest.raises(BackupError, match="the stack has 2 clusters"):
        stack_state.cluster({"deployment": {"resources": [begun, begun]}})
    # One that is about to go is none.
    assert stack_state.cluster({"deployment": {"resources": [begun, {**begun, "delete": True}]}}) is not None


@pytest.mark.parametrize("text", [None, "", "token: [hidden", "token: t\n", "- token", "a: 2024-99-99\n"])
def test_a_server_whose_config_was_broken_by_hand_is_not_asked(text: str | None) -> None:
    told = {"role": "server", "host": "203.0.113.1", "host_key": "ssh-ed25519 AAAA", "private_key": secret("KEY")}
    begun = resource("cluster:Invariants", datastore_engine="pg")
    broken = resource("over_ssh:Node", name="broken", config=text, **told)
    sound = resource("over_ssh:Node", name="sound", config=secret("token: t\nagent-token: a\n"), **told)
    found = stack_state.cluster({"deployment": {"resources": [begun, broken, sound]}})
    assert found is not None
    assert ([server.name for server in found.servers], found.broken) == (["sound"], ("broken",))


def test_a_restored_datastore_keeps_which_backup_it_is_of(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    monkeypatch.setenv(passphrase.FILE_VARIABLE, str(tmp_path / "passphrase"))
    monkeypatch.setattr(restored_datastore, "connect", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(restored_datastore, "wait_for_first_boot", lambda *_: None)
    monkeypatch.setattr(restored_datastore, "tell", lambda *_: None)
    monkeypatch.setattr(restored_datastore.datastore, "load", lambda *_: None)
    told = {"host": "h", "host_key": "k", "private_key": "p", "k3s_version": "v1.36.4+k3s1"}
    props = {"urn": "urn:pulumi:s::p::t::n", "file": str(sealed), **told}
    outs = RestoredDatastoreProvider().create(props).outs or {}
    begun = resource("cluster:Invariants", datastore_engine="pg", restore_file="b")
    found = stack_state.cluster({"deployment": {"resources": [begun, resource("over_ssh:RestoredDatastore", **outs)]}})
    assert found is not None
    assert found.restored_from == ORIGIN.made_at
