"""The datastore of a cluster that is made from a backup: filled before the first server starts on it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, Resource

from k3s_cluster import immutable_settings, k3s_version
from k3s_cluster.backup import datastore, passphrase
from k3s_cluster.backup.backup_file import ETCD, Backup, BackupError, Origin, open_backup
from k3s_cluster.dynamic_provider import DynamicProvider
from k3s_cluster.over_ssh import etcd_restore
from k3s_cluster.over_ssh.connection import NodeError, connect, target_of
from k3s_cluster.over_ssh.first_boot import wait_for_first_boot
from k3s_cluster.over_ssh.progress import own_urn, progress_of, tell
from k3s_cluster.pulumi_cli import RECOVERING


@dataclass(frozen=True)
class RestoredDatastoreArgs:
    """The backup, what the new cluster has in common with the old one, the first server, and its datastore.

    `engine` is datastoreEngine. `endpoint` is K3s's, None for SQLite and etcd. `fixed` is as a backup has it.
    """

    file: str
    engine: str
    k3s_version: str
    fixed: dict[str, str]
    host: pulumi.Input[str]
    host_key: pulumi.Input[str]
    private_key: pulumi.Input[str]
    endpoint: pulumi.Input[str | None]
    ca: pulumi.Input[str] | None


class RestoredDatastoreProvider(DynamicProvider):
    """Loads once. From then on the cluster goes its own way, and the backup is not needed."""

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        if olds or os.environ.get(RECOVERING):
            return CheckResult(news, [])
        try:
            origin = _open(news).origin
            problems = [*mismatch(origin, news["engine"]), *unfit(origin, news["k3s_version"], news["fixed"])]
        except BackupError as error:
            problems = [str(error)]
        return CheckResult(news, [CheckFailure("restoreFile", f"restoreFile: {problem}.") for problem in problems])

    def create(self, props: dict[str, Any]) -> CreateResult:
        progress = progress_of(props["urn"])
        backup = _open(props)
        with connect(target_of(props, props), progress) as server:
            wait_for_first_boot(server, "server", props["k3s_version"], progress)
            progress("loading the backup")
            try:
                if backup.is_snapshot:
                    etcd_restore.bring(server, backup.snapshot)
                else:
                    datastore.load(server, props.get("endpoint"), props.get("ca") or "", backup)
            except (BackupError, NodeError) as error:
                raise NodeError(f"{props['file']} could not be restored: {error}") from error
        origin = backup.origin
        tell(props["urn"], f"{backup.contents()} of {origin.stack}, as of {origin.made_at}")
        made_of = {name: getattr(origin, name) for name in ("server_token", "agent_token", "made_at")}
        return CreateResult(Path(props["file"]).name, {**props, **made_of})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=False)


def mismatch(origin: Origin, engine: str) -> list[str]:
    """Why a backup of `origin` cannot go into a datastore of datastoreEngine `engine`: etcd's is no table."""
    if (origin.engine == ETCD) == (engine == ETCD):
        return []
    if engine == ETCD:
        return [
            f"the backup is of a cluster on `{origin.engine}`, and its rows do not go into `etcd`: set "
            "datastoreEngine to `pg` or `mysql` (or to `sqlite` on a single node)"
        ]
    return [
        f"the backup is a snapshot of `etcd`, which does not go into `{engine}`: "
        "`pulumi config set datastoreEngine etcd`"
    ]


def unfit(origin: Origin, version: str, fixed: dict[str, str]) -> list[str]:
    """Why a cluster with K3s `version` and the settings `fixed` cannot be made from a backup of `origin`."""
    problems = []
    if refusal := k3s_version.refusal(origin.k3s_version, version):
        problems.append(f"the backup is of a cluster with K3s {origin.k3s_version}, and k3sVersion {refusal}")
    for key, was, _ in immutable_settings.changes(origin.fixed, fixed):
        problems.append(
            f"the backup is of a cluster with {was} for k3sServerConfig.{key}, and it must stay so: "
            f"{immutable_settings.REASONS[key]}"
        )
    return problems


def _open(props: dict[str, Any]) -> Backup:
    path = Path(props["file"]).expanduser()
    if not path.is_file():
        # Before anybody is asked for a passphrase.
        raise BackupError(
            f"`{props['file']}` is no file here; give the path of one that `bin/backup` made, or "
            "`pulumi config rm restoreFile` if nothing is to be restored"
        )
    return open_backup(path, passphrase.to_restore(os.environ))


class RestoredDatastore(Resource, module="over_ssh", name="RestoredDatastore"):
    """A datastore that holds a backup. `server_token` and `agent_token` are the old cluster's, and secret.

    `made_at` is the backup's, by which bin/restore knows it from another one.
    """

    server_token: pulumi.Output[str]
    agent_token: pulumi.Output[str]
    made_at: pulumi.Output[str]

    def __init__(self, name: str, args: RestoredDatastoreArgs, opts: pulumi.ResourceOptions) -> None:
        secrets = pulumi.ResourceOptions(
            additional_secret_outputs=["private_key", "endpoint", "server_token", "agent_token"]
        )
        props = {
            "urn": own_urn(name, "RestoredDatastore", opts.parent),
            **{field: getattr(args, field) for field in RestoredDatastoreArgs.__dataclass_fields__},
            "server_token": None,
            "agent_token": None,
            "made_at": None,
        }
        super().__init__(RestoredDatastoreProvider(), name, props, pulumi.ResourceOptions.merge(opts, secrets))
