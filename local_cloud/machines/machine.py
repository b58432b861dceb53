"""One droplet's machine: its folder, its disk, its control group, and the systemd-nspawn that boots it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local_cloud import paths, processes
from local_cloud.commands import run
from local_cloud.machine_room import DropletSpec, MachineRoomError
from local_cloud.machines import control_groups
from local_cloud.machines.first_boot import first_boot_files
from local_cloud.network import namespaces

MACHINES = paths.CLOUD / "machines"
SUPERVISE = Path(__file__).with_name("supervise.sh")

#: Where systemd-nspawn keeps a folder per machine, which it leaves behind when it is killed.
NSPAWN_PROPAGATE = Path("/run/systemd/nspawn/propagate")

#: What a droplet's root may do beyond systemd-nspawn's own set: rule its network.
CAPABILITIES = "CAP_NET_ADMIN,CAP_NET_RAW,CAP_NET_BIND_SERVICE"

#: systemd(1), "Signals": real-time signals to PID 1.
SIGNAL_POWER_OFF = signal.SIGRTMIN + 4
SIGNAL_REBOOT = signal.SIGRTMIN + 5

#: Many times what a boot takes, also where ten machines boot side by side on two processors.
BOOT_SECONDS = 120
#: What of a console tells why a boot failed.
CONSOLE_BYTES, CONSOLE_LINES = 8192, 10
#: Colours and their like: ECMA-48, 5.4, control sequences.
CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

#: How long an orderly shutdown may take before the power goes, as behind DigitalOcean's `shutdown` action.
SHUTDOWN_SECONDS = 30


@dataclass(frozen=True)
class TrustedAuthority:
    """A CA that the droplets' image trusts: its PEM, and the name under which OpenSSL looks it up."""

    pem: str
    openssl_hash: str


@dataclass(frozen=True)
class Machine:
    """The machine of droplet `id`, whether it exists or not."""

    id: int

    @property
    def folder(self) -> Path:
        return MACHINES / str(self.id)

    @property
    def namespace(self) -> str:
        return paths.namespace(f"droplet-{self.id}")

    @property
    def control_group(self) -> str:
        return self.namespace

    @property
    def pid_file(self) -> Path:
        return self.folder / "supervisor.pid"

    @property
    def console_log(self) -> Path:
        return self.folder / "console.log"

    @property
    def booting(self) -> Path:
        """There from its being switched on until `await_boot` has seen how that ends."""
        return self.folder / "booting"

    @property
    def boot_failure(self) -> Path:
        """Why its last boot failed; there is no such file where it did not."""
        return self.folder / "boot-failure"

    def exists(self) -> bool:
        return (self.folder / "upper").is_dir()

    def create(self, spec: DropletSpec, image: Path, authority: TrustedAuthority) -> None:
        """Make the disk: nothing but what differs from the image. Readable for root only, as disks are."""
        if self.exists():
            return
        unfinished = self.folder / "upper.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        for folder in (self.folder / "work", self.folder / "root", unfinished):
            folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        files = {**first_boot_files(spec), **_trust(image, authority)}
        for name, text in files.items():
            file = unfinished / name
            _make_parents(unfinished, file, image)
            file.write_text(text)
        (unfinished / "var/lib/cloud/seed/nocloud/user-data").chmod(0o600)
        link = unfinished / f"etc/ssl/certs/{authority.openssl_hash}.0"
        link.symlink_to("/usr/local/share/ca-certificates/local-cloud.crt")
        os.rename(unfinished, self.folder / "upper")

    def boot(self, spec: DropletSpec, image: Path) -> None:
        """Switch it on; nothing when it is on."""
        if self.is_on():
            return
        self.boot_failure.unlink(missing_ok=True)
        self.booting.touch()
        namespaces.ensure_host(self.namespace, links(spec))
        self.plug(spec)
        groups = control_groups.ensure(self.control_group, spec.memory_mib)
        processes.start(
            [
                *("unshare", "--mount", "--propagation", "slave", "--"),
                *(SUPERVISE, image, self.folder / "upper", self.folder / "work", self.folder / "root"),
                *(namespaces.BACKBONE, ",".join(link.backbone_interface for link in links(spec))),
                "--boot",
                "--quiet",
                "--keep-unit",
                "--register=no",
                "--console=read-only",
                "--link-journal=no",
                "--resolv-conf=off",
                "--timezone=off",
                "--kill-signal=SIGRTMIN+4",
                f"--hostname={spec.name}",
                f"--machine={self.namespace}",
                f"--network-namespace-path={namespaces.NAMESPACES / self.namespace}",
                f"--capability={CAPABILITIES}",
                # A container's systemd reads its arguments as a kernel's command line: what boots is told in the log.
                "systemd.show_status=yes",
            ],
            pid_file=self.pid_file,
            log=self.console_log,
            # VFS_WRITABLE: the machine's own /proc/sys/net is its to write; the rest of /proc/sys is this host's.
            # LOCK: our pid file sees to it that a machine runs once, and a lock would outlive a power cut.
            environment={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
                "SYSTEMD_NSPAWN_LOCK": "0",
            },
            cgroups=groups,
        )

    def await_boot(self, seconds: float = BOOT_SECONDS) -> None:
        """Return when it has booted. MachineRoomError, with its console's last lines, when it ends or hangs before."""
        if not self.booting.exists():
            return  # it is up since long: what its owner does with it then is no failed boot
        _within(seconds, lambda: self.has_booted() or not self.is_on())
        if self.has_booted():
            self.booting.unlink(missing_ok=True)
            return
        what = f"had not booted after {seconds:g} s" if self.is_on() else "ended while it booted"
        try:
            said = last_lines(self._end_of_console(), CONSOLE_LINES)
            failure = "\n".join([f"the machine {what}; its console's last lines:", *(f"    {line}" for line in said)])
            self.boot_failure.write_text(failure + "\n")
        except FileNotFoundError as error:
            raise MachineRoomError(f"the machine of droplet {self.id} was destroyed while it booted") from error
        self.booting.unlink(missing_ok=True)
        raise MachineRoomError(failure)

    def _end_of_console(self) -> str:
        with self.console_log.open("rb") as console:
            console.seek(max(0, console.seek(0, os.SEEK_END) - CONSOLE_BYTES))
            return console.read().decode(errors="replace")

    def has_booted(self) -> bool:
        """Whether its systemd has come as far as opening D-Bus's socket, just before the basic system: bootup(7)."""
        root = Path(f"/proc/{self.init_pid()}/root")
        try:
            # systemd-nspawn's own first process has this host's root for a moment.
            return not root.samefile("/") and (root / "run/dbus/system_bus_socket").is_socket()
        except OSError:
            return False

    def is_on(self) -> bool:
        return processes.read_pid_file(self.pid_file) is not None

    def init_pid(self) -> int | None:
        """The pid, seen from this host, of the machine's PID 1; None while there is none."""
        supervisor = processes.read_pid_file(self.pid_file)
        for nspawn in processes.children(supervisor.pid) if supervisor else ():
            for child in processes.children(nspawn):
                return child
        return None

    def reboot(self) -> None:
        """Ask for an orderly reboot and come back when the machine has gone down (it boots again by itself)."""
        before = self.init_pid()
        if before is None:
            raise MachineRoomError(f"droplet {self.id} is off: it cannot reboot")
        processes.send(before, SIGNAL_REBOOT)
        if not _within(SHUTDOWN_SECONDS, lambda: self.init_pid() != before):
            processes.send(before, signal.SIGKILL)

    def shut_down(self, spec: DropletSpec) -> None:
        """Ask for an orderly end; cut the power when it takes too long."""
        if (init := self.init_pid()) is not None:
            processes.send(init, SIGNAL_POWER_OFF)
            _within(SHUTDOWN_SECONDS, lambda: not self.is_on())
        self.cut_power(spec)

    def cut_power(self, spec: DropletSpec) -> None:
        """End everything of it at once; its disk keeps what was written. The host does not even refuse a connection."""
        self._end()
        if namespaces.exists(self.namespace):
            self.unplug(spec)

    def unplug(self, spec: DropletSpec) -> None:
        """Pull its network cables."""
        for link in links(spec):
            namespaces.unplug(link)

    def plug(self, spec: DropletSpec) -> None:
        """Put its network cables in again."""
        for link in links(spec):
            namespaces.plug(link)

    def _end(self) -> None:
        supervisor = processes.read_pid_file(self.pid_file)
        if supervisor is not None:
            processes.send(supervisor.pid, signal.SIGKILL)  # first, so that it does not boot the machine again
        control_groups.freeze(self.control_group, False)

        def is_empty() -> bool:
            pids = control_groups.pids(self.control_group)
            for pid in pids:
                processes.send(pid, signal.SIGKILL)
            return not pids

        if not _within(10, is_empty):
            raise MachineRoomError(f"droplet {self.id}: processes stay after SIGKILL")
        self.pid_file.unlink(missing_ok=True)
        control_groups.remove(self.control_group)
        shutil.rmtree(NSPAWN_PROPAGATE / self.namespace, ignore_errors=True)

    def pause(self, paused: bool) -> None:
        """Stop all its processes where they stand, or let them go on."""
        control_groups.freeze(self.control_group, paused)

    def destroy(self) -> None:
        """End it and remove its disk, its namespace and its files."""
        self._end()
        namespaces.remove(self.namespace)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            raise MachineRoomError(f"cannot remove {self.folder}")


def links(spec: DropletSpec) -> tuple[namespaces.Link, namespaces.Link]:
    """A droplet's interfaces: eth0 in public, eth1 in its VPC."""
    return namespaces.public_link(spec.public_ip), namespaces.private_link(spec.private_ip, spec.vpc_range)


def last_lines(console: str, count: int) -> list[str]:
    """The last lines with something on them, without what only a terminal understands."""
    lines = CONTROL_SEQUENCE.sub("", console).replace("\r", "\n").splitlines()
    printable = ("".join(letter for letter in line if letter.isprintable()).rstrip() for line in lines)
    return [line for line in printable if line][-count:]


def machine_ids() -> list[int]:
    """Of all machines that have a folder."""
    return sorted(int(entry.name) for entry in MACHINES.iterdir()) if MACHINES.is_dir() else []


def read_authority(certificate: Path) -> TrustedAuthority:
    """The CA in the PEM file."""
    name = run(["openssl", "x509", "-noout", "-hash", "-in", certificate]).strip()
    return TrustedAuthority(certificate.read_text(), name)


def _trust(image: Path, authority: TrustedAuthority) -> dict[str, str]:
    """The files in which update-ca-certificates would have put the authority."""
    bundle = (image / "etc/ssl/certs/ca-certificates.crt").read_text()
    return {
        "usr/local/share/ca-certificates/local-cloud.crt": authority.pem,
        "etc/ssl/certs/ca-certificates.crt": bundle + authority.pem,
    }


def _make_parents(root: Path, file: Path, image: Path) -> None:
    """Folders of an overlay's upper layer hide the image's: they need the same mode."""
    for parent in reversed(file.relative_to(root).parents[:-1]):
        folder = root / parent
        if not folder.exists():
            folder.mkdir()
            if (image / parent).is_dir():
                folder.chmod((image / parent).stat().st_mode & 0o7777)


def _within(seconds: float, is_so: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(processes.POLL_SECONDS)
    return True
