"""kine's rows in SQLite, on a single node's disk: read and written there, by a script that its own Python runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from k3s_cluster.backup.kine_rows import Row, from_line, to_line
from k3s_cluster.over_ssh.connection import Connection

#: docs.k3s.io/datastore/backup-restore.
PATH = "/var/lib/rancher/k3s/server/db/state.db"
SCRIPT = Path(__file__).with_name("sqlite_rows.py")
#: Some 100 MB over a slow line.
TIMEOUT_SECONDS = 900


def dump(server: Connection, add: Callable[[Row], None]) -> None:
    """Hand every row to `add`, in the order of revisions. K3s may go on writing meanwhile."""
    for line in server.run(*_script("dump"), timeout=TIMEOUT_SECONDS).splitlines():
        add(from_line(line))


def load(server: Connection, rows: Iterable[Row], top: int, bootstrap_key: str) -> None:
    """Make the datastore of `rows`, before K3s first starts. `top` is the revision after which K3s goes on.

    Nothing happens where `bootstrap_key` is already there: it was done before. NodeError if another cluster is there.
    """
    lines = "".join(to_line(row) + "\n" for row in rows) + json.dumps([top]) + "\n"
    server.run(*_script("load"), bootstrap_key, stdin=lines, timeout=TIMEOUT_SECONDS)


def _script(verb: str) -> tuple[str, ...]:
    return ("python3", "-c", SCRIPT.read_text(encoding="utf-8"), verb, PATH)
