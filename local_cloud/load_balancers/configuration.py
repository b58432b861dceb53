"""HAProxy's configuration for a load balancer: a pure function of what the API asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from local_cloud.machine_room import ForwardingRule, HealthCheck, LoadBalancerSpec

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
    yield "    log stderr format timed local0 notice"
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
    # No page of DigitalOcean's says that a connection which a target refuses is tried on another: it fails here.
    yield "    no option redispatch"
    yield "    retries 0"
    yield "    load-server-state-from-file global"
    for rule in spec.rules:
        yield ""
        yield f"frontend port-{rule.entry_port}"
        yield f"    bind {spec.public_ip}:{rule.entry_port}"
        yield f"    bind {spec.private_ip}:{rule.entry_port}"
        yield f"    default_backend {_backend(rule)}"
        yield ""
        yield f"backend {_backend(rule)}"
        check = spec.health_check
        yield f"    timeout check {check.timeout_seconds}s"
        if check.protocol != "tcp":
            yield f"    option httpchk GET {check.path or '/'}"
            yield "    http-check expect rstatus ^[23]"
        for target in spec.targets:
            yield (f"    server {target} {target}:{rule.target_port} source {spec.private_ip} {_check(check)}")


def initial_state(spec: LoadBalancerSpec, known: str) -> str:
    """HAProxy's file of its servers' state, with `known` (what it says of them) and each other target as down.

    Without it HAProxy sends clients to a new target until its first failed check; DigitalOcean's sends none before
    `healthy_threshold` good ones (docs.digitalocean.com/products/networking/load-balancers/how-to/manage, "Health
    Checks"). Format: HAProxy's management guide, "show servers state".
    """
    lines = known.strip().splitlines() or ["1", "# " + " ".join(_STATE_FIELDS)]
    seen = {tuple(line.split()[index] for index in (1, 3)) for line in lines[2:]}
    for rule in spec.rules:
        backend = _backend(rule)
        for number, target in enumerate(spec.targets, start=1):
            if (backend, str(target)) not in seen:
                down = {"be_id": "0", "be_name": backend, "srv_id": str(number), "srv_port": str(rule.target_port)}
                down |= {"srv_name": str(target), "srv_addr": str(target), "srv_uweight": "1", "srv_iweight": "1"}
                # As HAProxy itself writes of a target whose checks on layer 4 fail (include/haproxy/check-t.h).
                down |= {"srv_check_status": "8", "srv_check_result": "2", "srv_check_state": "6"}
                down |= dict.fromkeys(("srv_fqdn", "srvrecord", "srv_check_addr", "srv_agent_addr"), "-")
                lines.append(" ".join(down.get(field, "0") for field in _STATE_FIELDS))
    return "\n".join(lines) + "\n"


_STATE_FIELDS = (
    *("be_id", "be_name", "srv_id", "srv_name", "srv_addr", "srv_op_state", "srv_admin_state", "srv_uweight"),
    *("srv_iweight", "srv_time_since_last_change", "srv_check_status", "srv_check_result", "srv_check_health"),
    *("srv_check_state", "srv_agent_state", "bk_f_forced_id", "srv_f_forced_id", "srv_fqdn", "srv_port"),
    *("srvrecord", "srv_use_ssl", "srv_check_port", "srv_check_addr", "srv_agent_addr", "srv_agent_port"),
)


def _backend(rule: ForwardingRule) -> str:
    """What HAProxy calls the targets of a rule: its configuration and the state that it reads must agree."""
    return f"targets-{rule.entry_port}"


def _check(check: HealthCheck) -> str:
    tls = " check-ssl verify none" if check.protocol == "https" else ""
    return (
        f"check port {check.port} inter {check.interval_seconds}s "
        f"rise {check.healthy_threshold} fall {check.unhealthy_threshold}{tls}"
    )
