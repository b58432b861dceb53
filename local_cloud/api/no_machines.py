"""A machine room with nothing in it: the API without machines, for its own tests and for timing plans."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from ipaddress import IPv4Address

from local_cloud.machine_room import DatabaseFacts, DatabaseSpec, DropletSpec, LoadBalancerSpec, NetworkRules

#: Not a certificate: whoever tries to use it finds out at once.
NO_CA = "-----BEGIN CERTIFICATE-----\nTm8gZGF0YWJhc2UgcnVucyBoZXJlLg==\n-----END CERTIFICATE-----\n"


class NoMachines:
    """Implements `MachineRoom`: remembers what it was asked for and starts nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on: set[int] = set()

    def start_droplet(self, spec: DropletSpec) -> None:
        with self._lock:
            self._on.add(spec.id)

    def await_droplet(self, droplet_id: int) -> None:
        pass

    def power_off_droplet(self, droplet_id: int) -> None:
        with self._lock:
            self._on.discard(droplet_id)

    def shut_down_droplet(self, droplet_id: int) -> None:
        self.power_off_droplet(droplet_id)

    def reboot_droplet(self, droplet_id: int) -> None:
        pass

    def destroy_droplet(self, droplet_id: int) -> None:
        self.power_off_droplet(droplet_id)

    def droplet_is_on(self, droplet_id: int) -> bool:
        with self._lock:
            return droplet_id in self._on

    def ensure_database(self, spec: DatabaseSpec) -> DatabaseFacts:  # noqa: ARG002
        return DatabaseFacts(ca_pem=NO_CA)

    def back_up_database(self, database_id: str, backup: str) -> int:  # noqa: ARG002
        return 32 * 1024 * 1024

    def drop_database_backup(self, database_id: str, backup: str) -> None:
        pass

    def destroy_database(self, database_id: str) -> None:
        pass

    def ensure_load_balancer(self, spec: LoadBalancerSpec) -> None:
        pass

    def destroy_load_balancer(self, load_balancer_id: str) -> None:
        pass

    def serve_domains(self, names: Mapping[str, IPv4Address]) -> None:
        pass

    def apply_network(self, rules: NetworkRules) -> None:
        pass
