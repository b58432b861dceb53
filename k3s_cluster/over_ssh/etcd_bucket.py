"""Whether K3s can use the bucket for snapshots of etcd: of its own accord it only logs that it cannot."""

from __future__ import annotations

import yaml

from k3s_cluster.over_ssh.connection import Connection, NodeError
from k3s_cluster.over_ssh.progress import Progress

#: K3s tries a store that does not answer again and again, for some seconds at least.
TIMEOUT_SECONDS = 60


def settings(config: str) -> dict[str, object]:
    """What a config.yaml says of the bucket; nothing where there is none."""
    told: dict[str, object] = yaml.safe_load(config) or {}
    return {key: value for key, value in told.items() if key.startswith("etcd-s3")} if told.get("etcd-s3") else {}


def check(server: Connection, name: str, config: str, config_before: str, progress: Progress) -> None:
    """Ask K3s on a server, if it was told of another bucket than before. NodeError if it cannot use it.

    To list snapshots K3s needs the bucket and its keys, takes them from its configuration, and changes nothing
    (docs.k3s.io/cli/etcd-snapshot).
    """
    told = settings(config)
    if not told or told == settings(config_before):
        return
    progress("looking into the bucket for snapshots")
    try:
        server.run("k3s", "etcd-snapshot", "ls", timeout=TIMEOUT_SECONDS)
    except NodeError as error:
        raise NodeError(
            f"{name} runs, but cannot use the bucket in etcdS3: its snapshots stay on its own disk. Correct etcdS3, or "
            f"make the bucket. {error}"
        ) from None
