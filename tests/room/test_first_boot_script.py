"""The first boot on images that lack something: the script itself, with commands that write down what they are told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from local_cloud import paths

SCRIPT = paths.CHECKOUT / "cloud_init/first_boot.sh"
#: Its own /etc and /usr/local/lib, which nobody else sees.
ALONE = """
mount -t tmpfs tmpfs /etc && mount -t tmpfs tmpfs /usr/local/lib
printf 'K3S_ROLE=agent\\nK3S_VERSION=v1.36.4+k3s1\\n' >/etc/k3s-first-boot.env
PATH=$1 exec /bin/sh "$2"
"""
SAYS = '#!/bin/sh\necho "{name} $*" >>{log}\n'
APT = (
    SAYS
    + 'case "$*" in *" install "*nftables*) printf "#!/bin/sh\\n" >{folder}/nft; /bin/chmod +x {folder}/nft;; esac\n'
)
#: The node's firewall is loaded with nft.
SYSTEMCTL = SAYS + 'case "$*" in enable*) command -v nft >/dev/null;; esac\n'
CURL = SAYS + 'for each do [ "$last" = --output ] && echo true >"$each"; last=$each; done; true\n'

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts are for root")


def boot(folder: Path, *there: str) -> tuple[int, list[str]]:
    """What the script ended with, and the commands that it called, on an image that has `there`."""
    log = folder / "log"
    commands = {"apt-get": APT, "systemctl": SYSTEMCTL, "curl": CURL, "k3s": SAYS, **dict.fromkeys(there, SAYS)}
    for name, text in commands.items():
        (folder / name).write_text(text.format(name=name, log=log, folder=folder))
        (folder / name).chmod(0o755)
    for needed in ("sh", "sleep"):
        (folder / needed).symlink_to(f"/bin/{needed}")
    command = ["unshare", "--mount", "sh", "-c", ALONE, "boot", str(folder), str(SCRIPT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, log.read_text().splitlines()


def test_an_image_without_nft_gets_it_before_the_node_s_firewall_is_put_up(tmp_path: Path) -> None:
    code, called = boot(tmp_path, "unattended-upgrade")
    assert code == 0
    update, install, reload, enable, *_ = called
    # cloud-init and apt-daily are at work in a first boot: the lock is waited for.
    assert update == "apt-get -o DPkg::Lock::Timeout=300 update"
    assert install == "apt-get -o DPkg::Lock::Timeout=300 install --yes nftables"
    assert (reload, enable) == ("systemctl daemon-reload", "systemctl enable --quiet --now node-firewall.service")


def test_an_image_that_has_everything_asks_nobody_for_packages(tmp_path: Path) -> None:
    code, called = boot(tmp_path, "unattended-upgrade", "nft")
    assert code == 0
    assert [line.split()[0] for line in called] == ["systemctl", "systemctl", "curl", "k3s"]


def test_k3s_is_unpacked_before_a_cluster_waits_for_it(tmp_path: Path) -> None:
    _, called = boot(tmp_path, "unattended-upgrade", "nft")
    assert called[-1].startswith("k3s kubectl ")


def test_an_image_without_either_gets_both_at_once(tmp_path: Path) -> None:
    code, called = boot(tmp_path)
    assert code == 0
    assert called[1] == "apt-get -o DPkg::Lock::Timeout=300 install --yes nftables unattended-upgrades"
