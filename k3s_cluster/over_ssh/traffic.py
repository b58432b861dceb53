"""Clients of the API on one server behind the load balancer: when they come to it, and when it may leave them.

One rule: a server leaves only when the load balancer has had the time to trust another one. Each server sees since when
others pass its health checks (`on_servers/api-traffic.sh`), so the rule holds over runs that were killed, replaced
droplets, and several changes in one run. Nobody waits after coming in; who leaves waits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k3s_cluster.over_ssh.connection import Connection
from k3s_cluster.over_ssh.progress import Progress

SCRIPT_PATH = "/usr/local/lib/k3s-api-traffic.sh"
UNIT = "k3s-api-traffic.service"
_SOURCES = Path(__file__).with_name("on_servers")

#: What a request that has reached a server may still take there before its K3s is stopped, in seconds: far more than
#: most, and watches are begun anew by those who watch.
UNDER_WAY_SECONDS = 2
#: How long requests on connections that stand are held at most: until K3s has closed those connections.
HELD_AT_MOST_SECONDS = 10
#: For the load balancer's own clock and the way there, in seconds: what it does in time no page of DigitalOcean's says.
MARGIN_SECONDS = 2
#: How long another server that serves nobody just now is waited for: it may be starting.
NOBODY_SERVES_SECONDS = 30
#: How long beyond its health checks one that comes and goes is waited for: it is no other, either.
FLAPPING_SECONDS = 120
#: A server that is out, and whose run was killed, comes back by itself after this: more than a start of K3s may take.
OUT_AT_MOST_SECONDS = 900
POLL_SECONDS = 1
#: How often it is begun anew when the other server fails while this one leaves.
TRIES = 3


@dataclass(frozen=True)
class HealthCheck:
    """A load balancer's: seconds between two of them, and how many in a row bring a target in or take it out."""

    interval: int
    healthy: int
    unhealthy: int

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> HealthCheck:
        """From a node's properties: Pulumi keeps numbers as floats."""
        return cls(*(int(told[name]) for name in ("interval", "healthy", "unhealthy")))

    @property
    def seconds_until_trusted(self) -> int:
        """After these a load balancer sends clients to a server that has passed every check."""
        return self.healthy * self.interval + MARGIN_SECONDS

    @property
    def seconds_until_avoided(self) -> int:
        """After these it sends none to a server that has failed every check."""
        return self.unhealthy * self.interval + MARGIN_SECONDS


#: The load balancer's own, which `pulumi up` changes before any node: a node that goes has the one of an earlier run in
#: its state. All nodes of a run are handled by one process; clusters are told apart as in roll.py.
_now: dict[str, HealthCheck] = {}


def note(cluster: str, told: Mapping[str, Any] | None) -> None:
    """The load balancer's health check in this run is this; None where there is none."""
    if told:
        _now[cluster] = HealthCheck.of(told)


def check_of(cluster: str, told: Mapping[str, Any]) -> HealthCheck:
    """The slower of what a node's state says and of this run's."""
    own = HealthCheck.of(told)
    now = _now.get(cluster, own)
    return HealthCheck(
        max(own.interval, now.interval), max(own.healthy, now.healthy), max(own.unhealthy, now.unhealthy)
    )


def install(server: Connection) -> None:
    """Bring the service to this program's version. A server that serves goes on doing so."""
    script = (_SOURCES / "api-traffic.sh").read_text(encoding="utf-8")
    unit = (_SOURCES / UNIT).read_text(encoding="utf-8")
    changed = server.write_file(SCRIPT_PATH, script, mode="0755")
    if server.write_file(f"/etc/systemd/system/{UNIT}", unit, mode="0644"):
        server.run("systemctl", "daemon-reload")
        changed = True
    server.run("systemctl", "enable", "--quiet", UNIT)
    server.run("systemctl", "restart" if changed else "start", UNIT)


def passes_elsewhere(server: Connection) -> int:
    """For how many seconds another server has passed the health checks, as this one sees it; 0 if none does."""
    return int(server.run(SCRIPT_PATH, "another"))


def leave(server: Connection, check: HealthCheck, progress: Progress) -> bool:
    """Return when the load balancer sends no clients to this server any more, and another one has them.

    False if no other one serves: then clients are without an API as long as this server is.
    """
    for _ in range(TRIES):
        if not _wait_for_another(server, check, progress):
            break
        fail_checks(server, check)
        _wait(check.seconds_until_avoided, "waiting until the load balancer sends clients elsewhere", progress)
        if passes_elsewhere(server) >= check.seconds_until_trusted:
            return True
        # It has failed meanwhile.
        enter(server)
    fail_checks(server, check)
    return False


def fail_checks(server: Connection, check: HealthCheck) -> None:
    """Fail the load balancer's health checks until `enter`, or until the run must be taken for dead."""
    server.run(SCRIPT_PATH, "leave", str(check.seconds_until_avoided + OUT_AT_MOST_SECONDS))


def refuse(server: Connection) -> None:
    """Refuse new connections to the API from elsewhere: agents of K3s then ask another server. Others go on.

    It comes after `leave` or `fail_checks`, which say for how long. K3s opens its port before its API answers, so this
    comes before a first start, too.
    """
    server.run(SCRIPT_PATH, "refuse")


def hold_requests(server: Connection, progress: Progress) -> None:
    """Give requests that are under way time to end, and let none begin; K3s is to be stopped at once after it.

    A stopping K3s closes port 6443 and its datastore together (pkg/cluster/https.go, initClusterAndHTTPS, and kine's
    pkg/endpoint), so a request that comes then gets an error. One that does not arrive is sent again elsewhere once its
    connection is closed, by clients of HTTP/2 always (golang.org/x/net/http2, canRetryError), by those of HTTP/1.1 if
    it changes nothing (Go's net/http, shouldRetryRequest).
    """
    server.run(SCRIPT_PATH, "hold", str(HELD_AT_MOST_SECONDS))
    _wait(UNDER_WAY_SECONDS, "waiting for requests under way", progress)


def enter(server: Connection) -> None:
    """Accept connections, and pass the health checks. Nothing happens where it is so."""
    server.run(SCRIPT_PATH, "enter")


def _wait_for_another(server: Connection, check: HealthCheck, progress: Progress) -> bool:
    """True when another server has passed the checks for long enough; False if none does in time."""
    began = nobody_since = time.monotonic()
    while True:
        now, passed = time.monotonic(), passes_elsewhere(server)
        if passed >= check.seconds_until_trusted:
            return True
        if passed > 0:
            nobody_since = now
        if now - nobody_since >= NOBODY_SERVES_SECONDS or now - began >= check.seconds_until_trusted + FLAPPING_SECONDS:
            return False
        progress("waiting until the load balancer sends clients to another server")
        time.sleep(POLL_SECONDS)


def _wait(seconds: float, reason: str, progress: Progress) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        progress(reason)
        time.sleep(min(1, max(0, until - time.monotonic())))
