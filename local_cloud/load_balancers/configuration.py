"""HAProxy's configuration for a load balancer: a pure function of what the API asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from local_cloud.machine_room import HealthCheck, LoadBalancerSpec

#: DigitalOcean closes a connection on which nothing moves after 60 s by default ("http_idle_timeout_seconds" for HTTP;
#: TCP is not documented). kubectl's watches are kept alive by HTTP/2 pings, so an hour here hides nothing.
IDLE_TIMEOUT = "1h"
CONNECT_TIMEOUT = "3s"
#: DigitalOcean's smallest takes 10 000; two descriptors for each must fit the limits that hosts commonly set.
MAX_CONNECTIONS = 4000


def configuration(spec: LoadBalancerSpec, folder: Path) -> str:
    """The haproxy.cfg of `spec`; `folder` holds its socket and the servers' state over reloads."""
    return "\n".join(_lines(spec, folder)) + "\n"


def _lines(spec: LoadBalancerSpec, folder: Path) -> Iterator[str]:
    yield "global"
    yield "    log stderr format raw local0 notice"
    yield f"    maxconn {MAX_CONNECTIONS}"
    yield f'    stats socket "{folder}/haproxy.sock" mode 600 level admin expose-fd listeners'
    yield f'    server-state-file "{folder}/server-state"'
    yield "    hard-stop-after 1h"
    yield ""
    yield "defaults"
    yield "    mode tcp"
    yield "    log global"
    yield f"    timeout connect {CONNECT_TIMEOUT}"
    yield f"    timeout client {IDLE_TIMEOUT}"
    yield f"    timeout server {IDLE_TIMEOUT}"
    yield "    balance roundrobin"
    # A server that refuses is left at once for another one; the health check takes it out later.
    # No `on-marked-down shutdown-sessions`: it would cut off those who are on their way from it to another one.
    yield "    option redispatch 1"
    yield "    retries 3"
    yield "    load-server-state-from-file global"
    for rule in spec.rules:
        yield ""
        yield f"frontend port-{rule.entry_port}"
        yield f"    bind {spec.public_ip}:{rule.entry_port}"
        yield f"    bind {spec.private_ip}:{rule.entry_port}"
        yield f"    default_backend targets-{rule.entry_port}"
        yield ""
        yield f"backend targets-{rule.entry_port}"
        check = spec.health_check
        yield f"    timeout check {check.timeout_seconds}s"
        if check.protocol != "tcp":
            yield f"    option httpchk GET {check.path or '/'}"
            yield "    http-check expect rstatus ^[23]"
        for target in spec.targets:
            yield (f"    server {target} {target}:{rule.target_port} source {spec.private_ip} {_check(check)}")


def _check(check: HealthCheck) -> str:
    tls = " check-ssl verify none" if check.protocol == "https" else ""
    return (
        f"check port {check.port} inter {check.interval_seconds}s "
        f"rise {check.healthy_threshold} fall {check.unhealthy_threshold}{tls}"
    )
