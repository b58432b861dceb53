"""What a backup or a restore needs to know of a stack, from Pulumi's own export of its state: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from k3s_cluster.over_ssh.connection import SshTarget
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
    """What a stack was begun as. `restore_file` is the name of the backup it is made from, without its folder."""

    engine: str
    restore_file: str | None
    servers: tuple[Server, ...]


def cluster(export: dict[str, Any]) -> Cluster | None:
    """The cluster in the output of `pulumi stack export --show-secrets`, however far it has come; None if not begun."""
    begun = outputs_of(export, ":dynamic/cluster:Invariants")
    if not begun:
        return None
    servers = []
    for told in outputs_of(export, ":dynamic/over_ssh:Node"):
        if told["role"] == "server":
            target = SshTarget(host=told["host"], host_key=told["host_key"], private_key=told["private_key"])
            config = yaml.safe_load(told["config"])
            servers.append(Server(told["name"], target, config, told.get("datastore_ca") or ""))
    return Cluster(begun[0]["datastore_engine"], begun[0].get("restore_file"), tuple(servers))
