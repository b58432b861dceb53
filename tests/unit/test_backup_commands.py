"""`bin/backup` and `bin/restore` as a person meets them when something stands against it."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pyrage
import pytest

from k3s_cluster.backup import backup_file, commands, passphrase
from k3s_cluster.over_ssh.connection import NodeError, SshTarget

CONFIG = "token: t\nagent-token: a\n"


class Opened:
    """A backup that has been opened."""

    origin = type("Origin", (), {"stack": "old", "made_at": "then"})
    is_snapshot = False

    def contents(self) -> str:
        return "0 objects"


def state(engine: str = "sqlite", config: str = CONFIG, hosts: tuple[str, ...] = ("203.0.113.1",)) -> dict[str, Any]:
    begun = {"type": "pulumi-python:dynamic/cluster:Invariants", "id": "k3s", "outputs": {"datastore_engine": engine}}
    nodes = [
        {
            **{"type": "pulumi-python:dynamic/over_ssh:Node", "id": host},
            "outputs": {
                **{"role": "server", "name": host, "host": host, "host_key": "KEY", "private_key": "PRIVATE"},
                "config": config,
            },
        }
        for host in hosts
    ]
    return {"deployment": {"resources": [begun, *nodes]}}


@pytest.fixture(autouse=True)
def a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "passphrase"
    file.write_text("correct horse battery staple")
    monkeypatch.setenv(passphrase.FILE_VARIABLE, str(file))


def stack_is(monkeypatch: pytest.MonkeyPatch, exported: dict[str, Any]) -> None:
    monkeypatch.setattr(commands, "_export", lambda stack: exported)


@pytest.mark.parametrize(
    ("exported", "said"),
    [
        ({"deployment": {}}, "stack fra1 has no cluster: `pulumi up` makes one."),
        (state(hosts=()), "stack fra1 has no cluster: `pulumi up` makes one."),
        (
            state(config="token: [hidden\n"),
            "203.0.113.1's config.yaml is not what the stack wrote; `pulumi up` mends it.",
        ),
        (
            state("external", CONFIG + "datastore-endpoint: https://u:hidden@h:2379\n"),
            "a datastore at https:// cannot be backed up or restored here: SQLite, Postgres and MySQL can",
        ),
    ],
    ids=["nothing", "begun", "broken by hand", "an etcd of somebody else's"],
)
def test_what_cannot_be_backed_up_is_said_in_one_line_and_nothing_is_written(
    exported: dict[str, Any],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack_is(monkeypatch, exported)
    assert commands.main(["backup", str(tmp_path / "b"), "--stack", "fra1"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith(f"bin/backup: {said}")
    assert "hidden" not in line
    assert not (tmp_path / "b").exists()


def test_without_a_passphrase_or_a_terminal_no_server_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(passphrase.FILE_VARIABLE)
    stack_is(monkeypatch, state())
    asked: list[str] = []
    monkeypatch.setattr(commands, "connect", lambda target, *_: asked.append(target.host))
    assert commands.main(["backup", str(tmp_path / "b"), "--stack", "fra1"]) == 1
    assert f"put it in a file, and the file's path in {passphrase.FILE_VARIABLE}" in capsys.readouterr().err
    assert asked == []


def test_the_first_server_that_answers_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def connect(target: SshTarget, *_: object) -> Any:
        asked.append(target.host)
        if target.host == "203.0.113.1":
            raise NodeError("203.0.113.1 is off")
        return contextlib.nullcontext()

    monkeypatch.setattr(commands, "connect", connect)
    cluster = commands.stack_state.cluster(state(hosts=("203.0.113.1", "203.0.113.2", "203.0.113.3")))
    assert cluster is not None
    with commands._any_server(cluster.servers) as (_, chosen):
        assert chosen.name == "203.0.113.2"
    assert asked == ["203.0.113.1", "203.0.113.2"]
    with pytest.raises(NodeError, match=r"203.0.113.1 is off"), commands._any_server(cluster.servers[:1]):
        pass


def test_what_pulumi_says_against_it_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: list[str], **_: object) -> Any:
        return subprocess.CompletedProcess(command, 255, "", "error: no stack named 'fra1' found\n")

    monkeypatch.setattr(commands.subprocess, "run", run)
    assert commands.main(["backup", "b", "--stack", "fra1"]) == 1
    said = capsys.readouterr().err
    assert "`pulumi stack export` failed" in said
    assert "no stack named 'fra1' found" in said


def test_without_pulumi_it_is_said_where_to_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commands.main(["backup", "b"]) == 1
    assert "there is no `pulumi` on PATH; on the local cloud, put `bin/local` in front" in capsys.readouterr().err


def test_a_restore_hands_on_the_passphrase_in_a_file_and_never_as_an_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(passphrase.FILE_VARIABLE)
    monkeypatch.setattr(commands.passphrase, "to_open", lambda _: "typed in, not in a file")
    (tmp_path / "fra1.backup").touch()
    opened = Opened()
    monkeypatch.setattr(commands, "open_backup", lambda path, secret: opened)
    stack_is(monkeypatch, {"deployment": {}})
    ran: list[list[str]] = []
    seen: dict[str, Any] = {}

    def run(command: list[str], **given: Any) -> Any:
        ran.append(command)
        if command[1] == "up":
            file = Path(given["env"][passphrase.FILE_VARIABLE])
            seen.update(text=file.read_text(), mode=file.stat().st_mode & 0o777, folder=file.parent.stat().st_mode)
            seen["file"] = file
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(commands.subprocess, "run", run)
    assert commands.main(["restore", str(tmp_path / "fra1.backup"), "--stack", "new", "--yes"]) == 0
    assert ran[0][4:7] == ["config", "set", "restoreFile"]
    assert ran[1] == ["pulumi", "up", "--stack", "new", "--yes"]
    assert "typed in" not in json.dumps(ran)
    assert (seen["text"], seen["mode"], seen["folder"] & 0o777) == ("typed in, not in a file", 0o600, 0o700)
    assert not seen["file"].exists()


def begun_with(made_at: str | None) -> dict[str, Any]:
    """A stack that was begun from fra1.backup; its rows are there if the backup's time is."""
    outputs = {"datastore_engine": "sqlite", "restore_file": "fra1.backup"}
    begun = {"type": "pulumi-python:dynamic/cluster:Invariants", "id": "k3s", "outputs": outputs}
    restored = {
        **{"type": "pulumi-python:dynamic/over_ssh:RestoredDatastore", "id": "fra1.backup"},
        "outputs": {"made_at": made_at},
    }
    return {"deployment": {"resources": [begun, restored] if made_at else [begun]}}


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Pulumi's command lines, each of which succeeds. Every backup opens, and is of then."""
    (tmp_path / "fra1.backup").touch()
    opened = Opened()
    monkeypatch.setattr(commands, "open_backup", lambda path, secret: opened)
    ran: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(commands.subprocess, "run", run)
    return ran


def test_another_backup_of_the_same_name_is_not_taken_for_the_one_that_is_there(
    tmp_path: Path, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack_is(monkeypatch, begun_with("before"))
    assert commands.main(["restore", str(tmp_path / "fra1.backup"), "--stack", "new", "--yes"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bin/restore: stack new was made from a backup of before, and this one is of then")
    assert "`pulumi destroy --stack new`" in line
    assert ran == []


@pytest.mark.parametrize(("made_at", "said"), [("then", True), (None, False)], ids=["loaded", "not loaded"])
def test_the_same_again_goes_on_and_says_what_is_there_already(
    made_at: str | None,
    said: bool,
    tmp_path: Path,
    ran: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack_is(monkeypatch, begun_with(made_at))
    assert commands.main(["restore", str(tmp_path / "fra1.backup"), "--stack", "new", "--yes"]) == 0
    assert ("Its rows are in stack new already" in capsys.readouterr().out) is said
    assert ran[-1] == ["pulumi", "up", "--stack", "new", "--yes"]


def test_the_same_again_goes_on_through_a_link(
    tmp_path: Path, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "latest").symlink_to(tmp_path / "fra1.backup")
    stack_is(monkeypatch, begun_with("then"))
    assert commands.main(["restore", str(tmp_path / "latest"), "--stack", "new", "--yes"]) == 0
    assert ran[0][7] == str(tmp_path / "fra1.backup")


@pytest.mark.parametrize("place", ["", "none/b"], ids=["a folder", "in no folder"])
def test_where_no_file_can_be_written_is_said_before_the_passphrase_is_asked_for(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack_is(monkeypatch, state())
    asked: list[str] = []
    monkeypatch.setattr(commands.passphrase, "to_make", lambda _: asked.append("a passphrase"))
    assert commands.main(["backup", str(tmp_path / place), "--stack", "fra1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bin/backup: {tmp_path / place} ")
    assert asked == []


def test_a_restore_of_no_file_is_said_before_the_passphrase_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack_is(monkeypatch, {"deployment": {}})
    asked: list[str] = []
    monkeypatch.setattr(commands.passphrase, "to_open", lambda _: asked.append("a passphrase"))
    assert commands.main(["restore", str(tmp_path / "gone"), "--stack", "new", "--yes"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bin/restore: {tmp_path / 'gone'} is no file here")
    assert asked == []


def sealed(stack: str, passphrase: str = "correct horse battery staple") -> bytes:
    header = {"stack": stack, "engine": "sqlite", "k3s_version": "", "made_at": "then", "fixed": {}}
    tokens = {"server_token": "t", "agent_token": "a", "format": backup_file.FORMAT}
    lines = json.dumps({**header, **tokens}) + "\n" + json.dumps({"rows": 0}) + "\n"
    return bytes(pyrage.passphrase.encrypt(gzip.compress(lines.encode()), passphrase))


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (b"precious", "is there, and is not replaced: "),
        (sealed("nyc1"), "is there, and is a backup of stack nyc1, not of fra1: choose another name"),
        (sealed("fra1", "another one"), "the passphrase is another one, or the file is damaged"),
    ],
    ids=["notes", "another stack's", "another passphrase"],
)
def test_a_file_that_is_no_earlier_backup_of_the_stack_is_kept_and_no_server_is_asked(
    there: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack_is(monkeypatch, state())
    asked: list[str] = []
    monkeypatch.setattr(commands, "connect", lambda target, *_: asked.append(target.host))
    file = tmp_path / "b"
    file.write_bytes(there)
    assert commands.main(["backup", str(file), "--stack", "fra1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "choose another name, or move it away" in line
    assert file.read_bytes() == there
    assert asked == []


def test_what_has_come_to_the_file_s_place_while_the_datastore_was_read_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "b"
    stack_is(monkeypatch, state())
    monkeypatch.setattr(commands, "connect", lambda *_: contextlib.nullcontext(object()))
    monkeypatch.setattr(commands.k3s_service, "installed_version", lambda _: "v1.36.4+k3s1")
    monkeypatch.setattr(commands.datastore, "dump", lambda *_: file.write_text("precious"))
    assert commands.main(["backup", str(file), "--stack", "fra1"]) == 1
    assert "is there, and is not replaced" in capsys.readouterr().err
    assert file.read_text() == "precious"


@pytest.mark.parametrize("there", [b"", sealed("fra1")], ids=["empty", "an earlier backup"])
def test_an_earlier_backup_of_the_stack_may_be_replaced(there: bytes, tmp_path: Path) -> None:
    file = tmp_path / "b"
    file.write_bytes(there)
    backup_file.require_replaceable(file, "fra1", "correct horse battery staple")
    backup_file.require_replaceable(tmp_path / "none", "fra1", "any")


def test_a_link_to_an_earlier_backup_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(tmp_path / "real")
    backup_file._write_private(tmp_path / "latest", b"new")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("pressed", "status", "said"),
    [(KeyboardInterrupt, 130, "bin/backup: interrupted."), (EOFError, 1, "bin/backup: no passphrase was given.")],
    ids=["Ctrl-C", "Ctrl-D"],
)
def test_whoever_gives_no_passphrase_gets_one_line(
    pressed: type[BaseException],
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prompt(_: str) -> str:
        raise pressed

    monkeypatch.delenv(passphrase.FILE_VARIABLE)
    monkeypatch.setattr(commands.passphrase.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(commands.passphrase.getpass, "getpass", prompt)
    stack_is(monkeypatch, state())
    assert commands.main(["backup", str(tmp_path / "b"), "--stack", "fra1"]) == status
    assert capsys.readouterr().err.split("\n") == (["", said, ""] if status == 130 else [said, ""])
