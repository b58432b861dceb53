"""The backup file: age's format (age-encryption.org/v1), opened by a passphrase, so that `age --decrypt` reads it too.

Inside is gzip, and in it lines of JSON: what the cluster was, one line for each row, and last how many there were.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import pyrage

from k3s_cluster.backup.kine_rows import Row, bootstrap_key, from_line, to_line

FORMAT = "k3s-digitalocean backup 1"
_AGE = b"age-encryption.org/v1\n"
#: age's library takes the text as a whole: so much of it, compressed, may be in memory.
MOST_BYTES = 1 << 30


class BackupError(Exception):
    """A backup that cannot be made, opened or used: the message says why, and what to do."""


@dataclass(frozen=True)
class Origin:
    """The cluster a backup is of. The tokens are secrets. `made_at` is ISO 8601 in UTC.

    `fixed` are K3s's settings that the rows depend on (k3s_config.UNCHANGEABLE), as texts.
    """

    stack: str
    engine: str
    k3s_version: str
    made_at: str
    server_token: str = field(repr=False)
    agent_token: str = field(repr=False)
    fixed: Mapping[str, str]


@dataclass(frozen=True)
class Backup:
    """An opened backup."""

    path: Path
    origin: Origin
    _lines: bytes = field(repr=False)

    def rows(self) -> Iterator[Row]:
        """Every row, in the order of revisions. BackupError at the end if some are missing."""
        count = 0
        with gzip.open(io.BytesIO(self._lines)) as lines:
            lines.readline()
            for line in lines:
                if line.startswith(b"{"):
                    if json.loads(line)["rows"] == count:
                        return
                    break
                yield from_line(line)
                count += 1
        raise BackupError(f"{self.path} is not complete: it ends after {count} rows; use another backup")


class BackupWriter:
    """Collects rows, in the order of revisions, and writes them as one file."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._buffer = io.BytesIO()
        self._lines = gzip.GzipFile(fileobj=self._buffer, mode="wb", mtime=0)
        self._write(json.dumps({"format": FORMAT, **asdict(origin)}))
        self._bootstrapped = False
        #: Live keys of Kubernetes' own, as `kubectl get` would count them.
        self._objects: set[str] = set()
        self.rows = 0

    def add(self, row: Row) -> None:
        self._write(to_line(row))
        self.rows += 1
        _tally(self._objects, row)
        self._bootstrapped = self._bootstrapped or (
            row.name == bootstrap_key(self._origin.server_token) and not row.deleted
        )
        if self._buffer.tell() > MOST_BYTES:
            raise BackupError(f"the datastore is larger than {MOST_BYTES >> 30} GiB even compressed; use its own dump")

    @property
    def objects(self) -> int:
        """How many objects the cluster has."""
        return len(self._objects)

    def save(self, path: Path, passphrase: str) -> int:
        """Write the file, mode 0600, in one step; its size in bytes.

        BackupError if the rows could not be used: without what the server token seals, no new server could start.
        """
        if not self._bootstrapped:
            raise BackupError(
                "the datastore has no certificate authorities that the server token seals, so no cluster could be made "
                "from it; nothing was written. Is the cluster up? `kubectl get nodes` must answer"
            )
        self._write(json.dumps({"rows": self.rows}))
        self._lines.close()
        sealed = pyrage.passphrase.encrypt(self._buffer.getvalue(), passphrase)
        _write_private(path, sealed)
        return len(sealed)

    def _write(self, line: str) -> None:
        self._lines.write(line.encode() + b"\n")


def require_a_place(path: Path) -> None:
    """BackupError if no file can be written at `path`: better said before the datastore is read than after."""
    if path.is_dir():
        raise BackupError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise BackupError(f"{path} cannot be written: choose a folder that is there")


def open_backup(path: Path, passphrase: str) -> Backup:
    """Open a backup. BackupError if there is none, the passphrase is another one, or it is of another format."""
    try:
        sealed = path.read_bytes()
    except OSError as error:
        raise BackupError(f"{path} cannot be read ({error.strerror})") from None
    if not sealed.startswith(_AGE):
        raise BackupError(f"{path} is no backup: `bin/backup` makes them")
    try:
        lines = pyrage.passphrase.decrypt(sealed, passphrase)
    except pyrage.DecryptError as error:
        raise BackupError(
            f"{path} cannot be opened: the passphrase is another one, or the file is damaged ({error})"
        ) from None
    return _read(path, lines)


def _read(path: Path, lines: bytes) -> Backup:
    try:
        with gzip.open(io.BytesIO(lines)) as text:
            header = json.loads(text.readline())
        if header["format"] != FORMAT:
            raise ValueError
        origin = Origin(**{each.name: header[each.name] for each in fields(Origin)})
    except (OSError, ValueError, KeyError, TypeError):
        raise BackupError(f"{path} holds something else than a backup that this program can read") from None
    return Backup(path, origin, lines)


def live_objects(rows: Iterable[Row]) -> int:
    """How many objects of Kubernetes there are at the last revision of `rows`."""
    live: set[str] = set()
    for row in rows:
        _tally(live, row)
    return len(live)


def _tally(live: set[str], row: Row) -> None:
    if row.name.startswith("/registry/"):
        (live.discard if row.deleted else live.add)(row.name)


def _write_private(path: Path, data: bytes) -> None:
    try:
        descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise BackupError(f"{path} cannot be written ({error.strerror}): choose a folder that is there") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(new).replace(path)
    except BaseException as error:
        Path(new).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise BackupError(
                f"{path} could not be written ({error.strerror}); what was there before still is"
            ) from None
        raise
