"""The droplets' image: the host's own release, made once by mmdebstrap from the host's own apt sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from local_cloud import paths
from local_cloud.commands import run
from local_cloud.machine_room import MachineRoomError

PACKAGES = (
    "apt-utils",
    "bash-completion",
    "ca-certificates",
    "cloud-init",
    "conntrack",
    "cron",
    "curl",
    "dbus",
    "ethtool",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "less",
    "netbase",
    "netcat-openbsd",
    "nftables",
    "openssh-server",
    "procps",
    "psmisc",
    "python3",
    "socat",
    "sqlite3",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tzdata",
    "udev",
    "unattended-upgrades",
    "vim-tiny",
)
CUSTOMIZE = Path(__file__).with_name("customize_image.sh")
BUILD_SECONDS = 900


def os_release(text: str) -> dict[str, str]:
    """The fields of an os-release(5) file."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key: value.strip("\"'") for key, value in pairs}


def apt_sources(index_targets: Iterable[str], distribution: str, codename: str) -> str:
    """One-line apt sources of the release itself, out of lines `URI SUITE COMPONENT` that apt-get indextargets gives.

    Other repositories that the host may have (a vendor's, backports) stay out. MachineRoomError when none is left.
    """
    suites = {codename, f"{codename}-updates", f"{codename}-security"}
    keyring = f"/usr/share/keyrings/{distribution}-archive-keyring.gpg"
    lines = sorted(
        f"deb [signed-by={keyring}] {uri} {suite} {component}"
        for uri, suite, component in (target.split()[:3] for target in set(index_targets) if target.strip())
        if suite in suites and component in ("main", "universe")
    )
    if not any(f" {codename} main" in line for line in lines):
        raise MachineRoomError(f"apt has no source for {codename} main; add it to /etc/apt and run apt-get update")
    return "\n".join(lines) + "\n"


def image_key(distribution: str, codename: str, packages: Iterable[str], customize: bytes) -> str:
    """Names an image by all it is made from."""
    material = "\n".join((distribution, codename, platform.machine(), *packages)).encode() + customize
    return f"{distribution}-{codename}-{hashlib.sha256(material).hexdigest()[:12]}"


def ensure_image(report: Callable[[str], None]) -> Path:
    """The root folder of the image; builds it first (about a minute) if the cache has none. Safe to call in parallel.

    `report` gets a line when it has to be built. MachineRoomError says why a build failed.
    """
    distribution, codename = _release()
    folder = _folder(distribution, codename)
    root = folder / "root"
    if root.is_dir():
        return root
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            _build(root, distribution, codename, report)
    return root


def image_is_built() -> bool:
    """Whether the cache has the image that this host's droplets are made of."""
    return (_folder(*_release()) / "root").is_dir()


def _release() -> tuple[str, str]:
    release = os_release(Path("/etc/os-release").read_text())
    distribution, codename = release.get("ID", ""), release.get("VERSION_CODENAME", "")
    if distribution not in ("debian", "ubuntu") or not codename:
        raise MachineRoomError(
            f"droplets are made of the host's release, which must be Debian or Ubuntu, not {distribution}"
        )
    return distribution, codename


def _folder(distribution: str, codename: str) -> Path:
    return paths.CACHE / "images" / image_key(distribution, codename, PACKAGES, CUSTOMIZE.read_bytes())


def _build(root: Path, distribution: str, codename: str, report: Callable[[str], None]) -> None:
    targets = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    )
    sources = apt_sources(targets.splitlines(), distribution, codename)
    unfinished = root.with_name("root.unfinished")
    log = root.with_name("build.log")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(PACKAGES)}",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        f'--customize-hook={CUSTOMIZE} "$1"',
        codename,
        str(unfinished),
        "-",
    ]
    report(f"building the droplets' image from {codename}'s packages; about a minute, once")
    with log.open("w") as output:
        try:
            code = subprocess.run(
                command,
                input=sources,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env=_build_environment(),
                timeout=BUILD_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise MachineRoomError(f"mmdebstrap did not end within {BUILD_SECONDS} s; see {log}") from error
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise MachineRoomError(f"mmdebstrap could not make the droplets' image (all of it in {log}):\n{tail}")
    os.rename(unfinished, root)


def _build_environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
