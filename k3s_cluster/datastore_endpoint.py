"""The address of a database, written as K3s reads it (docs.k3s.io/datastore, "Datastore Endpoint Format")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote


@dataclass(frozen=True)
class DatabaseAddress:
    """A database and the user that owns K3s's rows in it. `host` is a name or an address, IPv6 without brackets."""

    engine: Literal["pg", "mysql"]
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str


def datastore_endpoint(database: DatabaseAddress) -> str:
    """`datastore-endpoint` for `database`, whose certificate K3s verifies against `datastore-cafile`. It is a secret.

    Postgres takes a URL, and libpq's `sslmode`. MySQL takes a DSN of go-sql-driver/mysql ("DSN (Data Source Name)"),
    in which user and password stand as they are: the last `@` before the last `/` ends them.
    Raises ValueError for a MySQL user that a DSN cannot hold.
    """
    host = f"[{database.host}]" if ":" in database.host else database.host
    name = quote(database.database, safe="")
    if database.engine == "pg":
        user, password = quote(database.user, safe=""), quote(database.password, safe="")
        return f"postgres://{user}:{password}@{host}:{database.port}/{name}?sslmode=verify-ca"
    if ":" in database.user:
        raise ValueError(f"the MySQL user `{database.user}` holds a colon, which ends the user in a DSN")
    return f"mysql://{database.user}:{database.password}@tcp({host}:{database.port})/{name}"
