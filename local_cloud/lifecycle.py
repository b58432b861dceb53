"""Up and down: everything of this checkout's cloud is started here, and nothing of it is left after `down`."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from local_cloud import addresses, credentials, daemon, paths, prerequisites, processes
from local_cloud.databases.clusters import cluster, cluster_ids
from local_cloud.load_balancers import load_balancer
from local_cloud.machine_room import MachineRoomError
from local_cloud.machines import control_groups, kernel_limits, records
from local_cloud.machines.image import ensure_image
from local_cloud.machines.machine import NSPAWN_PROPAGATE, Machine
from local_cloud.network import firewall, namespaces, resolver
from local_cloud.spaces import stores
from local_cloud.toolchain.progress import Report, step

DAEMON_PID = paths.CLOUD / "daemon.pid"
DAEMON_LOG = paths.CLOUD / "log" / "daemon.log"
READY_SECONDS = 30


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two commands that start or end this cloud wait for each other."""
    paths.STATE.mkdir(parents=True, exist_ok=True)
    with (paths.STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(report: Report) -> None:
    """Start what is not running. Quick when all runs. MachineRoomError says what is wrong and what to do."""
    prerequisites.check()
    if is_up():
        report("the local cloud is up")
        return
    for folder in (paths.CLOUD / "log", paths.OPERATOR / "state", paths.OPERATOR / "pulumi", paths.TOOLS_BIN):
        folder.mkdir(parents=True, exist_ok=True)
    paths.CLOUD.chmod(0o700)
    for raised in kernel_limits.ensure():
        report(raised)
    with step("droplets' image", report):
        ensure_image(report)
    with step("K3s release files", report):
        _publish_k3s()
    with step("network", report):
        namespaces.ensure_backbone()
        firewall.ensure()
        namespaces.ensure_host(namespaces.OPERATOR, (namespaces.person_link(addresses.OPERATOR),))
        namespaces.ensure_host(namespaces.OUTSIDER, (namespaces.person_link(addresses.OUTSIDER),))
    with step("API", report):
        credentials.token()
        credentials.passphrase()
        _give_to_caller(paths.STATE, paths.OPERATOR)
        _start_daemon()
    if used := stores.used():
        with step("Spaces", report):
            stores.start(used, report)
    report(f"the local cloud is up: its API answers at {addresses.API_URL} for bin/local")


def is_up() -> bool:
    """Whether the API runs and answers."""
    return processes.read_pid_file(DAEMON_PID) is not None and daemon.READY.exists()


def down(report: Report, *, keep_state: bool) -> None:
    """Stop and remove every process, mount, namespace and group of this checkout's cloud, also after a crash.

    Without `keep_state` its records, disks and databases go too, and with them the state of the stacks that Pulumi
    kept in this cloud's own backend: it describes nothing that still exists.
    """
    prerequisites.check()
    with step("API", report):
        processes.stop(DAEMON_PID, grace_seconds=20)
        daemon.READY.unlink(missing_ok=True)
    if keep_state:
        with step("orderly shutdown of machines and databases", report), ThreadPoolExecutor(16) as threads:
            ends = [threads.submit(Machine(spec.id).shut_down, spec) for spec in records.all_records()]
            ends += [threads.submit(cluster(each).stop) for each in cluster_ids()]
            ends += [threads.submit(each.stop) for each in stores.used()]
            for end in ends:
                end.result()
    with step("machines, databases, load balancers and network", report):
        _sweep()
    if not keep_state:
        for folder in (paths.CLOUD, paths.OPERATOR / "state"):
            shutil.rmtree(folder, ignore_errors=True)
    report("the local cloud is down")


def down_named(report: Report) -> None:
    """Take down every named cloud of this checkout, and forget it. A cloud's name holds for a whole process."""
    for folder in sorted(paths.CLOUDS.glob("*")):
        command = [sys.executable, "-m", "local_cloud", "down"]
        report(f"the local cloud {folder.name}")
        if subprocess.run(command, env={**os.environ, paths.NAME_VARIABLE: folder.name}, check=False).returncode:
            raise MachineRoomError(f"the local cloud {folder.name} is not down; what it said is above")
        shutil.rmtree(folder)


def cloud_pids() -> dict[str, set[int]]:
    """Every process of the cloud, by the namespace or control group it is known by. People's commands are not in it."""
    found: dict[str, set[int]] = {}
    for group in _control_group_names():
        found[group] = control_groups.pids(group)
    inodes = {
        (namespaces.NAMESPACES / name).stat().st_ino: name
        for name in namespaces.ours()
        if name not in (namespaces.OPERATOR, namespaces.OUTSIDER)
    }
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                inode = (process / "ns/net").stat().st_ino
            except OSError:
                continue
            if inode in inodes:
                found.setdefault(inodes[inode], set()).add(int(process.name))
    return found


def _sweep() -> None:
    """Find by name what the kernel holds of this cloud, whatever the files say, and remove it."""
    until = time.monotonic() + 20
    while pids := set().union(*cloud_pids().values()) - {os.getpid()}:
        for group in _control_group_names():
            control_groups.freeze(group, False)
        for pid in pids:
            processes.send(pid, signal.SIGKILL)
        if time.monotonic() > until:
            raise MachineRoomError(f"processes stay after SIGKILL: {sorted(pids)}")
        time.sleep(processes.POLL_SECONDS)
    for group in _control_group_names():
        control_groups.remove(group)
    for namespace in namespaces.ours():
        namespaces.remove(namespace)
    for leftover in NSPAWN_PROPAGATE.glob(paths.namespace("*")):
        leftover.rmdir()
    shutil.rmtree(load_balancer.SOCKETS, ignore_errors=True)
    for pid_file in (DAEMON_PID, resolver.PID_FILE, *(each.pid_file for each in stores.used())):
        pid_file.unlink(missing_ok=True)


def _control_group_names() -> set[str]:
    return {folder.name for parent in control_groups.folders("") for folder in parent.glob(paths.namespace("*"))}


def _start_daemon() -> None:
    if processes.read_pid_file(DAEMON_PID) and not daemon.READY.exists():
        processes.stop(DAEMON_PID)  # an interrupted start
    daemon.READY.unlink(missing_ok=True)
    processes.start(
        [*namespaces.inside(namespaces.BACKBONE), sys.executable, "-m", "local_cloud.daemon"],
        pid_file=DAEMON_PID,
        log=DAEMON_LOG,
        environment={**os.environ, "PYTHONPATH": str(paths.CHECKOUT)},
    )
    until = time.monotonic() + READY_SECONDS
    while not daemon.READY.exists():
        if processes.read_pid_file(DAEMON_PID) is None or time.monotonic() > until:
            tail = "\n".join(DAEMON_LOG.read_text(errors="replace").splitlines()[-8:])
            raise MachineRoomError(f"the API does not start (all of it in {DAEMON_LOG}):\n{tail}")
        time.sleep(processes.POLL_SECONDS)


def _publish_k3s() -> None:
    # Imported here: building Kubernetes is no business of a cloud that is only asked for its status.
    from local_cloud.k3s import releases

    releases.publish(daemon.DOWNLOADS)


def _give_to_caller(*folders: Path) -> None:
    """Under sudo, the operator's desk belongs to the person who called sudo: bin/local runs commands as that person."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if user is None or group is None:
        return
    os.chown(folders[0], int(user), int(group))
    for folder in folders[1:]:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, int(user), int(group), follow_symlinks=False)
