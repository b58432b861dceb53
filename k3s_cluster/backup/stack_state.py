"""What a backup or a restore needs to know of a stack, from Pulumi's own export of its state: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from k3s_cluster.backup.backup_file import BackupError
from k3s_cluster.k3s_config import read_config
from k3s_cluster.over_ssh.connection import SshTarget, target_of
from k3s_cluster.stack_export import outputs_of


@dataclass(frozen=True)
class Server:
    """A server of the stack: how to reach it, and its K3s config.yaml, which holds the tokens."""

    name: str
    target: SshTarget
    config: dict[str, Any] = field(repr=False)
    datastore_ca: str


@dataclass(frozen=True)
class Cluster:
    """What a stack was begun as. `restore_file` is the name of the backup it is made from, without its folder.

    `servers` are those whose config.yaml can be used, `broken` the names of the others. `restored_from` is `made_at` of
    the backup whose rows are there, None as long as there are none.
    """

    engine: str
    restore_file: str | None
    servers: tuple[Server, ...]
    broken: tuple[str, ...] = ()
    restored_from: str | None = None


def cluster(export: dict[str, Any]) -> Cluster | None:
    """The cluster in the output of `pulumi stack export --show-secrets`, however far it has come; None if not begun.

    BackupError if the stack has several.
    """
    begun = outputs_of(export, ":dynamic/cluster:Invariants")
    if not begun:
        return None
    if len(begun) > 1:
        raise BackupError(
            f"the stack has {len(begun)} clusters, and a backup or a restore is of a stack with one: their servers and "
            "tokens could be mixed up; give each a stack of its own"
        )
    servers, broken = [], []
    for told in outputs_of(export, ":dynamic/over_ssh:Node"):
        if told["role"] == "server":
            config = _config(told["config"])
            if config is None:
                broken.append(told["name"])
                continue
            servers.append(Server(told["name"], target_of(told, told), config, told.get("datastore_ca") or ""))
    restored = outputs_of(export, ":dynamic/over_ssh:RestoredDatastore")
    return Cluster(
        engine=begun[0]["datastore_engine"],
        restore_file=begun[0].get("restore_file"),
        servers=tuple(servers),
        broken=tuple(broken),
        restored_from=(restored[0].get("made_at") or "unknown") if restored else None,
    )


def _config(text: str | None) -> dict[str, Any] | None:
    """A server's config.yaml; None if a refresh found another one than the stack writes, or none."""
    config = read_config(text) or {}
    return config if all(isinstance(config.get(key), str) for key in ("token", "agent-token")) else None
