"""kine's rows in SQLite, on a single node's disk: read and written there, by a script that its own Python runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from k3s_cluster.backup.kine_rows import Row, from_line, to_line
from k3s_cluster.over_ssh.connection import Connection, NodeError

#: docs.k3s.io/datastore/backup-restore.
PATH = "/var/lib/rancher/k3s/server/db/state.db"
SCRIPT = Path(__file__).with_name("sqlite_rows.py")
#: Some 100 MB over a slow line.
TIMEOUT_SECONDS = 900


def dump(server: Connection, add: Callable[[Row], None]) -> None:
    """Hand every row to `add`, in the order of revisions. K3s may go on writing meanwhile. NodeError if it fails."""
    for line in _run(server, "dump").splitlines():
        add(from_line(line))


def load(server: Connection, rows: Iterable[Row], top: int, bootstrap_key: str) -> None:
    """Make the datastore of `rows`, before K3s first starts. `top` is the revision after which K3s goes on.

    Nothing happens where `bootstrap_key` is already there: it was done before. NodeError if another cluster is there.
    """
    lines = "".join(to_line(row) + "\n" for row in rows) + json.dumps([top]) + "\n"
    _run(server, "load", bootstrap_key, stdin=lines)


def _run(server: Connection, verb: str, *rest: str, stdin: str = "") -> str:
    """Output of the script. NodeError with the last line that it said: its source is no part of the message."""
    script = SCRIPT.read_text(encoding="utf-8")
    try:
        status, output, errors = server.attempt(
            *("python3", "-c", script, verb, PATH, *rest), stdin=stdin, timeout=TIMEOUT_SECONDS
        )
    except NodeError as error:
        if isinstance(error.__context__, TimeoutError):
            raise NodeError(f"the {verb} of SQLite on {server.target.host} took over {TIMEOUT_SECONDS} s") from None
        raise
    if status != 0:
        said = errors.strip().splitlines()[-1:] or [f"it ended with {status}"]
        raise NodeError(f"the {verb} of SQLite on {server.target.host} failed: {said[0]}")
    return output
