"""What managed databases of all engines have in common: a folder, a host of their own, a certificate, a process."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from local_cloud import certificates, paths, processes
from local_cloud.commands import run
from local_cloud.machine_room import DatabaseFacts, DatabaseSpec, MachineRoomError
from local_cloud.network import namespaces

FOLDER = paths.CLOUD / "databases"
START_SECONDS = 30


@dataclass(frozen=True)
class Cluster(ABC):
    """The database cluster `id`, whether it exists or not."""

    id: str

    #: The server's program; whom it runs as; where the cluster's folder appears to it, as it need not be able to enter
    #: the checkout.
    program: ClassVar[str]
    user: ClassVar[str]
    seen_as: ClassVar[Path]
    #: What the engine calls an orderly stop and an immediate one, both closing connections.
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    end_signal: ClassVar[signal.Signals] = signal.SIGKILL

    @property
    def folder(self) -> Path:
        return FOLDER / self.id

    @property
    def home(self) -> Path:
        """The part of `folder` that the server sees."""
        return self.folder / "home"

    @property
    def backups(self) -> Path:
        """A folder for each backup, which holds what `data` held; the server's user can write there."""
        return self.home / "backups"

    @property
    def namespace(self) -> str:
        return paths.namespace(f"db-{self.id[:8]}")

    @property
    def pid_file(self) -> Path:
        return self.folder / f"{self.program}.pid"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.program}.log"

    def ensure(self, spec: DatabaseSpec) -> DatabaseFacts:
        """Make it, start it, and bring its users, passwords and databases to what `spec` says."""
        namespaces.ensure_host(
            self.namespace,
            (namespaces.public_link(spec.public_ip), namespaces.private_link(spec.private_ip, spec.vpc_range)),
        )
        authority = certificates.kept_authority(self.folder / "authority", f"{spec.id} Project CA")
        if not (self.home / "data").is_dir():
            self._initialise(spec, authority)
        self._configure(spec)
        self.start()
        self._ensure_contents(spec)
        return DatabaseFacts(authority.certificate)

    def start(self) -> None:
        """Start the server and come back when it answers. Nothing when it runs."""
        processes.start(
            [*namespaces.inside(self.namespace), *self._in_its_place(self._server())],
            pid_file=self.pid_file,
            log=self.log,
        )
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.sql("", "SELECT 1;")
                return
            except MachineRoomError as error:
                if not self.is_on() or time.monotonic() > until:
                    raise MachineRoomError(f"database {self.id} does not start; see {self.log}") from error
            time.sleep(processes.POLL_SECONDS)

    def is_on(self) -> bool:
        return processes.read_pid_file(self.pid_file) is not None

    def stop(self) -> None:
        """Stop the server in order; connections are closed."""
        processes.stop(self.pid_file, first=self.stop_signal, grace_seconds=10)

    def back_up(self, name: str) -> int:
        """Keep all data as they are now, under `name`, while the server serves; the bytes that takes."""
        self.backups.mkdir(exist_ok=True)
        shutil.chown(self.backups, self.user)
        unfinished, finished = self.backups / f"{name}.unfinished", self.backups / name
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            self._copy_data(unfinished)
        except (MachineRoomError, OSError) as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise MachineRoomError(f"database {self.id} could not be backed up: {error}") from error
        unfinished.rename(finished)
        return sum(file.stat().st_size for file in finished.rglob("*") if file.is_file())

    def drop_backup(self, name: str) -> None:
        """Remove one; one that is gone is no error."""
        shutil.rmtree(self.backups / name, ignore_errors=True)

    def destroy(self) -> None:
        """Remove it, its data and its backups at once; one that is gone is no error."""
        processes.stop(self.pid_file, first=self.end_signal, grace_seconds=5)
        namespaces.remove(self.namespace)
        shutil.rmtree(self.folder, ignore_errors=True)

    @abstractmethod
    def sql(self, database: str, statements: str) -> str:
        """What `statements` answer in `database` (any, if empty), as the superuser, whom only this machine can be."""

    @abstractmethod
    def _server(self) -> Sequence[str]:
        """The command that serves, in the foreground."""

    @abstractmethod
    def _make_data(self, folder: Path) -> Sequence[str]:
        """The command that makes an empty cluster in `folder`, as the server sees it."""

    @abstractmethod
    def _copy_data(self, folder: Path) -> None:
        """Copy the data of the running server to `folder`, as of one moment."""

    @abstractmethod
    def _configure(self, spec: DatabaseSpec) -> None:
        """Write the server's settings."""

    @abstractmethod
    def _ensure_contents(self, spec: DatabaseSpec) -> None:
        """Bring users, passwords and databases to what `spec` says; what it lacks goes."""

    def _initialise(self, spec: DatabaseSpec, authority: certificates.KeyPair) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.folder.chmod(0o700)
        certificates.kept_server(self.home, authority, (spec.host, spec.private_host, spec.public_ip, spec.private_ip))
        owner = pwd.getpwnam(self.user)
        for path in (self.home, *self.home.iterdir()):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        if spec.copy is None:
            run(self._in_its_place(self._make_data(self.seen_as / "data.unfinished")), timeout_seconds=120)
        else:
            backup = type(self)(spec.copy.database_id).backups / spec.copy.backup
            run(["cp", "--archive", "--reflink=auto", backup, self.home / "data.unfinished"], timeout_seconds=120)
        (self.home / "data.unfinished").rename(self.home / "data")

    def _in_its_place(self, command: Sequence[str], *, user: str | None = None) -> list[str]:
        """`command` as `user`, or the server's, in a mount namespace where the cluster's folder is at `seen_as`."""
        # `exec` all along: the process that is started becomes the command, so that its pid is the one to signal.
        place = (
            'mount --bind "$0" "$1"; cd "$1"; user=$2; shift 2; '
            'exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups "$@"'
        )
        words = ["sh", "-ec", place, str(self.home), str(self.seen_as), user or self.user, *command]
        return ["unshare", "--mount", "--", *words]
