"""What the local cloud needs of the machine it runs on, and the one command that brings what is missing."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from local_cloud.machine_room import MachineRoomError

#: A program that each Debian or Ubuntu package brings, by package.
PACKAGES: Mapping[str, str] = {
    "mmdebstrap": "mmdebstrap",
    "systemd-container": "systemd-nspawn",
    "haproxy": "haproxy",
    "nftables": "nft",
    "dnsmasq-base": "dnsmasq",
    # The core packages alone: they start no server on this machine.
    "mariadb-client-core": "mariadb",
    "mariadb-server-core": "mariadbd",
    "iproute2": "ip",
    "procps": "sysctl",
    "util-linux": "nsenter",
    "openssl": "openssl",
    "openssh-client": "ssh",
}
POSTGRESQL = Path("/usr/lib/postgresql")


def missing_packages(has_program: Callable[[str], bool], has_postgresql: bool) -> list[str]:
    """The packages to install, sorted."""
    missing = [package for package, program in PACKAGES.items() if not has_program(program)]
    return sorted(missing if has_postgresql else [*missing, "postgresql"])


def check() -> None:
    """MachineRoomError with what to do when this machine or this user cannot run the local cloud."""
    if platform.system() != "Linux":
        raise MachineRoomError(f"the local cloud needs Linux, not {platform.system()}: use a Debian 12 or Ubuntu 24.04")
    if os.geteuid() != 0:
        raise MachineRoomError("the local cloud makes network namespaces and machines, which needs root: use sudo")
    search = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
    has_postgresql = any(POSTGRESQL.glob("*/bin/postgres"))
    if missing := missing_packages(lambda program: shutil.which(program, path=search) is not None, has_postgresql):
        raise MachineRoomError(
            "packages are missing; run: apt-get update && apt-get install --no-install-recommends -y "
            + " ".join(missing)
        )
