"""What the cloud remembers of each resource. Addresses and times are text, as the API writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class SshKey:
    id: int
    name: str
    public_key: str
    fingerprint: str


@dataclass
class Tag:
    """`id` is the name in lower case: DigitalOcean's tags differ by more than case."""

    id: str
    name: str


@dataclass
class Vpc:
    id: str
    name: str
    description: str
    region: str
    ip_range: str
    default: bool
    created_at: str

    @property
    def is_generated(self) -> bool:
        """Made by DigitalOcean itself."""
        return self.default and self.name == f"default-{self.region}"


@dataclass
class Droplet:
    """`ssh_public_keys` are kept as they were at creation. `wanted` is what the machine should be after a restart."""

    id: int
    name: str
    region: str
    size: str
    image: str
    disk: int
    user_data: str
    ssh_public_keys: list[str]
    tags: list[str]
    vpc_uuid: str
    public_ip: str
    private_ip: str
    monitoring: bool
    created_at: str
    status: Literal["new", "active", "off"] = "new"
    locked: bool = True
    wanted: Literal["on", "off"] = "on"


@dataclass
class Action:
    """Something that is being done or was done to a resource. `parameters` are what the work needs after a restart."""

    id: int
    type: str
    resource_id: int
    region: str
    started_at: str
    status: Literal["in-progress", "completed", "errored"] = "in-progress"
    completed_at: str | None = None
    resource_type: str = "droplet"
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass
class FirewallPeers:
    addresses: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    droplet_ids: list[int] = field(default_factory=list)
    load_balancer_uids: list[str] = field(default_factory=list)


@dataclass
class FirewallRule:
    """`ports` as the API writes them: "22", "8000-9000" or "0" for all."""

    protocol: Literal["tcp", "udp", "icmp"]
    ports: str
    peers: FirewallPeers


@dataclass
class Firewall:
    id: str
    name: str
    created_at: str
    droplet_ids: list[int]
    tags: list[str]
    inbound: list[FirewallRule]
    outbound: list[FirewallRule]
    status: Literal["waiting", "succeeded", "failed"] = "waiting"


@dataclass
class ForwardingRule:
    entry_protocol: str
    entry_port: int
    target_protocol: str
    target_port: int
    certificate_id: str = ""
    tls_passthrough: bool = False


@dataclass
class HealthCheck:
    protocol: Literal["tcp", "http", "https"] = "http"
    port: int = 80
    path: str = "/"
    check_interval_seconds: int = 10
    response_timeout_seconds: int = 5
    unhealthy_threshold: int = 5
    healthy_threshold: int = 3


@dataclass
class LoadBalancer:
    """Targets are `droplet_ids`, or the droplets that carry `tag`."""

    id: str
    name: str
    region: str
    vpc_uuid: str
    public_ip: str
    private_ip: str
    created_at: str
    size_unit: int
    forwarding_rules: list[ForwardingRule]
    health_check: HealthCheck
    droplet_ids: list[int]
    tag: str
    allow: list[str]
    deny: list[str]
    http_idle_timeout_seconds: int = 60
    enable_backend_keepalive: bool = False
    disable_lets_encrypt_dns_records: bool = False
    tls_cipher_policy: str = "DEFAULT"
    status: Literal["new", "active", "errored"] = "new"


@dataclass
class DatabaseUser:
    name: str
    password: str
    role: Literal["primary", "normal"] = "normal"
    auth_plugin: str = ""


@dataclass
class DatabaseRule:
    uuid: str
    type: Literal["droplet", "k8s", "ip_addr", "tag", "app"]
    value: str
    created_at: str
    description: str = ""


@dataclass
class DatabaseBackup:
    """`id` names it in the machine room. `users` and `databases` are those that there were."""

    id: str
    created_at: str
    size_bytes: int
    users: list[DatabaseUser]
    databases: list[str]


@dataclass
class Database:
    """`copied_from` and `copied_backup` are the ids of the cluster and the backup that it was made of, or empty."""

    id: str
    name: str
    engine: Literal["pg", "mysql"]
    version: str
    size: str
    num_nodes: int
    storage_size_mib: int
    region: str
    vpc_uuid: str
    host: str
    private_host: str
    port: int
    public_ip: str
    private_ip: str
    created_at: str
    tags: list[str]
    users: list[DatabaseUser]
    databases: list[str]
    rules: list[DatabaseRule]
    maintenance_day: str
    maintenance_hour: str
    ca_pem: str = ""
    status: Literal["creating", "online", "resizing", "migrating"] = "creating"
    backups: list[DatabaseBackup] = field(default_factory=list)
    copied_from: str = ""
    copied_backup: str = ""
    #: What it has until its upgrade is done.
    former_version: str = ""


@dataclass
class Project:
    """`resources` maps the URNs of what belongs to it to the time they were assigned.

    Until `busy_until`, in seconds since the epoch, something that was moved elsewhere is still on its way.
    """

    id: str
    name: str
    description: str
    purpose: str
    environment: str
    is_default: bool
    created_at: str
    updated_at: str
    resources: dict[str, str] = field(default_factory=dict)
    busy_until: float = 0.0


@dataclass
class ReservedIp:
    """`id` is the address. `droplet_id` is where it leads, None for nowhere."""

    id: str
    region: str
    droplet_id: int | None
    project_id: str


@dataclass
class Domain:
    """`id` is its name."""

    id: str


@dataclass
class DomainRecord:
    """An A record. `name` is below the domain, `@` for the domain itself; `ttl` is in seconds."""

    id: int
    domain: str
    name: str
    data: str
    ttl: int

    @property
    def host_name(self) -> str:
        return self.domain if self.name == "@" else f"{self.name}.{self.domain}"


DepartingKind = Literal["droplet", "database", "load_balancer"]


@dataclass
class Departure:
    """Something that is gone for the API but not yet taken down. `id` is its kind and its own id."""

    id: str
    kind: DepartingKind
    resource_id: str
    vpc_uuid: str
    public_ip: str
    private_ip: str


@dataclass
class ReleasedAddress:
    """An address that something destroyed had. `id` is the network (`public` or a VPC's id) and the address."""

    id: str
    address: str
    network: str
    released_at: float


def urn(record: Droplet | Database | LoadBalancer | Vpc) -> str:
    """The uniform resource name that projects and VPC members use, such as `do:droplet:13457723`."""
    kind = {Droplet: "droplet", Database: "dbaas", LoadBalancer: "loadbalancer", Vpc: "vpc"}[type(record)]
    return f"do:{kind}:{record.id}"
