"""A MariaDB that stands in for managed MySQL: same protocol and port, TLS only, tables only with a primary key.

Sources: DigitalOcean's "How to Manage MySQL Users and Databases" ("New users will receive the permissions of the
doadmin user by default"), "How to Modify User Privileges" and "MySQL Limits": `sql_require_primary_key` is on. MariaDB
has no caching_sha2_password: its users have mysql_native_password. It cannot keep an administrator out of the system's
own databases, either, as DigitalOcean does.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from local_cloud.commands import run
from local_cloud.databases.cluster import Cluster
from local_cloud.databases.postgresql import literal
from local_cloud.machine_room import DatabaseSpec, MachineRoomError
from local_cloud.processes import read_pid_file

#: In a mount namespace of its own; Debian's mariadb-server-core brings neither a folder nor a user.
SEEN_AS = Path("/srv")
SYSTEM_DATABASES = ("information_schema", "mysql", "performance_schema", "sys")
#: What `doadmin` may do, and every new user until somebody takes it back. `DELETE HISTORY` is MariaDB's alone, and part
#: of what it calls all rights on a database.
RIGHTS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, "
    "CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, "
    "CREATE USER, EVENT, TRIGGER, DELETE HISTORY"
)
#: Those who may come from anywhere; MariaDB's own accounts are for localhost.
ANYWHERE = "%"


class MariadbCluster(Cluster):
    program = "mariadbd"
    user = "nobody"
    seen_as = SEEN_AS

    def _make_data(self, folder: Path) -> Sequence[str]:
        return (
            *(_program("mariadb-install-db"), "--no-defaults", f"--datadir={folder}", "--skip-test-db"),
            *("--auth-root-authentication-method=socket", "--skip-name-resolve"),
        )

    def _copy_data(self, folder: Path) -> None:
        """As after a power cut at that moment, which MariaDB recovers from; it stands still for it, well under 1 s."""
        running = read_pid_file(self.pid_file)
        if running is None:
            raise MachineRoomError("it does not run")
        os.kill(running.pid, signal.SIGSTOP)
        try:
            run(["cp", "--archive", "--reflink=auto", self.home / "data", folder])
        finally:
            os.kill(running.pid, signal.SIGCONT)

    def _configure(self, spec: DatabaseSpec) -> None:
        (self.home / "server.cnf").write_text(server_settings(spec))

    def _server(self) -> Sequence[str]:
        return (_program(self.program), f"--defaults-file={SEEN_AS / 'server.cnf'}")

    def _ensure_contents(self, spec: DatabaseSpec) -> None:
        have = set(self.sql("", "SHOW DATABASES;").split()) - set(SYSTEM_DATABASES)
        for name in sorted(set(spec.databases) - have):
            self.sql("", f"CREATE DATABASE {identifier(name)};")
        for name in sorted(have - set(spec.databases)):
            self.sql("", f"DROP DATABASE {identifier(name)};")
        query = f"SELECT user FROM mysql.user WHERE host = {literal(ANYWHERE)};"  # noqa: S608
        known = set(self.sql("", query).split())
        self.sql("", "\n".join(user_statements(spec, known)))
        for name in sorted(known - {user.name for user in spec.users}):
            self.sql("", f"DROP USER {account(name)};")

    def sql(self, database: str, statements: str) -> str:
        client = (_program("mariadb"), "--no-defaults", f"--socket={SEEN_AS / 'server.sock'}", "--batch")
        words = (*client, "--skip-column-names", *((f"--database={database}",) if database else ()))
        return run(self._in_its_place(words, user="root"), stdin=statements)


def server_settings(spec: DatabaseSpec) -> str:
    """The server's option file: where it listens, its TLS, and memory for a small machine."""
    settings = {
        "datadir": SEEN_AS / "data",
        "socket": SEEN_AS / "server.sock",
        "bind-address": f"{spec.public_ip},{spec.private_ip}",
        "port": spec.port,
        "require-secure-transport": "ON",
        "ssl-cert": SEEN_AS / "server.pem",
        "ssl-key": SEEN_AS / "server.key",
        "tls-version": "TLSv1.2,TLSv1.3",
        # What MySQL calls sql_require_primary_key.
        "innodb-force-primary-key": "ON",
        "character-set-server": "utf8mb4",
        "max-connections": spec.max_connections,
        "skip-name-resolve": "ON",
        "innodb-buffer-pool-size": "32M",
        "innodb-log-file-size": "16M",
        "performance-schema": "OFF",
    }
    return "[mariadbd]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


def user_statements(spec: DatabaseSpec, known: Collection[str]) -> Iterator[str]:
    """SQL that makes the users of `spec`, with their passwords. Those who are `known` keep their rights."""
    for user in spec.users:
        password = f"IDENTIFIED BY {literal(user.password)}"
        if user.name in known:
            yield f"ALTER USER {account(user.name)} {password};"
        else:
            yield f"GRANT {RIGHTS} ON *.* TO {account(user.name)} {password} WITH GRANT OPTION;"


def identifier(name: str) -> str:
    """`name` quoted as an SQL identifier."""
    return "`" + name.replace("`", "``") + "`"


def account(name: str) -> str:
    """A user who may come from anywhere."""
    return f"{literal(name)}@{literal(ANYWHERE)}"


def _program(name: str) -> str:
    path = shutil.which(name, path="/usr/sbin:/usr/bin")
    if path is None:
        raise MachineRoomError("MariaDB is not installed: apt-get install mariadb-server-core mariadb-client-core")
    return path
