"""What a stack's config asks for, as frozen dataclasses: what the rest of the program reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from k3s_cluster import immutable_settings

Topology = Literal["single-node", "ha"]
Network = IPv4Network | IPv6Network
FirewallProtocol = Literal["tcp", "udp"]
FirewallNodes = Literal["all", "servers", "agents"]


@dataclass(frozen=True)
class PoolSettings:
    """A group of equal droplets."""

    count: int
    size: str


@dataclass(frozen=True)
class AgentPoolSettings:
    """Equal agents. `taints` are written as kubectl writes them: `key=value:Effect`."""

    name: str
    count: int
    size: str
    image: str
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[str, ...] = ()


@dataclass(frozen=True)
class RollSettings:
    """How nodes are changed: how many agents at a time, and how many seconds a drain may take."""

    max_unavailable_agents: int
    drain_timeout: int


@dataclass(frozen=True)
class SqliteDatastoreSettings:
    """SQLite on the disk of a single node."""

    engine: Literal["sqlite"] = "sqlite"


@dataclass(frozen=True)
class DatastoreRestoreSettings:
    """A backup of DigitalOcean's: of the database cluster so named, made at `at` (ISO 8601, UTC), None for the last.

    `token` is the server token of the K3s cluster whose state it is, a secret.
    """

    cluster: str
    at: str | None
    token: str = field(repr=False)


@dataclass(frozen=True)
class ManagedDatastoreSettings:
    """A database that DigitalOcean manages. `version` is the major one; `protect` keeps `pulumi destroy` from it.

    `restore` is the backup that it is made of, None for an empty one.
    """

    engine: Literal["pg", "mysql"]
    version: str
    size: str
    nodes: int
    protect: bool
    password_version: int
    restore: DatastoreRestoreSettings | None = None

    @staticmethod
    def cluster_name(name_prefix: str) -> str:
        """The database cluster's name in the account."""
        return f"{name_prefix}-ext-datastore"

    def user_name(self, name_prefix: str) -> str:
        """K3s's user. Another version of its password is another user, so that the two are good side by side."""
        user = f"{name_prefix.replace('-', '_')}_default_user"
        return user if self.password_version == 1 else f"{user}_{self.password_version}"


@dataclass(frozen=True)
class EtcdS3Settings:
    """A bucket that snapshots of etcd go to, of Spaces or of any other store with S3's API.

    `retention` is how many are kept there, of all servers together; None for as many as of each server on its disk.
    """

    endpoint: str
    bucket: str
    region: str
    folder: str
    retention: int | None
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class EmbeddedEtcdSettings:
    """etcd inside the servers themselves, an odd number of them. `snapshot_schedule` is a cron expression, in UTC."""

    snapshot_schedule: str
    snapshot_retention: int
    s3: EtcdS3Settings | None
    engine: Literal["etcd"] = "etcd"


@dataclass(frozen=True)
class ExternalDatastoreSettings:
    """A database that somebody else keeps. `endpoint` is a secret, as K3s reads it; `ca` is PEM, or the system's."""

    endpoint: str = field(repr=False)
    ca: str | None
    engine: Literal["external"] = "external"


#: Where the cluster's state is.
DatastoreSettings = (
    SqliteDatastoreSettings | ManagedDatastoreSettings | EmbeddedEtcdSettings | ExternalDatastoreSettings
)


@dataclass(frozen=True)
class LoadBalancerSettings:
    """The load balancer of an `ha` stack. `interval` is in seconds, the thresholds in checks."""

    nodes: int
    interval: int
    healthy: int
    unhealthy: int


@dataclass(frozen=True)
class InboundRule:
    """One rule. `ports` are the first and the last one; `nodes` says which firewall has it."""

    nodes: FirewallNodes
    protocol: FirewallProtocol
    ports: tuple[int, int]
    sources: tuple[Network, ...]

    @property
    def port_range(self) -> str:
        """As DigitalOcean writes it."""
        first, last = self.ports
        return str(first) if first == last else f"{first}-{last}"


@dataclass(frozen=True)
class AccessSettings:
    """Who may reach SSH and the API, whose keys lie on the nodes besides the stack's own, and what else may come in."""

    admin_cidrs: tuple[Network, ...]
    account_keys: tuple[str, ...]
    public_keys: tuple[str, ...]
    inbound: tuple[InboundRule, ...]

    @property
    def open_to_everyone(self) -> bool:
        """True where some admin range is the whole internet."""
        return any(network.prefixlen == 0 for network in self.admin_cidrs)


@dataclass(frozen=True)
class ClusterSettings:
    """One cluster, as its stack's config asks for it. `load_balancer` is None on a single node.

    `project_name` and `vpc_id` are of what is there already, None for parts of the stack's own; `vpc_cidr` is the own
    VPC's. `reserved_ip` is `auto`, an address, or None. `cost_limit` is in USD a month, or None.
    """

    stack: str
    topology: Topology
    region: str
    name_prefix: str
    project_environment: str
    project_name: str | None
    vpc_cidr: IPv4Network
    vpc_id: str | None
    image: str
    k3s_version: str
    disable: tuple[str, ...]
    servers: PoolSettings
    server_taint: bool
    agent_pools: tuple[AgentPoolSettings, ...]
    roll: RollSettings
    server_config: Mapping[str, object]
    agent_config: Mapping[str, object]
    #: None: no audit log; `metadata`: the policy in k3s_cluster/hardening; else the text of a policy.
    audit_policy: str | None
    hardened: bool
    datastore: DatastoreSettings
    load_balancer: LoadBalancerSettings | None
    restore_file: str | None
    access: AccessSettings
    reserved_ip: str | None
    api_domain: str | None
    kubeconfig_path: str
    kubeconfig_merge: bool
    cost_limit: Decimal | None
    #: A line for each setting that changes nothing, or may be meant otherwise than K3s takes it.
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, settings: Mapping[str, object] | None = None) -> ClusterSettings:
        """Settings of the cluster `name` in a program of your own: README's settings, with the same defaults.

        `name` is also the kubeconfig's context, and the `namePrefix` unless another is given. Raises SettingsError
        with every problem found.
        """
        # That module builds this class.
        from k3s_cluster.settings.parse import settings_of

        return settings_of(name, settings or {}, Path.cwd())

    @property
    def server_tag(self) -> str:
        return f"{self.name_prefix}_server"

    @property
    def agent_tag(self) -> str:
        return f"{self.name_prefix}_agent"

    @property
    def agent_count(self) -> int:
        """Agents of all pools together."""
        return sum(pool.count for pool in self.agent_pools)

    @property
    def api_name(self) -> str:
        """The name by which nodes find every server's private address, in /etc/hosts and in the certificates."""
        return f"{self.name_prefix}-api.internal"

    @property
    def flannel_backend(self) -> str:
        """How pods of different nodes reach each other; K3s's default where nothing is said."""
        return str(self.server_config.get("flannel-backend", immutable_settings.DEFAULTS["flannel-backend"]))

    @property
    def serves_ingress(self) -> bool:
        """True where Traefik listens on ports 80 and 443 of the nodes, which servicelb opens for it."""
        return "traefik" not in self.disable and "servicelb" not in self.disable
