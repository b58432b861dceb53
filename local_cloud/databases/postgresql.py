"""A managed PostgreSQL: a cluster of its own, in a host of its own, with the users and rights DigitalOcean gives.

Sources: "How to Manage Users" and "PostgreSQL Limits" of DigitalOcean's database documentation: `doadmin` may create
databases and roles and is no superuser; connections need TLS; three connections are kept for maintenance.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from local_cloud.commands import run
from local_cloud.databases.cluster import Cluster
from local_cloud.machine_room import DatabaseSpec, MachineRoomError

DISTRIBUTION = Path("/usr/lib/postgresql")
SEEN_AS = Path("/var/lib/postgresql")
#: DigitalOcean: "we reserve 3 connections" of each cluster's limit for maintenance.
RESERVED_CONNECTIONS = 3
#: The user's own roles are marked by this comment, so that one that is no longer wanted can be told from the system's.
MARK = "made by the local cloud"


class PostgresqlCluster(Cluster):
    """The newest PostgreSQL that is installed."""

    program = "postgres"
    user = "postgres"
    seen_as = SEEN_AS
    # PostgreSQL calls these "fast" and "immediate shutdown".
    stop_signal = signal.SIGINT
    end_signal = signal.SIGQUIT

    def _make_data(self, folder: Path) -> Sequence[str]:
        return (
            *(str(binaries() / "initdb"), "--pgdata", str(folder), "--username=postgres"),
            *("--auth=peer", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
        )

    def _copy_data(self, folder: Path) -> None:
        place = SEEN_AS / folder.relative_to(self.home)
        copy = (str(binaries() / "pg_basebackup"), "--pgdata", str(place), "--checkpoint=fast", "--no-sync")
        where = ("--host", str(SEEN_AS), "--port", self._port(), "--username=postgres")
        run(self._in_its_place((*copy, *where)), timeout_seconds=300)

    def _configure(self, spec: DatabaseSpec) -> None:
        (self.home / "pg_hba.conf").write_text(HBA)
        (self.home / "data" / "postgresql.auto.conf").write_text(server_settings(spec))

    def start(self) -> None:
        if not self.is_on():
            # Left by a crash; its pid may be anybody's by now, and PostgreSQL would wait for that process to end.
            (self.home / "data" / "postmaster.pid").unlink(missing_ok=True)
        super().start()

    def _server(self) -> Sequence[str]:
        return (str(binaries() / "postgres"), "-D", str(SEEN_AS / "data"))

    def _ensure_contents(self, spec: DatabaseSpec) -> None:
        self.sql("", "\n".join(role_statements(spec)))
        administrator = spec.users[0].name
        have = set(self.sql("", "SELECT datname FROM pg_database WHERE NOT datistemplate;").split()) - {"postgres"}
        for name in sorted(set(spec.databases) - have):
            self.sql("", f"CREATE DATABASE {identifier(name)} OWNER {identifier(administrator)};")
        for name in sorted(have - set(spec.databases)):
            # Not by force: PostgreSQL keeps what has sessions, and no page says that DigitalOcean ends them.
            self.sql("", f"DROP DATABASE {identifier(name)};")
        # Only now: a role that owned something in a dropped database can go.
        wanted = {user.name for user in spec.users}
        for name in sorted(self._marked_roles() - wanted):
            for database in (*spec.databases, "postgres"):
                self.sql(
                    database,
                    f"REASSIGN OWNED BY {identifier(name)} TO {identifier(administrator)};"
                    f" DROP OWNED BY {identifier(name)};",
                )
            self.sql("", f"DROP ROLE {identifier(name)};")

    def _marked_roles(self) -> set[str]:
        query = f"SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = {literal(MARK)};"  # noqa: S608
        return set(self.sql("", query).split())

    def sql(self, database: str, statements: str) -> str:
        return run(
            self._in_its_place(
                (
                    *(str(binaries() / "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"),
                    *("--set=ON_ERROR_STOP=1", "--host", str(SEEN_AS), "--port", self._port()),
                    *("--username=postgres", "--dbname", database or "postgres"),
                )
            ),
            stdin=statements,
        )

    def _port(self) -> str:
        """Also the name of the socket has it."""
        settings = (self.home / "data" / "postgresql.auto.conf").read_text()
        return next(line.split("'")[1] for line in settings.splitlines() if line.startswith("port = "))


#: Who may connect, and how: the superuser over the socket only; everybody else with TLS and a password.
HBA = """\
local   all,replication  postgres      peer
hostssl all  postgres  all             reject
hostssl all  all       all             scram-sha-256
"""


def binaries() -> Path:
    """The newest PostgreSQL installed. MachineRoomError when there is none."""
    versions = sorted(
        (int(folder.name), folder / "bin")
        for folder in (DISTRIBUTION.iterdir() if DISTRIBUTION.is_dir() else ())
        if folder.name.isdigit() and (folder / "bin" / "postgres").exists()
    )
    if not versions:
        raise MachineRoomError("PostgreSQL is not installed: apt-get install postgresql")
    return versions[-1][1]


def server_settings(spec: DatabaseSpec) -> str:
    """postgresql.auto.conf of the cluster: where it listens, its TLS, and memory for a small machine."""
    settings = {
        "listen_addresses": f"{spec.public_ip},{spec.private_ip}",
        "port": str(spec.port),
        "unix_socket_directories": str(SEEN_AS),
        "unix_socket_permissions": "0700",
        "hba_file": str(SEEN_AS / "pg_hba.conf"),
        "ssl": "on",
        "ssl_cert_file": str(SEEN_AS / "server.pem"),
        "ssl_key_file": str(SEEN_AS / "server.key"),
        "ssl_min_protocol_version": "TLSv1.2",
        "password_encryption": "scram-sha-256",
        "max_connections": str(spec.max_connections),
        "superuser_reserved_connections": str(RESERVED_CONNECTIONS),
        "shared_buffers": "32MB",
        "max_wal_size": "128MB",
        "min_wal_size": "32MB",
        "autovacuum_max_workers": "1",
        "max_parallel_workers": "0",
        "jit": "off",
    }
    return "".join(f"{name} = {literal(value)}\n" for name, value in settings.items())


def role_statements(spec: DatabaseSpec) -> Iterator[str]:
    """SQL that makes the users of `spec`, the administrator first, with their passwords; right when run again."""
    for number, user in enumerate(spec.users):
        rights = "CREATEDB CREATEROLE" if number == 0 else "NOCREATEDB NOCREATEROLE"
        name = identifier(user.name)
        is_missing = f"NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(user.name)})"
        yield f"SELECT {literal('CREATE ROLE ' + name)} WHERE {is_missing} \\gexec"
        yield f"ALTER ROLE {name} LOGIN NOSUPERUSER {rights} PASSWORD {literal(user.password)};"
        yield f"COMMENT ON ROLE {name} IS {literal(MARK)};"


def identifier(name: str) -> str:
    """`name` quoted as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` quoted as an SQL string. MachineRoomError for what has no such form: a NUL or a backslash."""
    if "\x00" in text or "\\" in text:
        raise MachineRoomError("a database name, user or password holds a NUL or a backslash")
    return "'" + text.replace("'", "''") + "'"
