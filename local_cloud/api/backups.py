"""When databases are backed up, and how long backups stay. Pure.

docs.digitalocean.com/products/databases/postgresql/how-to/restore-from-backups: "run automatically once per day and are
retained for seven days".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from local_cloud.api.records import Database, DatabaseBackup

EVERY = timedelta(days=1)
RETAINED = timedelta(days=7)
#: How often the cloud looks whether a backup is due.
LOOK_SECONDS = 600


def is_due(database: Database, now: str) -> bool:
    """Whether the last backup, or the cluster's creation, is a day ago."""
    last = database.backups[-1].created_at if database.backups else database.created_at
    return moment(now) - moment(last) >= EVERY


def kept(backups: Iterable[DatabaseBackup], now: str) -> tuple[list[DatabaseBackup], list[DatabaseBackup]]:
    """Those that stay, and those that go."""
    stay: list[DatabaseBackup] = []
    go: list[DatabaseBackup] = []
    for backup in backups:
        (stay if moment(now) - moment(backup.created_at) <= RETAINED else go).append(backup)
    return stay, go


def moment(text: str) -> datetime:
    """A time as the API is given it: ISO 8601 with a zone. ValueError for anything else."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return found
