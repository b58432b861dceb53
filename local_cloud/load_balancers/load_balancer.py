"""A load balancer's host and its HAProxy: started, reloaded without losing a connection, removed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from pathlib import Path

from local_cloud import paths, processes
from local_cloud.commands import run
from local_cloud.load_balancers.configuration import configuration, initial_state
from local_cloud.machine_room import LoadBalancerSpec, MachineRoomError
from local_cloud.network import namespaces

FOLDER = paths.CLOUD / "load-balancers"
#: Sockets have short names here: a socket's path holds 107 characters (unix(7)), a checkout's may be longer.
SOCKETS = Path("/run") / paths.namespace("lb")
START_SECONDS = 10


def namespace(load_balancer_id: str) -> str:
    return paths.namespace(f"lb-{load_balancer_id[:8]}")


def ensure(spec: LoadBalancerSpec) -> None:
    """Bring the load balancer to what `spec` says; nothing happens when it is so already."""
    host = namespace(spec.id)
    namespaces.ensure_host(
        host, (namespaces.public_link(spec.public_ip), namespaces.private_link(spec.private_ip, spec.vpc_range))
    )
    folder, runtime = FOLDER / spec.id, SOCKETS / spec.id[:8]
    for each in (folder, runtime):
        each.mkdir(parents=True, exist_ok=True)
    config, pid_file, log = folder / "haproxy.cfg", folder / "haproxy.pid", folder / "haproxy.log"
    wanted = configuration(spec, runtime)
    running = processes.read_pid_file(pid_file)
    if running and config.exists() and config.read_text() == wanted:
        return
    candidate = folder / "haproxy.cfg.new"
    candidate.write_text(wanted)
    run(["haproxy", "-c", "-q", "-f", candidate])
    before = _worker(runtime)
    # What is known of the servers' health goes on to the next worker.
    known = _ask(runtime, "show servers state") if running else ""
    (runtime / "server-state").write_text(initial_state(spec, known))
    os.replace(candidate, config)
    if running:
        # The master starts new workers, which take over the listening sockets; old ones end with their connections.
        processes.send(running.pid, signal.SIGUSR2)
    else:
        (runtime / "haproxy.sock").unlink(missing_ok=True)
        processes.start([*namespaces.inside(host), "haproxy", "-W", "-f", config], pid_file=pid_file, log=log)
    _wait_for_other_worker(before, runtime, pid_file, log)


def destroy(load_balancer_id: str) -> None:
    """Stop it and remove all it had; one that is gone is no error."""
    processes.stop(FOLDER / load_balancer_id / "haproxy.pid", grace_seconds=3)
    namespaces.remove(namespace(load_balancer_id))
    for folder in (FOLDER / load_balancer_id, SOCKETS / load_balancer_id[:8]):
        shutil.rmtree(folder, ignore_errors=True)


def ids() -> list[str]:
    """Of all load balancers that have a folder."""
    return sorted(entry.name for entry in FOLDER.iterdir()) if FOLDER.is_dir() else []


def _ask(runtime: Path, question: str) -> str:
    """HAProxy's answer on its socket; empty when it does not listen."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(str(runtime / "haproxy.sock"))
            connection.sendall(f"{question}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        except OSError:
            return ""


def _worker(runtime: Path) -> str | None:
    """The pid of the worker that answers on the socket; None when there is none."""
    fields = dict(line.split(": ", 1) for line in _ask(runtime, "show info").splitlines() if ": " in line)
    return fields.get("Pid")


def _wait_for_other_worker(before: str | None, runtime: Path, pid_file: Path, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and processes.read_pid_file(pid_file):
        if _worker(runtime) not in (None, before):
            return
        time.sleep(processes.POLL_SECONDS)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise MachineRoomError(f"HAProxy does not take up its configuration (all of it in {log}):\n{tail}")
