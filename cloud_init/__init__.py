"""A droplet's first boot, as cloud-config: built as data, with static scripts beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

FIRST_BOOT_SCRIPT = "/usr/local/sbin/k3s-first-boot"
FIRST_BOOT_SETTINGS = "/etc/k3s-first-boot.env"


@dataclass(frozen=True)
class HostKey:
    """An SSH host key: the private half in OpenSSH's format, the public half as one line."""

    private: str
    public: str


def user_data(
    role: Literal["server", "agent"], k3s_version: str, host_key: HostKey, public_keys: tuple[str, ...]
) -> str:
    """User data of a droplet: plants its SSH host key and installs K3s without starting it.

    It holds no secret but the host key and no state of the cluster: see "How a cluster comes up" in the README.
    Source of the keys: cloudinit.readthedocs.io/en/latest/reference/modules.html.
    """
    script = Path(__file__).with_name("first_boot.sh").read_text(encoding="utf-8")
    config: dict[str, object] = {
        # Only the planted key may be offered, so that every connection is verified from its first byte.
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {"ed25519_private": host_key.private, "ed25519_public": host_key.public},
        "ssh_pwauth": False,
        "disable_root": False,
        # The nodes' names are kept in /etc/hosts, which DigitalOcean's vendor data would rewrite at each boot.
        "manage_etc_hosts": False,
        "write_files": [
            {"path": FIRST_BOOT_SCRIPT, "permissions": "0755", "content": script},
            {
                "path": FIRST_BOOT_SETTINGS,
                "permissions": "0644",
                "content": f"K3S_ROLE={role}\nK3S_VERSION={k3s_version}\n",
            },
        ],
        "runcmd": [[FIRST_BOOT_SCRIPT]],
    }
    if public_keys:
        config["ssh_authorized_keys"] = list(public_keys)
    return "#cloud-config\n" + yaml.safe_dump(config, sort_keys=True, width=1000)
