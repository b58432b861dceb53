"""A droplet's first boot, as cloud-config: built as data, with static scripts beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

FIRST_BOOT_SCRIPT = "/usr/local/sbin/k3s-first-boot"
FIRST_BOOT_SETTINGS = "/etc/k3s-first-boot.env"
NODE_FIREWALL_UNIT = "node-firewall.service"

#: Static files of this folder, where they go on a droplet, and their modes.
_FILES = (
    ("first_boot.sh", FIRST_BOOT_SCRIPT, "0755"),
    ("node_firewall.nft", "/etc/node-firewall.nft", "0644"),
    (NODE_FIREWALL_UNIT, f"/etc/systemd/system/{NODE_FIREWALL_UNIT}", "0644"),
    ("sshd.conf", "/etc/ssh/sshd_config.d/00-k3s-node.conf", "0644"),
    # After the distribution's own 20auto-upgrades and 50unattended-upgrades: the last value counts.
    ("unattended_upgrades.conf", "/etc/apt/apt.conf.d/90-k3s-node", "0644"),
)


@dataclass(frozen=True)
class HostKey:
    """An SSH host key: the private half in OpenSSH's format, the public half as one line."""

    private: str
    public: str


def user_data(
    role: Literal["server", "agent"], k3s_version: str, host_key: HostKey, public_keys: tuple[str, ...]
) -> str:
    """User data of a droplet: plants its SSH host key, closes what is to be closed, installs K3s without starting it.

    It holds no secret but the host key and no state of the cluster: see "How a cluster comes up" in the README.
    Source of the keys: cloudinit.readthedocs.io/en/latest/reference/modules.html.
    """
    keys = {"ed25519_private": host_key.private, "ed25519_public": host_key.public}
    return "#cloud-config\n" + _same_for_all(role, k3s_version, public_keys) + _yaml({"ssh_keys": keys})


def first_boot_settings(role: str, k3s_version: str) -> str:
    """The text of FIRST_BOOT_SETTINGS, which the script reads."""
    return f"K3S_ROLE={role}\nK3S_VERSION={k3s_version}\n"


@cache
def _same_for_all(role: str, k3s_version: str, public_keys: tuple[str, ...]) -> str:
    """What all nodes of a role have: written once, for YAML is a quarter of what a plan does for a node."""
    config: dict[str, object] = {
        # Only the planted key may be offered, so that every connection is verified from its first byte: where keys are
        # given, cloud-init makes no others (github.com/canonical/cloud-init, cloudinit/config/cc_ssh.py, `handle`).
        "ssh_deletekeys": True,
        "ssh_pwauth": False,
        "disable_root": False,
        # The nodes' names are kept in /etc/hosts, which DigitalOcean's vendor data would rewrite at each boot.
        "manage_etc_hosts": False,
        "write_files": [
            *(
                {"path": path, "permissions": mode, "content": Path(__file__).with_name(name).read_text("utf-8")}
                for name, path, mode in _FILES
            ),
            {
                "path": FIRST_BOOT_SETTINGS,
                "permissions": "0644",
                "content": first_boot_settings(role, k3s_version),
            },
        ],
        "runcmd": [[FIRST_BOOT_SCRIPT]],
    }
    if public_keys:
        config["ssh_authorized_keys"] = list(public_keys)
    return _yaml(config)


def _yaml(config: dict[str, object]) -> str:
    return yaml.safe_dump(config, sort_keys=True, width=1000)
