"""A PostgreSQL for a test alone, without the local cloud around it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from local_cloud.databases.postgresql import binaries

AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


@contextlib.contextmanager
def started(options: str = "", hosts: Sequence[str] = (), inside: Sequence[str] = ()) -> Iterator[Path]:
    """The folder that holds its data and its socket; gone afterwards.

    `options` are the server's own, `hosts` lines of pg_hba.conf, `inside` the words of a command that runs another.
    """
    # Not under pytest's folder, which is root's alone.
    with tempfile.TemporaryDirectory(prefix="k3s-postgresql-") as made:
        folder = Path(made)
        shutil.chown(folder, "postgres")

        def as_postgres(program: str, *words: str) -> None:
            command = (*inside, *AS_POSTGRES, str(binaries() / program), "--pgdata", str(folder / "data"), *words)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)

        as_postgres("initdb", "--auth=trust", "--encoding=UTF8", "--no-sync")
        with (folder / "data/pg_hba.conf").open("a") as rules:
            rules.writelines(f"{line}\n" for line in hosts)
        given = f"-c unix_socket_directories={folder} -c fsync=off {options}"
        as_postgres("pg_ctl", "--wait", "--log", str(folder / "log"), "--options", given, "start")
        try:
            yield folder
        finally:
            as_postgres("pg_ctl", "--mode=immediate", "stop")
