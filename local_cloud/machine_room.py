"""The seam between the API (records, rules, answers) and the machines behind it (namespaces, processes, files).

The API holds every record and decides every address; the machine room makes it so and forgets nothing of its own
that the API would need back. Calls block until done and may be made from several threads at once. A call that
repeats what is already so changes nothing. Failures are `MachineRoomError` with a message for a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Literal, Protocol


class MachineRoomError(Exception):
    """Something behind the API failed: the message says what, and where to look."""


@dataclass(frozen=True)
class DropletSpec:
    """A droplet as its machine is built. `ssh_public_keys` are root's, as DigitalOcean puts them there."""

    id: int
    name: str
    image: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    region: str
    public_ip: IPv4Address
    private_ip: IPv4Address
    vpc_range: IPv4Network
    user_data: str
    ssh_public_keys: tuple[str, ...]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatabaseUserSpec:
    name: str
    password: str


@dataclass(frozen=True)
class DatabaseCopy:
    """The backup that a database is made of: the cluster it is of, and its name."""

    database_id: str
    backup: str


@dataclass(frozen=True)
class DatabaseSpec:
    """A managed database. `users` holds the administrator (`doadmin`) first; databases belong to it.

    `copy` is what it begins with, None for an empty one.
    """

    id: str
    name: str
    engine: Literal["pg", "mysql"]
    version: str
    host: str
    private_host: str
    port: int
    public_ip: IPv4Address
    private_ip: IPv4Address
    vpc_range: IPv4Network
    max_connections: int
    users: tuple[DatabaseUserSpec, ...]
    databases: tuple[str, ...]
    copy: DatabaseCopy | None = None


@dataclass(frozen=True)
class ForwardingRule:
    entry_port: int
    target_port: int


@dataclass(frozen=True)
class HealthCheck:
    """Seconds and counts as in the API's `health_check`. `path` is set for http and https only."""

    protocol: Literal["tcp", "http", "https"]
    port: int
    path: str | None
    interval_seconds: int
    timeout_seconds: int
    healthy_threshold: int
    unhealthy_threshold: int


@dataclass(frozen=True)
class LoadBalancerSpec:
    """A load balancer: TCP forwarding (TLS is passed through) to the private addresses of its droplets."""

    id: str
    name: str
    public_ip: IPv4Address
    private_ip: IPv4Address
    vpc_range: IPv4Network
    rules: tuple[ForwardingRule, ...]
    health_check: HealthCheck
    targets: tuple[IPv4Address, ...]


@dataclass(frozen=True)
class Peers:
    """One side of a firewall rule, already resolved by the API from addresses, tags, droplets and load balancers."""

    protocol: Literal["tcp", "udp", "icmp"]
    #: First and last port; None for icmp and for all ports.
    ports: tuple[int, int] | None
    networks: tuple[IPv4Network, ...]


@dataclass(frozen=True)
class HostRules:
    """What may pass to and from one host. None means no firewall: everything passes."""

    public_ip: IPv4Address
    private_ip: IPv4Address
    inbound: tuple[Peers, ...] | None
    outbound: tuple[Peers, ...] | None


@dataclass(frozen=True)
class NetworkRules:
    """All rules of the cloud at once. Hosts that are not named have no rules and only answer what they asked for.

    `reserved` are reserved addresses and the public addresses of the droplets that they lead to.
    """

    vpcs: tuple[IPv4Network, ...] = ()
    hosts: tuple[HostRules, ...] = ()
    reserved: tuple[tuple[IPv4Address, IPv4Address], ...] = ()


@dataclass(frozen=True)
class DatabaseFacts:
    """What a database made for itself: the PEM of the CA that signed its certificate."""

    ca_pem: str


class MachineRoom(Protocol):
    """What the API asks of the machines. Creation returns when DigitalOcean would say `active` or `online`."""

    def start_droplet(self, spec: DropletSpec) -> None:
        """Make the machine if it is not there, and switch it on if it is off."""

    def await_droplet(self, droplet_id: int) -> None:
        """Return when its machine has booted: SSH may answer only later, as there. One that does not boot is off."""

    def power_off_droplet(self, droplet_id: int) -> None: ...

    def shut_down_droplet(self, droplet_id: int) -> None: ...

    def reboot_droplet(self, droplet_id: int) -> None: ...

    def destroy_droplet(self, droplet_id: int) -> None: ...

    def droplet_is_on(self, droplet_id: int) -> bool: ...

    def ensure_database(self, spec: DatabaseSpec) -> DatabaseFacts:
        """Make it, start it, and bring users, passwords and databases to what `spec` says (what it lacks goes)."""

    def back_up_database(self, database_id: str, backup: str) -> int:
        """Keep the whole cluster as it is now under the name `backup`, while it serves; the bytes that takes."""

    def drop_database_backup(self, database_id: str, backup: str) -> None: ...

    def destroy_database(self, database_id: str) -> None:
        """Its backups go with it."""

    def ensure_load_balancer(self, spec: LoadBalancerSpec) -> None:
        """Make it or change it, without dropping the connections it carries."""

    def destroy_load_balancer(self, load_balancer_id: str) -> None: ...

    def serve_domains(self, names: Mapping[str, IPv4Address]) -> None:
        """Let the cloud's DNS answer for these names of the account's domains, and for no others of them."""

    def apply_network(self, rules: NetworkRules) -> None:
        """Replace all rules in one step."""
