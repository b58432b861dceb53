"""Waiting for a droplet's first boot to end."""

from __future__ import annotations

import json
import time

from cloud_init import FIRST_BOOT_SCRIPT, FIRST_BOOT_SETTINGS, first_boot_settings
from k3s_cluster.k3s_config import Role
from k3s_cluster.over_ssh.connection import Connection, NodeError
from k3s_cluster.over_ssh.progress import Progress

#: Downloads on a fresh droplet take a minute or two; the script gives up by itself before this.
FIRST_BOOT_DEADLINE_SECONDS = 900
POLL_SECONDS = 1


def wait_for_first_boot(connection: Connection, role: Role, k3s_version: str, progress: Progress) -> None:
    """Return when cloud-init has ended well. Raises NodeError with the end of its log if it takes too long.

    Where it failed, our script is run once more: what kept it from downloading may be over. NodeError if it is not. It
    then installs `k3s_version`: the one in the droplet's user data, which never changes, may not exist.

    Source: cloudinit.readthedocs.io/en/latest/reference/cli.html#status.
    """
    deadline = time.monotonic() + FIRST_BOOT_DEADLINE_SECONDS
    while time.monotonic() < deadline:
        # Exit status 1 is an error and 2 a recoverable one; the JSON says more than either.
        _, output, _ = connection.attempt("cloud-init", "status", "--format", "json")
        try:
            status = str(json.loads(output).get("status"))
        except ValueError:
            status = "not started"
        if status in ("done", "disabled"):
            return
        if status.startswith("error"):
            progress("repeating the first boot's script")
            connection.write_file(FIRST_BOOT_SETTINGS, first_boot_settings(role, k3s_version), mode="0644")
            connection.run(FIRST_BOOT_SCRIPT, timeout=FIRST_BOOT_DEADLINE_SECONDS)
            return
        progress("waiting for cloud-init")
        time.sleep(POLL_SECONDS)
    raise NodeError(
        f"first boot of {connection.target.host} took over {FIRST_BOOT_DEADLINE_SECONDS} s; the end of its log:\n"
        + _log(connection)
    )


def _log(connection: Connection) -> str:
    _, output, _ = connection.attempt("tail", "-n", "20", "/var/log/cloud-init-output.log")
    return output
