"""What a backup or a restore needs to know of a stack, from Pulumi's own export of its state: pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from k3s_cluster.over_ssh.connection import SshTarget

_NODE = "pulumi-python:dynamic/over_ssh:Node"
_RESTORED = "pulumi-python:dynamic/over_ssh:RestoredDatastore"
#: pulumi.com/docs/iac/concepts/secrets: how a state marks a secret.
_SECRET_MARK = "4dabf18193072939515e22adb298388d"  # noqa: S105 - a mark


@dataclass(frozen=True)
class Server:
    """A server of the stack: how to reach it, and its K3s config.yaml, which holds the tokens."""

    name: str
    target: SshTarget
    config: dict[str, Any] = field(repr=False)
    datastore_ca: str


def servers(exported: dict[str, Any]) -> list[Server]:
    """The servers in the output of `pulumi stack export --show-secrets`."""
    found = []
    for outputs in _outputs(exported, _NODE):
        if outputs["role"] == "server":
            target = SshTarget(host=outputs["host"], host_key=outputs["host_key"], private_key=outputs["private_key"])
            config = yaml.safe_load(outputs["config"])
            found.append(Server(outputs["name"], target, config, outputs.get("datastore_ca") or ""))
    return found


def has_cluster(exported: dict[str, Any]) -> bool:
    """True if some node of the stack was ever told to be one."""
    return bool(_outputs(exported, _NODE))


def restored_from(exported: dict[str, Any]) -> str | None:
    """The name of the backup that the stack's datastore was made from, without its folder; None if it was not."""
    return next((Path(outputs["file"]).name for outputs in _outputs(exported, _RESTORED)), None)


def _outputs(exported: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    resources = (exported.get("deployment") or {}).get("resources") or []
    return [
        {key: _plain(value) for key, value in resource["outputs"].items()}
        for resource in resources
        if resource["type"] == kind and "outputs" in resource and not resource.get("delete")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict) and _SECRET_MARK in value:
        return json.loads(value["plaintext"])
    return value
