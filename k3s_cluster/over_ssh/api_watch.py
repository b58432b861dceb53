"""A small service on each server behind a load balancer: it leaves while its API cannot answer and another's can.

Without it a server that lost the datastore would go on taking its share of the clients: see `on_servers/watch-api.sh`.
"""

from __future__ import annotations

from pathlib import Path

from k3s_cluster.over_ssh.connection import Connection

SCRIPT_PATH = "/usr/local/lib/k3s-watch-api.sh"
UNIT = "k3s-watch-api.service"
_SOURCES = Path(__file__).with_name("on_servers")


def install(server: Connection) -> None:
    """Bring the service to this program's version, and let it begin anew: with clients let in, as at each boot."""
    script = (_SOURCES / "watch-api.sh").read_text(encoding="utf-8")
    unit = (_SOURCES / UNIT).read_text(encoding="utf-8")
    server.write_file(SCRIPT_PATH, script, mode="0755")
    if server.write_file(f"/etc/systemd/system/{UNIT}", unit, mode="0644"):
        server.run("systemctl", "daemon-reload")
    server.run("systemctl", "enable", "--quiet", UNIT)
    server.run("systemctl", "restart", UNIT)
