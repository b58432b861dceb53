"""A managed PostgreSQL: a cluster of its own, in a host of its own, with the users and rights DigitalOcean gives.

Sources: "How to Manage Users" and "PostgreSQL Limits" of DigitalOcean's database documentation: `doadmin` may create
databases and roles and is no superuser; connections need TLS; three connections are kept for maintenance.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local_cloud import certificates, paths, processes
from local_cloud.commands import run
from local_cloud.machine_room import DatabaseFacts, DatabaseSpec, MachineRoomError
from local_cloud.network import namespaces

FOLDER = paths.CLOUD / "databases"
DISTRIBUTION = Path("/usr/lib/postgresql")
#: Where the cluster's folder appears to PostgreSQL: the user postgres need not be able to enter the checkout.
SEEN_AS = Path("/var/lib/postgresql")
#: DigitalOcean: "we reserve 3 connections" of each cluster's limit for maintenance.
RESERVED_CONNECTIONS = 3
START_SECONDS = 30
#: The user's own roles are marked by this comment, so that one that is no longer wanted can be told from the system's.
MARK = "made by the local cloud"


@dataclass(frozen=True)
class Cluster:
    """The database cluster `id`, whether it exists or not."""

    id: str

    @property
    def folder(self) -> Path:
        return FOLDER / self.id

    @property
    def namespace(self) -> str:
        return paths.namespace(f"db-{self.id[:8]}")

    @property
    def pid_file(self) -> Path:
        return self.folder / "postgres.pid"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    def ensure(self, spec: DatabaseSpec) -> DatabaseFacts:
        """Make it, start it, and bring its users, passwords and databases to what `spec` says."""
        namespaces.ensure_host(
            self.namespace,
            (namespaces.public_link(spec.public_ip), namespaces.private_link(spec.private_ip, spec.vpc_range)),
        )
        authority = certificates.kept_authority(self.folder / "authority", f"{spec.id} Project CA")
        home = self.folder / "home"
        if not (home / "data").is_dir():
            self._initialise(spec, authority)
        (home / "data" / "postgresql.auto.conf").write_text(server_settings(spec))
        self.start()
        self.sql("postgres", "\n".join(role_statements(spec)))
        self._ensure_databases(spec)
        return DatabaseFacts(authority.certificate)

    def start(self) -> None:
        """Start the server and come back when it answers. Nothing when it runs."""
        if not self.is_on():
            # Left by a crash; its pid may be anybody's by now, and PostgreSQL would wait for that process to end.
            (self.folder / "home" / "data" / "postmaster.pid").unlink(missing_ok=True)
        processes.start(
            [
                *namespaces.inside(self.namespace),
                *self._in_its_place("exec", str(binaries() / "postgres"), "-D", str(SEEN_AS / "data")),
            ],
            pid_file=self.pid_file,
            log=self.log,
        )
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.sql("postgres", "SELECT 1;")
                return
            except MachineRoomError as error:
                if not self.is_on() or time.monotonic() > until:
                    raise MachineRoomError(f"database {self.id} does not start; see {self.log}") from error
            time.sleep(processes.POLL_SECONDS)

    def is_on(self) -> bool:
        return processes.read_pid_file(self.pid_file) is not None

    def stop(self) -> None:
        """Stop the server; connections are closed. PostgreSQL calls this "fast shutdown"."""
        processes.stop(self.pid_file, first=signal.SIGINT, grace_seconds=10)

    def destroy(self) -> None:
        """Remove it and its data at once; one that is gone is no error."""
        processes.stop(self.pid_file, first=signal.SIGQUIT, grace_seconds=5)
        namespaces.remove(self.namespace)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initialise(self, spec: DatabaseSpec, authority: certificates.KeyPair) -> None:
        home = self.folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        self.folder.chmod(0o700)
        certificates.kept_server(home, authority, (spec.host, spec.private_host, spec.public_ip, spec.private_ip))
        (home / "pg_hba.conf").write_text(HBA)
        owner = pwd.getpwnam("postgres")
        for path in (home, *home.iterdir()):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        unfinished = SEEN_AS / "data.unfinished"
        run(
            self._in_its_place(
                *(str(binaries() / "initdb"), "--pgdata", str(unfinished), "--username=postgres"),
                *("--auth=peer", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
            ),
            timeout_seconds=120,
        )
        os.rename(home / "data.unfinished", home / "data")

    def _ensure_databases(self, spec: DatabaseSpec) -> None:
        administrator = spec.users[0].name
        have = set(self.sql("postgres", "SELECT datname FROM pg_database WHERE NOT datistemplate;").split()) - {
            "postgres"
        }
        for name in sorted(set(spec.databases) - have):
            self.sql("postgres", f"CREATE DATABASE {identifier(name)} OWNER {identifier(administrator)};")
        for name in sorted(have - set(spec.databases)):
            self.sql("postgres", f"DROP DATABASE {identifier(name)} WITH (FORCE);")
        # Only now: a role that owned something in a dropped database can go.
        wanted = {user.name for user in spec.users}
        for name in sorted(self._marked_roles() - wanted):
            for database in (*spec.databases, "postgres"):
                self.sql(
                    database,
                    f"REASSIGN OWNED BY {identifier(name)} TO {identifier(administrator)};"
                    f" DROP OWNED BY {identifier(name)};",
                )
            self.sql("postgres", f"DROP ROLE {identifier(name)};")

    def _marked_roles(self) -> set[str]:
        query = f"SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = {literal(MARK)};"  # noqa: S608
        return set(self.sql("postgres", query).split())

    def sql(self, database: str, statements: str) -> str:
        """Run statements as the superuser, over the socket that only this machine's root can reach."""
        return run(
            self._in_its_place(
                *(str(binaries() / "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"),
                *("--set=ON_ERROR_STOP=1", "--host", str(SEEN_AS), "--port", self._port()),
                *("--username=postgres", "--dbname", database),
            ),
            stdin=statements,
        )

    def _port(self) -> str:
        """Also the name of the socket has it."""
        settings = (self.folder / "home" / "data" / "postgresql.auto.conf").read_text()
        return next(line.split("'")[1] for line in settings.splitlines() if line.startswith("port = "))

    def _in_its_place(self, *command: str) -> list[str]:
        """`command` as the user postgres, in a mount namespace where the cluster's folder is at SEEN_AS."""
        # `exec` all along: the process that is started becomes the command, so that its pid is the one to signal.
        place = (
            'mount --bind "$0" "$1"; cd "$1"; shift; exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"'
        )
        words = command[1:] if command[0] == "exec" else command
        home = str(self.folder / "home")
        return ["unshare", "--mount", "--", "sh", "-ec", place, home, str(SEEN_AS), *words]


#: Who may connect, and how: the superuser over the socket only; everybody else with TLS and a password.
HBA = """\
local   all  postgres                  peer
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


def cluster_ids() -> list[str]:
    """Of all clusters that have a folder."""
    return sorted(entry.name for entry in FOLDER.iterdir()) if FOLDER.is_dir() else []
