"""etcd inside the servers: K3s's own snapshot of it, taken on a server and brought here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from k3s_cluster.over_ssh.connection import Connection, NodeError

SCRIPT = Path(__file__).with_name("etcd_snapshot.sh")
#: docs.k3s.io/cli/etcd-snapshot ("Creating Snapshots").
FOLDER = "/var/lib/rancher/k3s/server/db/snapshots"
#: How long nothing may come: etcd reads 2 GiB, its default limit (etcd.io/docs/v3.5/dev-guide/limit), before the first.
TIMEOUT_SECONDS = 300


def dump(server: Connection, config: Mapping[str, Any], add: Callable[[bytes], None]) -> None:
    """Hand a snapshot to `add`, in pieces. Nothing of it is left on the server, whatever happens.

    `config` is the server's config.yaml. NodeError if K3s takes no snapshot, as without a majority.
    """
    folder = str(config.get("etcd-snapshot-dir") or FOLDER)
    name = f"backup-{secrets.token_hex(4)}"
    script = SCRIPT.read_text(encoding="utf-8")
    try:
        server.stream("sh", "-c", script, "etcd_snapshot.sh", folder, name, take=add, timeout=TIMEOUT_SECONDS)
    except NodeError as error:
        raise NodeError(f"no snapshot of etcd could be taken: {error}") from error
