"""The cloud's DNS: dnsmasq at DigitalOcean's resolver addresses. It knows the cloud's names and asks nobody."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from ipaddress import IPv4Address

from local_cloud import addresses, paths, processes
from local_cloud.network.namespaces import BACKBONE, inside

FOLDER = paths.CLOUD / "dns"
HOSTS = FOLDER / "hosts"
#: What people in the cloud have for /etc/resolv.conf (bin/local).
RESOLV_CONF = paths.CLOUD / "resolv.conf"
PID_FILE = FOLDER / "dnsmasq.pid"


def hosts_file(names: Mapping[str, IPv4Address]) -> str:
    """The lines of a hosts(5) file, sorted by name."""
    return "".join(f"{address} {name}\n" for name, address in sorted(names.items()))


def serve(names: Mapping[str, IPv4Address]) -> None:
    """Answer for `names` from now on, and NXDOMAIN at once for every other name."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    RESOLV_CONF.write_text("".join(f"nameserver {resolver}\n" for resolver in addresses.RESOLVERS))
    unfinished = HOSTS.with_suffix(".new")
    unfinished.write_text(hosts_file(names))
    os.replace(unfinished, HOSTS)
    if running := processes.read_pid_file(PID_FILE):
        processes.send(running.pid, signal.SIGHUP)
        return
    processes.start(
        [
            *inside(BACKBONE),
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--user=root",  # must read a checkout that only root can enter
            "--no-resolv",
            "--no-hosts",
            f"--addn-hosts={HOSTS}",
            "--address=/#/",
            "--bind-interfaces",
            *(f"--listen-address={resolver}" for resolver in addresses.RESOLVERS),
            "--log-facility=-",
        ],
        pid_file=PID_FILE,
        log=paths.CLOUD / "log" / "dns.log",
    )


def stop() -> None:
    processes.stop(PID_FILE)
