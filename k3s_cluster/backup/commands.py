"""`bin/backup` and `bin/restore`: what a person types, and Pulumi's own command line behind it."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from k3s_cluster import immutable_settings
from k3s_cluster.backup import datastore, etcd, passphrase, stack_state
from k3s_cluster.backup.backup_file import (
    ETCD,
    BackupError,
    BackupWriter,
    Origin,
    SnapshotWriter,
    open_backup,
    require_a_place,
    require_replaceable,
)
from k3s_cluster.over_ssh import k3s_service
from k3s_cluster.over_ssh.connection import Connection, NodeError, connect
from k3s_cluster.pulumi_cli import PulumiError, pulumi

PROJECT = Path(__file__).resolve().parents[2]
#: A server that answers at all answers within seconds; another one has the same datastore.
SSH_SECONDS = 20


def main(arguments: Sequence[str]) -> int:
    """Run `backup ...` or `restore ...`; the exit status."""
    command, *rest = arguments
    try:
        return {"backup": backup, "restore": restore}[command](rest)
    except (BackupError, NodeError) as error:
        print(f"bin/{command}: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nbin/{command}: interrupted.", file=sys.stderr)
        return 130


def backup(arguments: Sequence[str]) -> int:
    """Write a stack's datastore and tokens into an encrypted file. The cluster goes on meanwhile."""
    parser = argparse.ArgumentParser(prog="bin/backup", description=backup.__doc__, epilog=_PASSPHRASE)
    parser.add_argument(
        "file", type=Path, help="where to write it; of what is there, only an earlier backup of this stack is replaced"
    )
    parser.add_argument("--stack", help="the stack; the selected one if left out")
    given = parser.parse_args(arguments)
    require_a_place(given.file)
    stack = _stack_name(given.stack)
    cluster = stack_state.cluster(_export(stack))
    if cluster is not None and cluster.broken and not cluster.servers:
        raise BackupError(f"{cluster.broken[0]}'s config.yaml is not what the stack wrote; `pulumi up` mends it")
    if cluster is None or not cluster.servers:
        raise BackupError(f"stack {stack} has no cluster: `pulumi up` makes one")
    endpoint = cluster.servers[0].config.get("datastore-endpoint")
    engine = datastore.engine_of(cluster.engine, endpoint)
    secret = passphrase.to_make(os.environ)
    require_replaceable(given.file, stack, secret)
    with _any_server(cluster.servers, serving=engine == ETCD) as (server, chosen):
        config = chosen.config
        origin = Origin(
            stack=stack,
            engine=engine,
            k3s_version=k3s_service.installed_version(server) or "",
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            server_token=config["token"],
            agent_token=config["agent-token"],
            fixed=immutable_settings.of(config),
        )
        writer: BackupWriter | SnapshotWriter
        if engine == ETCD:
            writer = SnapshotWriter(origin)
            etcd.dump(server, config, writer.add)
        else:
            writer = BackupWriter(origin)
            datastore.dump(server, endpoint, chosen.datastore_ca, writer.add)
    # Minutes may have passed: what has come there meanwhile is asked for, too.
    require_replaceable(given.file, stack, secret)
    size = writer.save(given.file, secret)
    print(f"{given.file}: {writer.contents()} of stack {stack}, {size} bytes, encrypted. Keep the passphrase.")
    return 0


def restore(arguments: Sequence[str]) -> int:
    """Make the cluster of a stack that has none yet from a backup: its objects and tokens, on new machines."""
    parser = argparse.ArgumentParser(prog="bin/restore", description=restore.__doc__, epilog=_PASSPHRASE)
    parser.add_argument("file", type=Path, help="what bin/backup wrote")
    parser.add_argument("--stack", help="the stack, made with `pulumi stack init`; the selected one if left out")
    parser.add_argument("--yes", action="store_true", help="do not ask whether the plan is right")
    given = parser.parse_args(arguments)
    stack = _stack_name(given.stack)
    if not given.file.is_file():
        raise BackupError(f"{given.file} is no file here; give the path of one that `bin/backup` made")
    secret = passphrase.to_open(os.environ)
    opened = open_backup(given.file, secret)
    origin = opened.origin
    print(f"{given.file}: {opened.contents()} of stack {origin.stack}, {origin.made_at}", flush=True)
    begun = stack_state.cluster(_export(stack))
    setting = _as_setting(given.file)
    # A link's name is not the setting's.
    if begun is not None and begun.restore_file != Path(setting).name:
        raise BackupError(
            f"stack {stack} has a cluster already, and a backup goes into an empty one: `pulumi stack init` another "
            f"stack and name it with --stack, or `pulumi destroy --stack {stack}` first"
        )
    if begun is not None and begun.restored_from is not None:
        if begun.restored_from != origin.made_at:
            raise BackupError(
                f"stack {stack} was made from a backup of {begun.restored_from}, and this one is of {origin.made_at}: "
                f"it goes into an empty stack. To roll back, `pulumi destroy --stack {stack}` and restore again, or "
                "`pulumi stack init` another stack and name it with --stack"
            )
        there = "Its snapshot is" if opened.is_snapshot else "Its rows are"
        print(f"{there} in stack {stack} already, and left as it is: this run goes on with the rest.", flush=True)
    _pulumi("config", "set", "restoreFile", setting, "--stack", stack)
    with _in_a_file(secret) as file:
        status = _pulumi_up(stack, file, *(["--yes"] if given.yes else []))
    if status != 0:
        print(
            f"bin/restore: not finished; the same again goes on: bin/restore {given.file} --stack {stack}",
            file=sys.stderr,
        )
    return status


@contextlib.contextmanager
def _any_server(
    servers: Sequence[stack_state.Server], *, serving: bool = False
) -> Iterator[tuple[Connection, stack_state.Server]]:
    """A connection to the first server that answers, with its API if it must be `serving`, and that server.

    NodeError if none does.
    """
    problems = []
    for server in servers:
        try:
            connection = connect(server.target, lambda _: None, SSH_SECONDS)
        except NodeError as error:
            problems.append(str(error))
            continue
        with connection:
            if serving and not k3s_service.answers(connection):
                problems.append(f"the API on {server.target.host} does not answer")
                continue
            yield connection, server
        return
    raise NodeError("; ".join(problems))


@contextlib.contextmanager
def _in_a_file(secret: str) -> Iterator[Path]:
    """A file with the passphrase: Pulumi's plugins cannot ask for it, and others could read an argument."""
    if named := os.environ.get(passphrase.FILE_VARIABLE):
        yield Path(named).expanduser().resolve()
        return
    with tempfile.TemporaryDirectory(prefix="k3s-restore-") as folder:
        file = Path(folder) / "passphrase"
        file.touch(mode=0o600)
        file.write_text(secret, encoding="utf-8")
        yield file


def _stack_name(named: str | None) -> str:
    return named or _pulumi("stack", "--show-name").strip()


def _export(stack: str) -> dict[str, Any]:
    exported: dict[str, Any] = json.loads(_pulumi("stack", "export", "--show-secrets", "--stack", stack))
    return exported


def _pulumi(*arguments: str) -> str:
    try:
        return pulumi(*arguments, folder=PROJECT)
    except PulumiError as error:
        raise BackupError(str(error)) from None


def _pulumi_up(stack: str, passphrase_file: Path, *arguments: str) -> int:
    environment = {**os.environ, passphrase.FILE_VARIABLE: str(passphrase_file)}
    command = ["pulumi", "up", "--stack", stack, *arguments]
    # A Ctrl-C is Pulumi's, which ends in good order; unlike one that is ignored, this handler is not inherited.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode  # noqa: S603
    finally:
        signal.signal(signal.SIGINT, before)


def _as_setting(file: Path) -> str:
    """The backup's path as the program, which runs in the project's folder, finds it."""
    absolute = file.expanduser().resolve()
    return str(absolute.relative_to(PROJECT)) if absolute.is_relative_to(PROJECT) else str(absolute)


_PASSPHRASE = (
    f"The passphrase is asked for, or read from the file that {passphrase.FILE_VARIABLE} names. The backup is a file "
    "of age (age-encryption.org): `age --decrypt FILE | gunzip` shows what is in it."
)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
