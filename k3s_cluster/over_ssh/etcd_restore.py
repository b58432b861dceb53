"""A snapshot of etcd on its way into a new cluster: brought to the first server, taken up there, and then forgotten.

How far it has come is written on the server, in the snapshot's own name, so that the next run goes on from there. The
steps are those of docs.k3s.io/cli/etcd-snapshot ("Restoring To New Hosts").
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from k3s_cluster.over_ssh import embedded_etcd
from k3s_cluster.over_ssh.connection import Connection, NodeError
from k3s_cluster.over_ssh.k3s_service import kubectl

FOLDER = "/var/lib/rancher/restore"
WAITING_PATH = f"{FOLDER}/etcd-snapshot"
TAKEN_UP_PATH = f"{FOLDER}/etcd-snapshot-taken-up"
RESET_SCRIPT = Path(__file__).with_name("on_servers") / "reset-etcd.sh"
#: etcd holds 2 GiB at most by default (etcd.io/docs/v3.5/dev-guide/limit): over a slow line that takes a while.
TRANSFER_TIMEOUT_SECONDS = 900
RESET_TIMEOUT_SECONDS = 600
#: K3s takes each node's member out of etcd before the node goes.
NODES_TIMEOUT_SECONDS = 180


def bring(server: Connection, pieces: Callable[[], Iterator[bytes]]) -> None:
    """Put a snapshot on a server that K3s has never run on. It may be repeated. NodeError if K3s's data is there."""
    if embedded_etcd.has_data(server) and not is_waiting(server):
        raise NodeError(f"there is already another cluster's state on {server.target.host}")
    server.put_file(WAITING_PATH, pieces(), _sha256(pieces()), TRANSFER_TIMEOUT_SECONDS)


def is_waiting(server: Connection) -> bool:
    """True if a snapshot waits on the server; what data of etcd there is then, is of a start that was cut off."""
    return server.attempt("test", "-e", WAITING_PATH)[0] == 0


def take_up(server: Connection) -> None:
    """Make the snapshot the server's data of etcd, before K3s starts. NodeError with K3s's own words if it fails."""
    script = RESET_SCRIPT.read_text(encoding="utf-8")
    status, output, errors = server.attempt(
        *("sh", "-c", script, "reset-etcd.sh", WAITING_PATH), timeout=RESET_TIMEOUT_SECONDS
    )
    if status != 0:
        raise NodeError(f"the snapshot was not restored on {server.target.host}:\n{(errors or output).strip()}")
    server.run("mv", WAITING_PATH, TAKEN_UP_PATH)


def finish(server: Connection, name: str) -> None:
    """Take the old cluster's nodes out, and the snapshot away; nothing happens where none was taken up.

    `name` is the server's, which is the new cluster's only node so far. K3s forgets a node's password with it.
    """
    if server.attempt("test", "-e", TAKEN_UP_PATH)[0] != 0:
        return
    others = f"--field-selector=metadata.name!={name}"
    kubectl(server, "delete", "nodes", others, "--ignore-not-found", timeout=NODES_TIMEOUT_SECONDS)
    server.run("rm", "-rf", FOLDER)


def _sha256(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
