"""What a droplet finds at its first boot: cloud-init's NoCloud seed and the files that the image cannot know."""

from __future__ import annotations

import json
from collections.abc import Mapping

from local_cloud import addresses
from local_cloud.machine_room import DropletSpec

SEED = "var/lib/cloud/seed/nocloud"

#: What DigitalOcean adds to every droplet's cloud-config: /etc/hosts from a template, root's login by key.
VENDOR_DATA = "#cloud-config\nmanage_etc_hosts: true\ndisable_root: false\n"


def first_boot_files(spec: DropletSpec) -> Mapping[str, str]:
    """Paths below the root folder of a new machine, and what they hold.

    The seed is described in cloud-init's documentation, "NoCloud"; meta-data is JSON, which is YAML.
    """
    meta = {
        "instance-id": str(spec.id),
        "local-hostname": spec.name,
        "public-keys": list(spec.ssh_public_keys),
    }
    return {
        f"{SEED}/meta-data": json.dumps(meta, indent=1) + "\n",
        f"{SEED}/user-data": spec.user_data,
        f"{SEED}/vendor-data": VENDOR_DATA,
        "etc/hostname": f"{spec.name}\n",
        "etc/resolv.conf": "".join(f"nameserver {resolver}\n" for resolver in addresses.RESOLVERS),
    }
