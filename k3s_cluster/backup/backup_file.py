"""The backup file: age's format (age-encryption.org/v1), opened by a passphrase, so that `age --decrypt` reads it too.

Inside is gzip, and in it first a line of JSON: what the cluster was. Then, from SQL, a line of JSON for each row, and
last how many there were; from etcd, the bytes of K3s's own snapshot (`age --decrypt FILE | gunzip | tail --lines=+2`).
"""

from __future__ import annotations

import gzip
import hashlib
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
#: A program that knows only the first format refuses this one, instead of reading a snapshot as rows.
SNAPSHOT_FORMAT = "k3s-digitalocean backup 2: etcd snapshot"
ETCD = "etcd"
#: etcd appends a SHA-256 digest to a snapshot (etcd.io/docs/v3.5/op-guide/recovery, "Snapshotting the keyspace").
_DIGEST_BYTES = hashlib.sha256().digest_size
_PIECE_BYTES = 1 << 18
_AGE = b"age-encryption.org/v1\n"
#: age measures how fast this machine is, in 2 ms or so, and refuses what would then take far too long. One that is busy
#: just then seems slower than it is (github.com/str4d/rage, age/src/scrypt.rs): it is asked again.
_SEEMS_SLOW = "Excessive work"
ATTEMPTS = 5
#: age's library takes the text as a whole: so much of it, compressed, may be in memory.
MOST_BYTES = 1 << 30


class BackupError(Exception):
    """A backup that cannot be made, opened or used: the message says why, and what to do."""


@dataclass(frozen=True)
class Origin:
    """The cluster a backup is of. The tokens are secrets. `made_at` is ISO 8601 in UTC.

    `fixed` are K3s's settings that the rows depend on (immutable_settings.REASONS), as texts.
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

    @property
    def is_snapshot(self) -> bool:
        """True if it holds a snapshot of etcd instead of rows."""
        return self.origin.engine == ETCD

    def contents(self) -> str:
        """What it holds, in words. BackupError if it is not complete."""
        return "an etcd snapshot" if self.is_snapshot else f"{live_objects(self.rows())} objects"

    def snapshot(self) -> Iterator[bytes]:
        """The snapshot, in pieces."""
        with gzip.open(io.BytesIO(self._lines)) as content:
            content.readline()
            while piece := content.read(_PIECE_BYTES):
                yield piece

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


class _Writer:
    """Collects what a backup holds, after a line that says of what it is, and writes it as one file."""

    format: str

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._buffer = io.BytesIO()
        self._content = gzip.GzipFile(fileobj=self._buffer, mode="wb", mtime=0)
        self._write(json.dumps({"format": self.format, **asdict(origin)}).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        self._content.write(data)
        if self._buffer.tell() > MOST_BYTES:
            raise BackupError(f"the datastore is larger than {MOST_BYTES >> 30} GiB even compressed; use its own dump")

    def _save(self, path: Path, passphrase: str) -> int:
        self._content.close()
        sealed = pyrage.passphrase.encrypt(self._buffer.getvalue(), passphrase)
        _write_private(path, sealed)
        return len(sealed)


class BackupWriter(_Writer):
    """Collects rows, in the order of revisions, and writes them as one file."""

    format = FORMAT

    def __init__(self, origin: Origin) -> None:
        super().__init__(origin)
        self._bootstrapped = False
        #: Live keys of Kubernetes' own, as `kubectl get` would count them.
        self._objects: set[str] = set()
        self.rows = 0

    def add(self, row: Row) -> None:
        self._write(to_line(row).encode() + b"\n")
        self.rows += 1
        _tally(self._objects, row)
        self._bootstrapped = self._bootstrapped or (
            row.name == bootstrap_key(self._origin.server_token) and not row.deleted
        )

    def contents(self) -> str:
        """What it holds, in words."""
        return f"{len(self._objects)} objects"

    def save(self, path: Path, passphrase: str) -> int:
        """Write the file, mode 0600, in one step; its size in bytes.

        BackupError if the rows could not be used: without what the server token seals, no new server could start.
        """
        if not self._bootstrapped:
            raise BackupError(
                "the datastore has no certificate authorities that the server token seals, so no cluster could be made "
                "from it; nothing was written. Is the cluster up? `kubectl get nodes` must answer"
            )
        self._write(json.dumps({"rows": self.rows}).encode() + b"\n")
        return self._save(path, passphrase)


class SnapshotWriter(_Writer):
    """Collects a snapshot of etcd, piece by piece, and writes it as one file."""

    format = SNAPSHOT_FORMAT

    def __init__(self, origin: Origin) -> None:
        super().__init__(origin)
        self._digest = hashlib.sha256()
        #: What may be the digest at the snapshot's end.
        self._end = b""

    def add(self, piece: bytes) -> None:
        self._write(piece)
        seen = self._end + piece
        self._digest.update(seen[:-_DIGEST_BYTES])
        self._end = seen[-_DIGEST_BYTES:]

    def contents(self) -> str:
        """What it holds, in words: how many objects there are in it, only etcd could tell."""
        return "an etcd snapshot"

    def save(self, path: Path, passphrase: str) -> int:
        """Write the file, mode 0600, in one step; its size in bytes. BackupError if the snapshot is not whole."""
        if self._digest.digest() != self._end:
            raise BackupError("etcd's snapshot did not arrive as it was taken; nothing was written. Try again")
        return self._save(path, passphrase)


def require_a_place(path: Path) -> None:
    """BackupError if no file can be written at `path`: better said before the datastore is read than after."""
    if path.is_dir():
        raise BackupError(f"{path} is a folder: name a file in it")
    if path.exists() and not path.is_file():
        raise BackupError(f"{path} is there, and is not a file: choose another name")
    if not path.parent.is_dir():
        raise BackupError(f"{path} cannot be written: choose a folder that is there")


def require_replaceable(path: Path, stack: str, passphrase: str) -> None:
    """BackupError if something else is at `path` than a backup of `stack` that `passphrase` opens, or an empty file.

    The new backup is in its place then; anything else would be lost.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    way_out = "choose another name, or move it away"
    try:
        origin = open_backup(path, passphrase).origin
    except BackupError as error:
        raise BackupError(f"{path} is there, and is not replaced: {error}; {way_out}") from None
    if origin.stack != stack:
        raise BackupError(f"{path} is there, and is a backup of stack {origin.stack}, not of {stack}: {way_out}")


def open_backup(path: Path, passphrase: str) -> Backup:
    """Open a backup. BackupError if there is none, the passphrase is another one, or it is of another format."""
    try:
        sealed = path.read_bytes()
    except OSError as error:
        raise BackupError(f"{path} cannot be read ({error.strerror})") from None
    if not sealed.startswith(_AGE):
        raise BackupError(f"{path} is no backup: `bin/backup` makes them")
    try:
        lines = _unsealed(sealed, passphrase)
    except pyrage.DecryptError as error:
        raise BackupError(
            f"{path} cannot be opened: the passphrase is another one, or the file is damaged ({error})"
        ) from None
    return _read(path, lines)


def _unsealed(sealed: bytes, passphrase: str, attempts: int = ATTEMPTS) -> bytes:
    try:
        opened: bytes = pyrage.passphrase.decrypt(sealed, passphrase)
    except pyrage.DecryptError as error:
        if attempts == 1 or not str(error).startswith(_SEEMS_SLOW):
            raise
        return _unsealed(sealed, passphrase, attempts - 1)
    return opened


def _read(path: Path, lines: bytes) -> Backup:
    try:
        with gzip.open(io.BytesIO(lines)) as text:
            header = json.loads(text.readline())
        origin = Origin(**{each.name: header[each.name] for each in fields(Origin)})
        if header["format"] != (SNAPSHOT_FORMAT if origin.engine == ETCD else FORMAT):
            raise ValueError
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
        descriptor, new = tempfile.mkstemp(dir=path.resolve().parent, prefix=f".{path.name}.")
    except OSError as error:
        raise BackupError(f"{path} cannot be written ({error.strerror}): choose a folder that is there") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A link stays a link: what it points to is replaced.
        Path(new).replace(path.resolve())
    except BaseException as error:
        Path(new).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise BackupError(
                f"{path} could not be written ({error.strerror}); what was there before still is"
            ) from None
        raise
