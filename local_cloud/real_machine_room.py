"""The machine room for real: droplets that boot, databases and load balancers that serve, rules that hold."""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address

from local_cloud import addresses
from local_cloud.databases.cluster import FOLDER as DATABASES
from local_cloud.databases.clusters import cluster, cluster_for
from local_cloud.load_balancers import load_balancer
from local_cloud.machine_room import (
    DatabaseFacts,
    DatabaseSpec,
    DropletSpec,
    LoadBalancerSpec,
    MachineRoomError,
    NetworkRules,
)
from local_cloud.machines import records
from local_cloud.machines.image import ensure_image
from local_cloud.machines.machine import Machine, TrustedAuthority
from local_cloud.network import cuts, firewall, resolver
from local_cloud.spaces import regions

#: Hosts of the internet that droplets may ask for.
DOWNLOAD_HOSTS = ("get.k3s.io",)


class RealMachineRoom:
    """Implements `local_cloud.machine_room.MachineRoom`. `authority` is the CA that droplets trust."""

    def __init__(self, authority: TrustedAuthority, report: Callable[[str], None]) -> None:
        self._authority = authority
        self._report = report
        self._locks: defaultdict[int | str, threading.Lock] = defaultdict(threading.Lock)
        self._names_lock = threading.Lock()
        self._rules_lock = threading.Lock()
        self._domain_names: dict[str, IPv4Address] = {}

    def start_droplet(self, spec: DropletSpec) -> None:
        with self._locks[spec.id]:
            machine = Machine(spec.id)
            image = ensure_image(self._report)
            machine.create(spec, image, self._authority)
            records.save(spec)
            machine.boot(spec, image)

    def await_droplet(self, droplet_id: int) -> None:
        # Without the lock: a droplet may be destroyed, or its power cut, while it boots.
        machine = Machine(droplet_id)
        try:
            machine.await_boot()
        except MachineRoomError:
            with self._locks[droplet_id]:
                if (spec := records.load(droplet_id)) is not None:
                    machine.cut_power(spec)
            raise

    def power_off_droplet(self, droplet_id: int) -> None:
        with self._locks[droplet_id]:
            self._existing(droplet_id).cut_power(_record(droplet_id))

    def shut_down_droplet(self, droplet_id: int) -> None:
        with self._locks[droplet_id]:
            self._existing(droplet_id).shut_down(_record(droplet_id))

    def reboot_droplet(self, droplet_id: int) -> None:
        with self._locks[droplet_id]:
            self._existing(droplet_id).reboot()

    def destroy_droplet(self, droplet_id: int) -> None:
        with self._locks[droplet_id]:
            spec = records.load(droplet_id)
            Machine(droplet_id).destroy()
            if spec is not None:
                cuts.forget((spec.public_ip, spec.private_ip))

    def droplet_is_on(self, droplet_id: int) -> bool:
        return Machine(droplet_id).is_on()

    def ensure_database(self, spec: DatabaseSpec) -> DatabaseFacts:
        with self._locks[spec.id]:
            facts = cluster_for(spec).ensure(spec)
            names = {spec.host: str(spec.public_ip), spec.private_host: str(spec.private_ip)}
            file = DATABASES / spec.id / "names.json"
            file.with_suffix(".new").write_text(json.dumps(names))
            os.replace(file.with_suffix(".new"), file)
        self.serve_names()
        return facts

    def back_up_database(self, database_id: str, backup: str) -> int:
        with self._locks[database_id]:
            return cluster(database_id).back_up(backup)

    def drop_database_backup(self, database_id: str, backup: str) -> None:
        with self._locks[database_id]:
            cluster(database_id).drop_backup(backup)

    def destroy_database(self, database_id: str) -> None:
        with self._locks[database_id]:
            gone = database_addresses(database_id)
            cluster(database_id).destroy()
            cuts.forget(gone)
        self.serve_names()

    def ensure_load_balancer(self, spec: LoadBalancerSpec) -> None:
        with self._locks[spec.id]:
            load_balancer.ensure(spec)

    def destroy_load_balancer(self, load_balancer_id: str) -> None:
        with self._locks[load_balancer_id]:
            load_balancer.destroy(load_balancer_id)

    def apply_network(self, rules: NetworkRules) -> None:
        with self._rules_lock:
            firewall.apply(rules)

    def serve_domains(self, names: Mapping[str, IPv4Address]) -> None:
        self._domain_names = dict(names)
        self.serve_names()

    def serve_names(self) -> None:
        """Let the cloud's DNS answer for the download hosts, every database there is now, and the account's domains."""
        with self._names_lock:
            names = {
                **self._domain_names,
                **dict.fromkeys(DOWNLOAD_HOSTS, addresses.K3S_DOWNLOADS),
                **regions.names(),
            }
            for file in sorted(DATABASES.glob("*/names.json")):
                names |= {name: IPv4Address(text) for name, text in json.loads(file.read_text()).items()}
            resolver.serve(names)

    def _existing(self, droplet_id: int) -> Machine:
        machine = Machine(droplet_id)
        if not machine.exists():
            raise MachineRoomError(f"there is no machine of droplet {droplet_id}")
        return machine


def database_addresses(database_id: str) -> tuple[IPv4Address, ...]:
    """The database's public and private address; none while it is being made."""
    file = DATABASES / database_id / "names.json"
    return tuple(IPv4Address(text) for text in json.loads(file.read_text()).values()) if file.exists() else ()


def droplet_at(address: IPv4Address) -> DropletSpec | None:
    """The droplet with this public address."""
    return next((spec for spec in records.all_records() if spec.public_ip == address), None)


def _record(droplet_id: int) -> DropletSpec:
    spec = records.load(droplet_id)
    if spec is None:
        raise MachineRoomError(f"there is no machine of droplet {droplet_id}")
    return spec
