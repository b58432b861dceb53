"""Keeping clients away from a server whose API is not there: it refuses new connections until it can answer them.

K3s opens its port before its API answers, so a load balancer's TCP check would send requests into a starting server.
A refused connection is tried on another server at once, by the load balancer and by K3s's agents alike.
"""

from __future__ import annotations

import time

from k3s_cluster.k3s_config import API_PORT
from k3s_cluster.over_ssh.connection import Connection
from k3s_cluster.over_ssh.progress import Progress

#: A table of its own, so that nothing else's rules are touched. It lives in the kernel only: a reboot ends it.
TABLE = "k3s_out_of_rotation"
_REFUSE_NEW_CONNECTIONS = f"""
add table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    chain input {{
        type filter hook input priority -10;
        iifname != "lo" tcp dport {API_PORT} ct state new reject with tcp reset
    }}
}}
"""
#: What a request that has reached a server may still take there before its K3s is stopped, in seconds: far more than
#: most, and watches are begun anew by those who watch.
UNDER_WAY_SECONDS = 3
#: For the load balancer's own clock and the way there, in seconds.
MARGIN_SECONDS = 1


def take_out(server: Connection) -> None:
    """Refuse new connections to the API from elsewhere; those that are there go on."""
    server.run("nft", "-f", "-", stdin=_REFUSE_NEW_CONNECTIONS)


def put_back(server: Connection) -> None:
    """Accept connections again. Nothing happens where they are accepted."""
    server.run("sh", "-c", 'nft delete table inet "$1" 2>/dev/null || true', "nft", TABLE)


def seconds_until_trusted(out_for: float, interval: int, healthy: int, unhealthy: int) -> float:
    """How long a load balancer may still keep a server out that is back after `out_for` seconds.

    A server that was away for less than `unhealthy` checks was never taken out.
    """
    if out_for < (unhealthy - 1) * interval:
        return 0
    return healthy * interval + MARGIN_SECONDS


def seconds_until_avoided(interval: int, unhealthy: int) -> float:
    """How long a load balancer may still send connections to a server that refuses them."""
    return unhealthy * interval + MARGIN_SECONDS


def wait(seconds: float, reason: str, progress: Progress) -> None:
    """Wait, and say why."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        progress(reason)
        time.sleep(min(1, max(0, until - time.monotonic())))
