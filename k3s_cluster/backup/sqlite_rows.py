"""Runs on a server, with the Python that cloud-init brings: `dump PATH` or `load PATH KEY`.

`dump` writes the rows of a SQLite datastore to standard output while K3s uses it: one read is one moment of it. `load`
makes a datastore from rows on standard input, in one step. Rows are lines of JSON, as kine_rows.py writes them.
"""

import base64
import json
import os
import sqlite3
import sys
from typing import Optional

#: github.com/k3s-io/kine, pkg/drivers/sqlite/sqlite.go; kine itself adds the indexes when it starts.
TABLE = (
    "CREATE TABLE kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, created INTEGER, deleted INTEGER,"
    " create_revision INTEGER, prev_revision INTEGER, lease INTEGER, value BLOB, old_value BLOB)"
)
COLUMNS = "id, name, created, deleted, create_revision, prev_revision, lease, value, old_value"


def dump(path: str) -> None:
    database = sqlite3.connect("file:" + path + "?mode=ro", uri=True, timeout=30)
    for row in database.execute("SELECT " + COLUMNS + " FROM kine ORDER BY id"):  # noqa: S608
        line = [*row[:7], *(None if data is None else base64.b64encode(data).decode() for data in row[7:])]
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")


def load(path: str, sealed: str) -> None:
    """`sealed` is the key that tells a datastore made from the same backup."""
    if os.path.exists(path):
        # Whoever sends the rows is still writing, and would see a broken pipe instead of what is said here.
        _drain()
        database = sqlite3.connect("file:" + path + "?mode=ro", uri=True, timeout=30)
        if database.execute("SELECT 1 FROM kine WHERE name = ?", (sealed,)).fetchone() is None:
            sys.exit("there is already another cluster's state in " + path)
        return
    os.makedirs(os.path.dirname(os.path.dirname(os.path.dirname(path))), 0o755, exist_ok=True)
    os.makedirs(os.path.dirname(os.path.dirname(path)), 0o700, exist_ok=True)
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    os.umask(0o077)
    new = path + ".new"
    if os.path.exists(new):
        os.unlink(new)
    database = sqlite3.connect(new)
    database.execute(TABLE)
    top = 0
    for line in sys.stdin:
        row = json.loads(line)
        if len(row) == 1:
            # The highest revision of all, even if its own row was left out.
            top = row[0]
            continue
        values = [*row[:7], _data(row[7]), _data(row[8])]
        database.execute("INSERT INTO kine (" + COLUMNS + ") VALUES (?,?,?,?,?,?,?,?,?)", values)  # noqa: S608
    database.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'kine'", (top,))
    database.commit()
    database.close()
    os.rename(new, path)


def _drain() -> None:
    for _ in sys.stdin:
        pass


def _data(text: Optional[str]) -> Optional[bytes]:  # noqa: UP045 - runs on any Python 3.8 or later
    return None if text is None else base64.b64decode(text)


if __name__ == "__main__":
    try:
        if sys.argv[1] == "dump":
            dump(sys.argv[2])
        else:
            load(sys.argv[2], sys.argv[3])
    except (OSError, sqlite3.Error) as error:
        if sys.argv[1] == "load":
            _drain()
        sys.exit(sys.argv[2] + ": " + str(error))
