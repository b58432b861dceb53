"""The address of the managed database, written as K3s reads it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class DatastoreEndpoint:
    """A database and the user that owns K3s's rows in it. `host` is a name or an address, IPv6 without brackets."""

    host: str
    port: int
    user: str
    password: str
    database: str

    def url(self) -> str:
        """`datastore-endpoint` for Postgres, with the server's certificate verified against `datastore-cafile`.

        Source: docs.k3s.io/datastore ("Datastore Endpoint Format"), libpq's `sslmode`.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            f"postgres://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{host}:{self.port}"
            f"/{quote(self.database, safe='')}?sslmode=verify-ca"
        )
