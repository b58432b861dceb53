"""`bin/local-cloud`: the cloud as seen by who runs it, not by who rents from it.

Each command imports what it alone needs: `shell` is called some thousand times by the tests, and needs next to nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

from local_cloud import addresses, paths, prerequisites, processes
from local_cloud.machine_room import DropletSpec, MachineRoomError
from local_cloud.machines import records
from local_cloud.machines.machine import Machine
from local_cloud.spaces import regions
from local_cloud.toolchain.go import ToolchainError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 1 with one message when not."""
    options = _parser().parse_args(arguments)
    started = time.monotonic()

    def report(line: str) -> None:
        print(f"[{time.monotonic() - started:6.1f} s] {line}", flush=True)

    try:
        prerequisites.check()
        match options.command:
            case "up":
                from local_cloud import lifecycle

                with lifecycle.one_at_a_time():
                    lifecycle.up(report)
            case "prepare":
                from local_cloud import preparation

                preparation.build(options.what, report)
            case "down":
                from local_cloud import lifecycle

                if options.all:
                    lifecycle.down_named(report)
                with lifecycle.one_at_a_time():
                    lifecycle.down(report, keep_state=options.keep_state)
            case "status":
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` is no error
                return _status()
            case "fault":
                _fault(options)
            case "durations":
                _durations(options.profile)
            case "backup":
                _back_up(options.database)
            case "publish":
                from local_cloud import daemon
                from local_cloud.k3s.releases import publish

                publish(daemon.DOWNLOADS, options.versions)
            case "sql":
                from local_cloud.databases.clusters import cluster

                print(cluster(_database(options.cluster)).sql(options.database, f"{options.statement};"), end="")
            case "spaces":
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                _spaces(options)
            case "shell":
                _shell(_droplet(options.droplet), options.words)
            case "log":
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                print(_log_file(options.name).read_text(errors="replace"), end="")
    except KeyboardInterrupt:
        print(f"bin/local-cloud {options.command}: interrupted; it can simply be run again", file=sys.stderr)
        return 130
    except (MachineRoomError, ToolchainError, FileNotFoundError) as error:
        print(f"bin/local-cloud {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bin/local-cloud", description="DigitalOcean on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the cloud; quick when it runs")
    prepare = commands.add_parser("prepare", help="build what up needs, and start nothing")
    prepare.add_argument("what", choices=("image", "k3s"))
    down = commands.add_parser("down", help="stop and remove everything")
    down.add_argument("--keep-state", action="store_true", help="keep records, disks and databases for the next up")
    down.add_argument("--all", action="store_true", help="and every other cloud of this checkout (LOCAL_CLOUD_NAME)")
    commands.add_parser("status", help="what runs, and the memory it uses")
    durations = commands.add_parser("durations", help="how long creating things takes")
    durations.add_argument("profile", choices=("fast", "realistic"))
    backup = commands.add_parser("backup", help="back a database cluster up now, not only once a day")
    backup.add_argument("database", help="name or id")
    shell = commands.add_parser("shell", help="a root shell in a machine, without SSH")
    shell.add_argument("droplet", help="name or id")
    shell.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD", help="run this instead of a shell")
    releases = commands.add_parser("publish", help="offer more K3s versions at get.k3s.io, to rehearse upgrades")
    releases.add_argument("versions", nargs="+", metavar="VERSION", help="such as v1.36.5+k3s1")
    sql = commands.add_parser("sql", help="run SQL in a database as its superuser, behind DigitalOcean's back")
    sql.add_argument("--cluster", help="id; may be left out for the only one")
    sql.add_argument("database", help="name, as in k3s")
    sql.add_argument("statement")
    spaces = commands.add_parser("spaces", help="buckets and access keys, as DigitalOcean's control panel makes them")
    doings = spaces.add_subparsers(dest="doing", required=True)
    doings.add_parser("key", help="make an access key, good for every bucket, and print it as JSON")
    doings.add_parser("revoke", help="end an access key").add_argument("key", help="its id")
    for name, text in (("bucket", "make a bucket"), ("ls", "list what is in a bucket, with sizes in bytes")):
        doing = doings.add_parser(name, help=text)
        doing.add_argument("--region", default="fra1", choices=regions.REGIONS)
        doing.add_argument("bucket", help="name")
    log = commands.add_parser(
        "log", help="a droplet's console; the log of a database, a load balancer, a host of Spaces, daemon or dns"
    )
    log.add_argument("name")
    faults = commands.add_parser("fault", help="break something on purpose").add_subparsers(dest="fault", required=True)
    for name, text in (
        ("kill", "cut a machine's power"),
        ("boot", "switch a machine on again"),
        ("pause", "freeze a machine where it stands"),
        ("resume", "let a frozen machine go on"),
        ("unplug", "pull a machine's network cables"),
        ("plug", "put them in again"),
    ):
        faults.add_parser(name, help=text).add_argument("droplet", help="name or id")
    for name, text in (("stop-database", "stop a database"), ("start-database", "start it again")):
        faults.add_parser(name, help=text).add_argument(
            "database", nargs="?", help="id; may be left out for the only one"
        )
    for name, text in (("stop-spaces", "stop a region's Spaces"), ("start-spaces", "start them again")):
        faults.add_parser(name, help=text).add_argument("--region", default="fra1", choices=regions.REGIONS)
    for name, text in (("cut", "let nothing pass between a machine and a database"), ("mend", "let it pass again")):
        between = faults.add_parser(name, help=text)
        between.add_argument("droplet", help="name or id")
        between.add_argument("database", nargs="?", help="id; may be left out for the only one")
    api = faults.add_parser("api", help="let calls of the API fail")
    api.add_argument("--method", default=".*", help="regular expression; every method by default")
    api.add_argument("--path", default=".*", help="regular expression; every path by default")
    api.add_argument("--status", default="500", help="HTTP status to answer, or hang")
    api.add_argument("--times", type=int, default=1)
    faults.add_parser("lift", help="end all API faults")
    return parser


def _status() -> int:
    from local_cloud import lifecycle
    from local_cloud.databases.clusters import cluster, cluster_ids
    from local_cloud.load_balancers import load_balancer
    from local_cloud.spaces import stores

    up = lifecycle.is_up()
    print(f"API       {'answers at ' + addresses.API_URL if up else 'is down; bin/local-cloud up starts it'}")
    pids = lifecycle.cloud_pids()
    for spec in records.all_records():
        machine = Machine(spec.id)
        state = "on" if machine.is_on() else "off"
        memory = _mib(pids, machine.namespace)
        print(f"droplet   {spec.name}  {spec.id}  {state}  {spec.public_ip}  {spec.private_ip}  {memory}")
        if machine.boot_failure.exists():
            print(textwrap.indent(machine.boot_failure.read_text().rstrip(), " " * 10))
    for each in cluster_ids():
        print(f"database  {each}  {'on' if cluster(each).is_on() else 'off'}  {_mib(pids, cluster(each).namespace)}")
    for store in stores.used():
        running = processes.read_pid_file(store.pid_file)
        memory = f"{_pss_kib(running.pid) // 1024} MiB" if running else "0 MiB"
        print(f"spaces    {store.host}  {'on' if running else 'off'}  {memory}")
    for each in load_balancer.ids():
        print(f"balancer  {each}  {_mib(pids, load_balancer.namespace(each))}")
    everything = set().union(*pids.values())
    print(f"memory    {sum(map(_pss_kib, everything)) // 1024} MiB in {len(everything)} processes")
    return 0 if up else 1


def _mib(pids: dict[str, set[int]], name: str) -> str:
    return f"{sum(map(_pss_kib, pids.get(name, ()))) // 1024} MiB"


def _pss_kib(pid: int) -> int:
    """A process's memory, what it shares divided among those who share it: proc(5), smaps_rollup."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def _fault(options: argparse.Namespace) -> None:
    from local_cloud.databases.clusters import cluster
    from local_cloud.machines.image import ensure_image
    from local_cloud.network import cuts
    from local_cloud.real_machine_room import database_addresses
    from local_cloud.spaces import stores

    match options.fault:
        case "stop-database":
            cluster(_database(options.database)).stop()
        case "start-database":
            cluster(_database(options.database)).start()
        case "stop-spaces":
            stores.store(options.region).stop()
        case "start-spaces":
            stores.start([stores.store(options.region)])
        case "cut" | "mend":
            spec = _droplet(options.droplet)
            between = cuts.cut if options.fault == "cut" else cuts.mend
            between((spec.public_ip, spec.private_ip), database_addresses(_database(options.database)))
        case "api":
            _api_fault(options.method, options.path, options.status, options.times)
        case "lift":
            from local_cloud import control

            control.call("DELETE", "faults")
        case action:
            spec = _droplet(options.droplet)
            machine = Machine(spec.id)
            match action:
                case "kill":
                    machine.cut_power(spec)
                case "boot":
                    machine.boot(spec, ensure_image(print))
                case "pause" | "resume":
                    machine.pause(action == "pause")
                case "unplug":
                    machine.unplug(spec)
                case "plug":
                    machine.plug(spec)
    print("done")


def _spaces(options: argparse.Namespace) -> None:
    from local_cloud import lifecycle
    from local_cloud.spaces import stores

    if not lifecycle.is_up():
        raise MachineRoomError("the local cloud is not up; start it with bin/local-cloud up")
    match options.doing:
        case "key":
            key = stores.make_key()
            print(json.dumps({"accessKey": key.id, "secretKey": key.secret}))
        case "revoke":
            stores.revoke_key(options.key)
        case "bucket":
            print(stores.make_bucket(options.region, options.bucket))
        case "ls":
            for name, size in stores.store(options.region).objects(options.bucket):
                print(f"{size:>12}  {name}")


def _api_fault(method: str, path: str, status: str, times: int) -> None:
    from local_cloud import control

    if status != "hang" and not (status.isdigit() and 400 <= int(status) <= 599):
        raise MachineRoomError(f"--status takes an HTTP status from 400 to 599 or hang, not {status}")
    what = {"hang_seconds": 600} if status == "hang" else {"status": int(status)}
    control.call("POST", "faults", {"method": method, "path": path, "times": times, **what})


def _durations(profile: str) -> None:
    from local_cloud import control, daemon, lifecycle

    paths.CLOUD.mkdir(parents=True, exist_ok=True)
    daemon.DURATIONS.write_text(profile + "\n")
    if lifecycle.is_up():
        control.call("PUT", "durations", {"profile": profile})
    print(f"durations: {profile}")


def _back_up(database: str) -> None:
    from local_cloud import control

    print(control.call("POST", "backups", {"database": database})["backup"]["created_at"])


def _shell(spec: DropletSpec, words: list[str]) -> None:
    init = Machine(spec.id).init_pid()
    if init is None:
        raise MachineRoomError(f"{spec.name} is off")
    command = ["nsenter", f"--target={init}", "--all", "--wdns=/root", "--", *(words or ["bash", "-l"])]
    os.execvp(command[0], command)  # noqa: S606 - becomes the shell: the terminal is the person's


def _droplet(name: str) -> DropletSpec:
    known = list(records.all_records())
    found = [spec for spec in known if name in (spec.name, str(spec.id))]
    if len(found) != 1:
        names = ", ".join(sorted(spec.name for spec in known)) or "none"
        raise MachineRoomError(f"{'no' if not found else 'more than one'} droplet called {name}; there are: {names}")
    return found[0]


def _database(name: str | None) -> str:
    from local_cloud.databases.clusters import cluster_ids

    known = cluster_ids()
    if name is None and len(known) == 1:
        return known[0]
    if name not in known:
        raise MachineRoomError(f"no database {name or 'named'}; there are: {', '.join(known) or 'none'}")
    return name


def _log_file(name: str) -> Path:
    from local_cloud import lifecycle
    from local_cloud.databases.clusters import cluster, cluster_ids
    from local_cloud.load_balancers import load_balancer
    from local_cloud.spaces import stores

    files = {"daemon": lifecycle.DAEMON_LOG, "dns": paths.CLOUD / "log" / "dns.log"}
    files |= {each: cluster(each).log for each in cluster_ids()}
    files |= {each: load_balancer.FOLDER / each / "haproxy.log" for each in load_balancer.ids()}
    files |= stores.logs()
    files |= {spec.name: Machine(spec.id).console_log for spec in records.all_records()}
    if name not in files:
        raise MachineRoomError(f"no log of {name}; there are: {', '.join(sorted(files))}")
    return files[name]
