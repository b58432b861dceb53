"""Statements in the managed database, through a server's SSH tunnel: no password lies on a droplet for it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pg8000.native
import pymysql

from k3s_cluster.over_ssh.connection import Connection

Engine = Literal["pg", "mysql"]
#: What the two clients raise besides OSError.
DATABASE_ERRORS = (pg8000.Error, pymysql.Error)
#: An administrator who waits for a lock must not hold up `pulumi up` for ever.
STATEMENT_SECONDS = 30
#: openssl-verify's X509_V_ERR_HOSTNAME_MISMATCH.
_HOSTNAME_MISMATCH = 62


@dataclass(frozen=True)
class Login:
    """A user of a database. `ca` is the PEM of the authority that the database's certificate must come from."""

    engine: Engine
    host: str
    port: int
    ca: str
    database: str
    user: str
    password: str = field(repr=False)


def run_statements(server: Connection, login: Login, statements: Sequence[str]) -> None:
    """Run `statements` one by one as `login`. Raises NodeError, OSError or one of DATABASE_ERRORS."""
    if not statements:
        return
    with server.tunnel(login.host, login.port) as tunnel:
        if login.engine == "pg":
            postgres = _postgres(login, tunnel)
            postgres.run(f"SET lock_timeout = '{STATEMENT_SECONDS}s'")
            for statement in statements:
                postgres.run(statement)
            postgres.close()
            return
        mysql = pymysql.connect(
            host=login.host,
            user=login.user,
            password=login.password,
            database=login.database,
            ssl=verifying(login.ca, names=True),
            read_timeout=STATEMENT_SECONDS,
            defer_connect=True,
        )
        mysql.connect(tunnel)
        with mysql, mysql.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def answer_of(server: Connection, login: Login, query: str) -> list[list[Any]]:
    """The rows that Postgres answers `query` with. Raises as `run_statements` does."""
    with server.tunnel(login.host, login.port) as tunnel:
        postgres = _postgres(login, tunnel)
        rows: list[list[Any]] = [list(row) for row in postgres.run(query)]
        postgres.close()
    return rows


def _postgres(login: Login, tunnel: socket.socket) -> pg8000.native.Connection:
    return pg8000.native.Connection(
        login.user,
        database=login.database,
        password=login.password,
        sock=tunnel,
        ssl_context=verifying(login.ca),
    )


def certificate_problem(error: Exception, host: str) -> str | None:
    """Why waiting does not help where a database's certificate is for another host; None for any other error.

    K3s would not connect either: with `datastore-cafile` kine's MySQL client compares names (github.com/go-sql-driver/
    mysql, dsn.go, `cfg.TLS.ServerName = host`), while Postgres is asked with `sslmode=verify-ca`.
    """
    cause = getattr(error, "original_exception", error)
    if not isinstance(cause, ssl.SSLCertVerificationError) or cause.verify_code != _HOSTNAME_MISMATCH:
        return None
    return (
        f"the database's certificate is not for {host}, and K3s's MySQL client refuses such a one "
        f"({cause.verify_message}): set datastoreEngine to `pg` in a new stack, which asks for the authority alone"
    )


def verifying(ca: str, *, names: bool = False) -> ssl.SSLContext:
    """TLS that trusts the cluster's own CA and nothing else. `names` says whether the host's name is compared."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = names
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=ca)
    return context
