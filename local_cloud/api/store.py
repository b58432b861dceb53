"""All records of the cloud, in one SQLite file: they survive a restart, and several threads may use them.

Everything is read once and kept in memory; `save` and `delete` write through. Whoever reads or changes records
holds the store: `with store.held():`. Leaving it commits, so a request's changes are on disk together or not at all.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
import types
import typing
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from local_cloud.api import records

#: Where numbers start, so that they look like DigitalOcean's and no two kinds share one.
FIRST_NUMBER = {"droplet": 510_000_001, "action": 2_410_000_001, "ssh_key": 48_000_001, "domain_record": 1_770_000_001}

#: The account is no new one. Everywhere else, the first VPC becomes the region's default one.
USED_REGIONS = ("fra1", "nyc3")


class Keyed(Protocol):
    id: Any


Record = TypeVar("Record", bound=Keyed)
Key = TypeVar("Key", int, str)


def from_plain(kind: Any, value: Any) -> Any:
    """The value of type `kind` that `dataclasses.asdict` and JSON made `value` of."""
    if is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        known = {field.name for field in fields(kind)}
        return kind(**{name: from_plain(hints[name], item) for name, item in value.items() if name in known})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return [from_plain(arguments[0], item) for item in value]
    if origin in (types.UnionType, typing.Union) and value is not None:
        return from_plain(next(each for each in arguments if each is not type(None)), value)
    return value


class Table(Generic[Key, Record]):
    """The records of one kind, in the order they were made."""

    def __init__(self, connection: sqlite3.Connection, name: str, kind: type[Record], key: type[Key]) -> None:
        self._connection, self._name = connection, name
        rows = connection.execute("SELECT body FROM records WHERE kind = ? ORDER BY seq", (name,))
        loaded = [from_plain(kind, json.loads(body)) for (body,) in rows]
        self._records: dict[Key, Record] = {key(record.id): record for record in loaded}

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: Key) -> bool:
        return key in self._records

    def get(self, key: Key) -> Record | None:
        return self._records.get(key)

    def save(self, record: Record) -> None:
        self._records[record.id] = record
        body = json.dumps(asdict(typing.cast(Any, record)))
        self._connection.execute(
            "INSERT INTO records (kind, id, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (self._name, str(record.id), body),
        )

    def delete(self, key: Key) -> None:
        self._records.pop(key, None)
        self._connection.execute("DELETE FROM records WHERE kind = ? AND id = ?", (self._name, str(key)))


class Store:
    """The cloud's memory at `path`. One process at a time opens it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A crash of this process loses nothing; only a crash of the whole machine may lose the last moments.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
            " id TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (kind, id))"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        self.ssh_keys = Table(self._db, "ssh_key", records.SshKey, int)
        self.tags = Table(self._db, "tag", records.Tag, str)
        self.vpcs = Table(self._db, "vpc", records.Vpc, str)
        self.droplets = Table(self._db, "droplet", records.Droplet, int)
        self.actions = Table(self._db, "action", records.Action, int)
        self.firewalls = Table(self._db, "firewall", records.Firewall, str)
        self.load_balancers = Table(self._db, "load_balancer", records.LoadBalancer, str)
        self.databases = Table(self._db, "database", records.Database, str)
        self.projects = Table(self._db, "project", records.Project, str)
        self.reserved_ips = Table(self._db, "reserved_ip", records.ReservedIp, str)
        self.domains = Table(self._db, "domain", records.Domain, str)
        self.domain_records = Table(self._db, "domain_record", records.DomainRecord, int)
        self.departures = Table(self._db, "departure", records.Departure, str)
        self.released = Table(self._db, "released_address", records.ReleasedAddress, str)

    @contextmanager
    def held(self) -> Iterator[Store]:
        """Nobody else reads or changes records meanwhile; leaving commits what was changed."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN")
            self._depth += 1
            try:
                yield self
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def next_number(self, kind: str) -> int:
        """A number that no resource of this kind (a key of FIRST_NUMBER) ever had."""
        with self.held():
            number = int(self._setting(f"next_{kind}") or FIRST_NUMBER[kind])
            self._set(f"next_{kind}", str(number + 1))
            return number

    def add_token(self, token: str, scopes: tuple[str, ...] = ("read", "write")) -> None:
        """Let API calls with this token (`dop_v1_...`) in, to do what `scopes` say. Only its digest is kept."""
        with self.held():
            self._set(f"token_{_digest(token)}", " ".join(scopes))

    def used_regions(self) -> tuple[str, ...]:
        """Regions in which the account had something before this cloud began: each has a default VPC."""
        told = self._setting("used_regions")
        return USED_REGIONS if told is None else tuple(told.split())

    def leave_region_unused(self, region: str) -> None:
        with self.held():
            self._set("used_regions", " ".join(one for one in self.used_regions() if one != region))
            for vpc in self.vpcs:
                if vpc.region == region and vpc.is_generated:
                    self.vpcs.delete(vpc.id)

    def token_scopes(self, token: str) -> tuple[str, ...]:
        """What the token may do; nothing if it is not known."""
        with self._lock:
            return tuple((self._setting(f"token_{_digest(token)}") or "").split())

    def set_control_key(self, key: str) -> None:
        """The key that the control API (`/_local/`) asks for. Only its digest is kept."""
        with self.held():
            self._set("control_key", _digest(key))

    def knows_control_key(self, key: str) -> bool:
        with self._lock:
            return self._setting("control_key") == _digest(key)

    def droplet_by_public_ip(self, address: str) -> records.Droplet | None:
        """Whose metadata a request from `address` asks for."""
        with self._lock:
            return next((droplet for droplet in self.droplets if droplet.public_ip == address), None)

    def _setting(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _set(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def now() -> str:
    """The time as the API writes it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def new_uuid() -> str:
    return str(uuid.uuid4())
