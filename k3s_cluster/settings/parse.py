"""Stack config in, frozen settings out: every rule that refuses a bad value is in this room."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

import pulumi

from k3s_cluster import k3s_version
from k3s_cluster.settings import address_ranges, component_arguments, managed_flags
from k3s_cluster.settings import values as rule
from k3s_cluster.settings.defaults import as_pulumi_holds, defaults
from k3s_cluster.settings.firewall_rules import SOURCES_MOST, firewall_rules
from k3s_cluster.settings.k3s_flags import SETTINGS, Role
from k3s_cluster.settings.model import (
    AccessSettings,
    AgentPoolSettings,
    ClusterSettings,
    DatastoreRestoreSettings,
    DatastoreSettings,
    EmbeddedEtcdSettings,
    EtcdS3Settings,
    ExternalDatastoreSettings,
    LoadBalancerSettings,
    ManagedDatastoreSettings,
    PoolSettings,
    RollSettings,
    SqliteDatastoreSettings,
)
from k3s_cluster.settings.pools import PoolEntry, pools

T = TypeVar("T")

#: K3s's settings that would take back a step of `hardened`, and why they are refused beside it.
UNDOES = {
    "disable-network-policy": (True, "CIS asks for network policies that are enforced (5.3)"),
    "protect-kernel-defaults": (False, "CIS asks the kubelet to insist on the kernel's parameters (4.2.6)"),
}
#: Addresses of a VPC that no droplet can have: network, gateway, broadcast, and two that DigitalOcean keeps.
RESERVED_ADDRESSES = 5


#: Where Traefik listens on every node.
INGRESS_PORTS = (80, 443)


class SettingsError(pulumi.RunError):
    """All that is wrong with the stack's config, a line each; Pulumi shows it without a traceback."""

    def __init__(self, problems: list[str], what: str = "The stack's config") -> None:
        self.problems = tuple(problems)
        super().__init__(f"{what} cannot be used:\n" + "\n".join(f"  - {p}" for p in problems))


_RULES: dict[str, Callable[[str], object]] = {
    "topology": rule.one_of("single-node", "ha"),
    "region": rule.matching(r"[a-z]{3}[0-9]+", "a region's slug, such as `fra1`"),
    # Droplet names are host names, and `-server-<id>` follows.
    "namePrefix": rule.matching(
        r"(?=.{1,24}$)[a-z][a-z0-9]*(-[a-z0-9]+)*",
        "1 to 24 lower-case letters, digits and single dashes, beginning with a letter",
    ),
    "projectEnvironment": rule.one_of(*rule.ENVIRONMENTS),
    "projectName": rule.optional(rule.matching(r"\S(.{0,173}\S)?", "a project's name, of at most 175 characters")),
    "vpcCidr": rule.vpc_range,
    "vpcId": rule.optional(
        rule.matching(
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "a VPC's id, such as `5a4981aa-9653-4bd1-bef5-d6bff52042e4`: `doctl vpcs list` shows them",
        )
    ),
    "serverCount": rule.count(1),
    "serverSize": rule.matching(rule.SLUG, "a droplet size's slug, such as `s-2vcpu-4gb`"),
    "agentCount": rule.count(0),
    "agentSize": rule.matching(rule.SLUG, "a droplet size's slug, such as `s-1vcpu-2gb`"),
    "agentPools": pools,
    "serverTaint": rule.yes_or_no,
    # More than four at a time would wait for each other anyway: Pulumi runs four operations on nodes at once.
    "maxUnavailableAgents": rule.whole_number(1, 4),
    "drainTimeout": rule.whole_number(10, 3600),
    "image": rule.matching(rule.SLUG, "an image's slug, such as `ubuntu-24-04-x64`, or its number"),
    "k3sVersion": rule.release,
    "disable": rule.list_of(rule.component),
    "k3sServerConfig": rule.json_object,
    "k3sAgentConfig": rule.json_object,
    "auditLog": rule.audit_log,
    "hardened": rule.yes_or_no,
    "datastoreEngine": rule.one_of("auto", "sqlite", "pg", "mysql", "etcd", "external"),
    "datastoreVersion": rule.matching(r"auto|[0-9]{1,4}", "a major version, such as `17`, or `auto`"),
    "datastoreSize": rule.matching(rule.SLUG, "a database size's slug, such as `db-s-1vcpu-2gb`"),
    "datastoreNodes": rule.whole_number(1, 3),
    "datastoreProtect": rule.yes_or_no,
    "datastorePasswordVersion": rule.whole_number(1, 999),
    # docs.digitalocean.com/reference/api, create database: how a cluster may be called.
    "datastoreRestoreFrom": rule.optional(
        rule.matching(r"[a-z][a-z0-9-]{1,61}[a-z0-9]", "a database cluster's name: `doctl databases list` shows them")
    ),
    "datastoreRestoreAt": rule.optional(rule.moment),
    "datastoreRestoreToken": rule.optional(rule.server_token),
    "datastoreEndpoint": rule.datastore_endpoint,
    "datastoreCa": rule.certificates,
    "etcdSnapshotSchedule": rule.cron_schedule,
    "etcdSnapshotRetention": rule.whole_number(1, 1000),
    "etcdS3": rule.etcd_s3,
    "restoreFile": rule.text,
    "loadBalancerSize": rule.load_balancer_nodes,
    # docs.digitalocean.com/reference/api, load balancer health_check: the bounds of these three.
    "healthCheckInterval": rule.whole_number(3, 300),
    "healthCheckHealthy": rule.whole_number(2, 10),
    "healthCheckUnhealthy": rule.whole_number(2, 10),
    "adminCidrs": rule.list_of(rule.admin_range),
    "firewallRules": firewall_rules,
    "sshKeys": rule.ssh_keys,
    "reservedIp": rule.optional(rule.reserved_address),
    "apiDomain": rule.optional(rule.domain_name),
    "kubeconfigMerge": rule.yes_or_no,
    "costLimit": rule.money,
}

KEYS = (*_RULES, "kubeconfigPath")
#: Keys whose values are never shown, and are refused in plain.
SECRET_KEYS = ("datastoreEndpoint", "datastoreRestoreToken", "etcdS3")
#: The version of a managed database that is not told one: the newest that kine's own tests have (github.com/k3s-io/kine
#: v0.16.3, scripts/test-run-postgres and test-run-mysql). What DigitalOcean offers, the preflight asks its API.
DATASTORE_VERSIONS = {"pg": "17", "mysql": "8"}
#: dev.mysql.com/doc/refman/8.0/en/user-names.html
MYSQL_USER_NAME_MOST = 32


def _how_to_set(key: str) -> str:
    return "--path etcdS3.secretKey" if key == "etcdS3" else key


def _unknown_key(key: str) -> str:
    near = difflib.get_close_matches(key, KEYS, n=1)
    hint = f"did you mean `{near[0]}`?" if near else "see `config` in Pulumi.yaml for the keys there are."
    return f"{key}: there is no such key; {hint} Remove it with `pulumi config rm {key}`."


def parse_settings(
    config: Mapping[str, str], *, stack: str, folder: Path, secrets: Collection[str] = ()
) -> ClusterSettings:
    """The settings in `config`, which maps keys to values as Pulumi holds them (lists as JSON).

    `folder` is where relative kubeconfig paths begin; `secrets` are the keys whose values the stack keeps encrypted.
    Raises SettingsError with every problem found, not just the first. Defaults are in Pulumi.yaml alone: Pulumi fills
    them in before the program runs.
    """
    problems = [_unknown_key(key) for key in config if key not in KEYS]
    values: dict[str, object] = {}
    for key, parse in {**_RULES, "kubeconfigPath": rule.kubeconfig_path(stack, folder)}.items():
        if key not in config:
            problems.append(f"{key}: has no value; set it with `pulumi config set {key} VALUE`.")
            continue
        if key in SECRET_KEYS and config[key] not in ("", "{}") and key not in secrets:
            problems.append(
                f"{key}: is kept in plain text; set it with `pulumi config set --secret {_how_to_set(key)}`."
            )
            continue
        secret = key in SECRET_KEYS
        shown = "its value" if secret else f"`{config[key]}`"
        try:
            values[key] = parse(config[key])
        except rule.Refused as refused:
            problems.append(f"{key}: {shown} {refused}.{'' if secret else _quotes_for(config[key])}")
        else:
            if rule.unquoted_date(config[key]) and key != "datastoreRestoreAt":
                problems.append(f"{key}: {shown} is what YAML makes of a date without quotes; put it in quotes.")
    if problems:
        raise SettingsError(problems)
    settings = _build(values, stack)
    problems = [
        *_unused(values, settings),
        *_contradictions(settings),
        *_restore_contradictions(values, settings),
        *_lacking_ca(values),
    ]
    if problems:
        raise SettingsError(problems)
    return replace(settings, notes=(*without_effect(config, settings), *doubtful(settings)))


def without_effect(config: Mapping[str, str], settings: ClusterSettings) -> list[str]:
    """A line for each key that is set to something else than its default, and changes nothing in this stack."""
    engine, single = settings.datastore.engine, settings.load_balancer is None
    managed = isinstance(settings.datastore, ManagedDatastoreSettings)
    because = {
        **dict.fromkeys(
            ("etcdSnapshotSchedule", "etcdSnapshotRetention"),
            None if engine == "etcd" else f"datastoreEngine is `{engine}`, and not `etcd`",
        ),
        **dict.fromkeys(
            ("datastoreVersion", "datastoreSize", "datastoreNodes", "datastorePasswordVersion"),
            None if managed else f"datastoreEngine is `{engine}`, and DigitalOcean manages no database of it",
        ),
        **dict.fromkeys(
            ("loadBalancerSize", "healthCheckInterval", "healthCheckHealthy", "healthCheckUnhealthy"),
            f"topology `{settings.topology}` has no load balancer" if single else None,
        ),
        "projectEnvironment": "projectName names a project that is there" if settings.project_name else None,
        "vpcCidr": "vpcId names a VPC that is there" if settings.vpc_id else None,
        **dict.fromkeys(
            ("agentSize", "k3sAgentConfig", "maxUnavailableAgents"),
            None if settings.agent_count else "there are no agents: agentCount is 0",
        ),
    }
    usual = defaults()
    return [
        f"{key}: `{config[key]}` has no effect, because {reason}; `pulumi config rm {key}`."
        for key, reason in because.items()
        if reason and config.get(key, usual[key]) != usual[key]
    ]


def doubtful(settings: ClusterSettings) -> list[str]:
    """A line for each setting that may be meant otherwise than K3s takes it."""
    return [
        line for role, config in _by_role(settings).items() for line in component_arguments.without_value(role, config)
    ]


def _by_role(settings: ClusterSettings) -> Mapping[Role, Mapping[str, object]]:
    """K3s's settings for every node of each role."""
    return {"server": settings.server_config, "agent": settings.agent_config}


def _quotes_for(raw: str) -> str:
    date = rule.unquoted_date(raw)
    return (
        f" YAML takes `{date}` for a date where it has no quotes: put it in quotes if you meant a text." if date else ""
    )


def _datastore(values: Mapping[str, object]) -> DatastoreSettings:
    """Where the state is. What other engines need is left aside, as their defaults are always there."""
    engine = values["datastoreEngine"]
    if engine == "auto":
        engine = "pg" if values["topology"] == "ha" else "sqlite"
    match engine:
        case "pg" | "mysql":
            version, size, nodes = values["datastoreVersion"], values["datastoreSize"], values["datastoreNodes"]
            assert isinstance(version, str)
            assert isinstance(size, str)
            assert isinstance(nodes, int)
            password_version = values["datastorePasswordVersion"]
            assert isinstance(password_version, int)
            return ManagedDatastoreSettings(
                engine=engine,
                version=DATASTORE_VERSIONS[engine] if version == "auto" else version,
                size=size,
                nodes=nodes,
                protect=values["datastoreProtect"] is True,
                password_version=password_version,
                restore=_datastore_restore(values),
            )
        case "etcd":
            schedule, retention, s3 = (
                values[f"etcd{part}"] for part in ("SnapshotSchedule", "SnapshotRetention", "S3")
            )
            assert isinstance(schedule, str)
            assert isinstance(retention, int)
            assert s3 is None or isinstance(s3, EtcdS3Settings)
            return EmbeddedEtcdSettings(schedule, retention, s3)
        case "external":
            endpoint, ca = values["datastoreEndpoint"], values["datastoreCa"]
            assert endpoint is None or isinstance(endpoint, rule.Endpoint)
            return ExternalDatastoreSettings(endpoint.text if endpoint else "", str(ca) if ca else None)
    return SqliteDatastoreSettings()


def _datastore_restore(values: Mapping[str, object]) -> DatastoreRestoreSettings | None:
    cluster, at, token = (values[f"datastoreRestore{part}"] for part in ("From", "At", "Token"))
    if cluster is None:
        return None
    return DatastoreRestoreSettings(str(cluster), None if at is None else str(at), str(token or ""))


def settings_of(name: str, settings: Mapping[str, object], folder: Path) -> ClusterSettings:
    """What ClusterSettings.of gives: `settings` as Python values, over the defaults."""
    given = {key: as_pulumi_holds(value) for key, value in {"namePrefix": name, **settings}.items()}
    try:
        # How a program keeps its secrets is its own affair; from here on they are secrets of the stack.
        return parse_settings({**defaults(), **given}, stack=name, folder=folder, secrets=SECRET_KEYS)
    except SettingsError as error:
        raise SettingsError(list(error.problems), f"The settings of the cluster `{name}`") from None


def _build(values: Mapping[str, object], stack: str) -> ClusterSettings:
    def value(key: str, kind: type[T]) -> T:
        found = values[key]
        if not isinstance(found, kind):
            raise TypeError(f"{key} is a {type(found).__name__}, not a {kind.__name__}")
        return found

    def count(key: str, automatic: int) -> int:
        return automatic if values[key] is None else value(key, int)

    def optional(key: str) -> str | None:
        return None if values[key] is None else value(key, str)

    ha = values["topology"] == "ha"
    pools: tuple[PoolEntry, ...] = value("agentPools", tuple)
    image = value("image", str)
    # agentCount and agentSize are the short form of one pool; with pools given, it has none unless it says so.
    short = PoolEntry("agent", count("agentCount", 1 if ha and not pools else 0), value("agentSize", str), None, (), ())
    keys = value("sshKeys", rule.SshKeys)
    datastore = _datastore(values)
    automatic_servers = 1 if not ha else 3 if isinstance(datastore, EmbeddedEtcdSettings) else 2
    return ClusterSettings(
        stack=stack,
        topology="ha" if ha else "single-node",
        region=value("region", str),
        name_prefix=value("namePrefix", str),
        project_environment=value("projectEnvironment", str),
        project_name=optional("projectName"),
        vpc_cidr=value("vpcCidr", IPv4Network),
        vpc_id=optional("vpcId"),
        image=image,
        k3s_version=value("k3sVersion", str),
        disable=tuple(sorted(set(value("disable", tuple)))),
        servers=PoolSettings(count("serverCount", automatic_servers), value("serverSize", str)),
        server_taint=value("serverTaint", bool),
        agent_pools=tuple(
            AgentPoolSettings(pool.name, pool.count, pool.size, pool.image or image, pool.labels, pool.taints)
            for pool in (short, *pools)
        ),
        roll=RollSettings(value("maxUnavailableAgents", int), value("drainTimeout", int)),
        server_config=value("k3sServerConfig", dict),
        agent_config=value("k3sAgentConfig", dict),
        audit_policy=_audit_policy(value("auditLog", str), hardened=value("hardened", bool)),
        hardened=value("hardened", bool),
        datastore=datastore,
        load_balancer=LoadBalancerSettings(
            nodes=value("loadBalancerSize", int),
            interval=value("healthCheckInterval", int),
            healthy=value("healthCheckHealthy", int),
            unhealthy=value("healthCheckUnhealthy", int),
        )
        if ha
        else None,
        restore_file=value("restoreFile", str) or None,
        access=AccessSettings(value("adminCidrs", tuple), keys.account, keys.public, value("firewallRules", tuple)),
        reserved_ip=optional("reservedIp"),
        api_domain=optional("apiDomain"),
        kubeconfig_path=value("kubeconfigPath", str),
        kubeconfig_merge=value("kubeconfigMerge", bool),
        cost_limit=value("costLimit", Decimal) if values["costLimit"] is not None else None,
    )


def _datastore_contradictions(settings: ClusterSettings) -> list[str]:
    """Engines that do not fit the topology or the number of servers."""
    servers, ha = settings.servers.count, settings.topology == "ha"
    match settings.datastore:
        case SqliteDatastoreSettings() if ha:
            return [
                "datastoreEngine: `sqlite` is a file on one server's disk, which topology `ha` cannot share; "
                "choose `pg`, `mysql`, `etcd` or `external`, or set topology to `single-node`."
            ]
        case ManagedDatastoreSettings(engine="mysql") as mysql if (
            len(mysql.user_name(settings.name_prefix)) > MYSQL_USER_NAME_MOST
        ):
            user = mysql.user_name(settings.name_prefix)
            return [
                f"namePrefix: `{settings.name_prefix}` makes `{user}` of the database's user, and MySQL takes "
                f"{MYSQL_USER_NAME_MOST} characters; choose a shorter prefix."
            ]
        # etcd.io/docs/v3.5/faq ("Why an odd number of cluster members?").
        case EmbeddedEtcdSettings() if ha and servers < 3:
            return [
                f"serverCount: `{servers}` is too few for datastoreEngine `etcd`, which needs 3 servers to outlive "
                "one; set serverCount to `auto` or 3."
            ]
        case EmbeddedEtcdSettings() if servers % 2 == 0:
            return [
                f"serverCount: `{servers}` is even, and etcd outlives no more failures with it than with "
                f"{servers - 1}; set serverCount to {servers - 1} or {servers + 1}."
            ]
        case EmbeddedEtcdSettings(s3=EtcdS3Settings(retention=int())) if not k3s_version.counts_snapshots_in_bucket(
            settings.k3s_version
        ):
            return [
                f"etcdS3: retention needs a K3s of August 2025 or later, and k3sVersion is `{settings.k3s_version}`; "
                "raise k3sVersion, or `pulumi config rm --path etcdS3.retention`."
            ]
        case ExternalDatastoreSettings(endpoint=""):
            return [
                "datastoreEndpoint: has no value, and datastoreEngine `external` needs one; "
                "set it with `pulumi config set --secret datastoreEndpoint`."
            ]
    return []


def _restore_contradictions(values: Mapping[str, object], settings: ClusterSettings) -> list[str]:
    """What does not fit a database that is made of DigitalOcean's own backup."""
    given = [key for key in ("datastoreRestoreFrom", "datastoreRestoreAt", "datastoreRestoreToken") if values[key]]
    if given and not isinstance(settings.datastore, ManagedDatastoreSettings):
        return [
            f"{key}: is for datastoreEngine `pg` and `mysql`, which DigitalOcean backs up, and this stack has "
            f"`{settings.datastore.engine}`; set datastoreEngine, or `pulumi config rm {key}`."
            for key in given
        ]
    restore = settings.datastore.restore if isinstance(settings.datastore, ManagedDatastoreSettings) else None
    if restore is None:
        return [
            f"{key}: belongs to datastoreRestoreFrom, which names no database; set that too, or "
            f"`pulumi config rm {key}`."
            for key in given
        ]
    problems = []
    if not restore.token:
        problems.append(
            "datastoreRestoreToken: has no value, and datastoreRestoreFrom needs the old cluster's server token, which "
            "opens its rows; set it with `pulumi config set --secret datastoreRestoreToken`."
        )
    if restore.cluster == ManagedDatastoreSettings.cluster_name(settings.name_prefix):
        problems.append(
            f"datastoreRestoreFrom: `{restore.cluster}` is what this stack's own database is called, and a copy needs "
            "another name; choose another namePrefix."
        )
    if settings.restore_file:
        problems.append(
            f"datastoreRestoreFrom: `{restore.cluster}` and restoreFile `{settings.restore_file}` each fill the "
            "datastore; choose one, and `pulumi config rm` the other."
        )
    return problems


def _lacking_ca(values: Mapping[str, object]) -> list[str]:
    endpoint = values["datastoreEndpoint"]
    if not (isinstance(endpoint, rule.Endpoint) and endpoint.needs_ca) or values["datastoreCa"]:
        return []
    return [
        "datastoreCa: has no value, and the database in datastoreEndpoint asks for TLS; `doctl databases get-ca ID` "
        "shows its certificate, and `pulumi config set datastoreCa < ca.pem` sets it."
    ]


def _takes_a_backup(datastore: DatastoreSettings) -> bool:
    """True for the engines that k3s_cluster/backup can fill: kine's SQLite, Postgres and MySQL, and etcd inside."""
    if isinstance(datastore, ExternalDatastoreSettings):
        return datastore.endpoint.startswith(("postgres://", "postgresql://", "mysql://"))
    return datastore.engine in ("sqlite", "pg", "mysql", "etcd")


def _unused(values: Mapping[str, object], settings: ClusterSettings) -> list[str]:
    """Settings of an engine that was not chosen, where leaving them aside would surprise."""
    belongs = {"datastoreEndpoint": "external", "datastoreCa": "external", "etcdS3": "etcd"}
    return [
        f"{key}: is for datastoreEngine `{engine}` only, and this stack has `{settings.datastore.engine}`; "
        f"set datastoreEngine, or `pulumi config rm {key}`."
        for key, engine in belongs.items()
        if values[key] and settings.datastore.engine != engine
    ]


def _audit_policy(audit_log: str, *, hardened: bool) -> str | None:
    """`auto` is what the CIS guide asks for where `hardened` asks for the guide."""
    if audit_log == "auto":
        return "metadata" if hardened else None
    return None if audit_log == "off" else audit_log


def _contradictions(settings: ClusterSettings) -> list[str]:
    """What is wrong with values that are each right by themselves."""
    problems = []
    if settings.topology == "ha" and settings.servers.count < 2:
        problems.append(
            f"serverCount: `{settings.servers.count}` is too few for topology `ha`, which needs at least 2; "
            "set serverCount to 2, or topology to `single-node`."
        )
    if settings.topology == "single-node" and settings.servers.count != 1:
        problems.append(
            f"serverCount: `{settings.servers.count}` does not fit topology `single-node`, which has 1; "
            "leave serverCount at `auto`, or set topology to `ha`."
        )
    problems += _datastore_contradictions(settings)
    if settings.restore_file and not _takes_a_backup(settings.datastore):
        problems.append(
            f"restoreFile: a backup cannot be restored into datastoreEngine `{settings.datastore.engine}`; choose "
            "`pg`, `mysql`, `sqlite`, `etcd`, or `external` with Postgres or MySQL."
        )
    if settings.topology == "ha" and settings.reserved_ip:
        problems.append(
            f"reservedIp: `{settings.reserved_ip}` is for topology `single-node`; in `ha` the load balancer's address "
            "outlives the servers anyway. Remove it with `pulumi config rm reservedIp`."
        )
    if not settings.access.admin_cidrs:
        problems.append("adminCidrs: `[]` lets nobody in, not even `pulumi up`; name at least your own address.")
    elif not any(network.version == 4 for network in settings.access.admin_cidrs):
        problems.append("adminCidrs: holds no IPv4 range, and droplets are reached by IPv4; name your own address.")
    # On a single node the VPC is one of the API's sources, too.
    most = SOURCES_MOST - (0 if settings.load_balancer else 1)
    if (given := len(settings.access.admin_cidrs)) > most:
        problems.append(
            f"adminCidrs: holds {given} ranges, and a rule of this stack's firewalls takes {most}; give networks "
            "instead of single addresses."
        )
    for opened in settings.access.inbound if settings.serves_ingress else ():
        if opened.protocol == "tcp" and any(opened.ports[0] <= port <= opened.ports[1] for port in INGRESS_PORTS):
            problems.append(
                f"firewallRules: opens tcp {opened.port_range}, and ports 80 and 443 are open to everybody while "
                "Traefik serves there; leave them out, or put `traefik` into disable."
            )
    if settings.server_taint and settings.agent_count == 0:
        problems.append(
            "serverTaint: `true` keeps workloads off the servers, and this stack has no agents to take them; "
            "set agentCount, or leave serverTaint at `false`."
        )
    configs = _by_role(settings)
    for role, config in configs.items():
        problems += managed_flags.refusals(role, config, settings.k3s_version)
    nodes = settings.servers.count + settings.agent_count
    problems += address_ranges.problems(settings.server_config, nodes, settings.k3s_version)
    if settings.vpc_id is None:
        problems += address_ranges.overlaps(settings.server_config, settings.vpc_cidr, "vpcCidr")
    audit = settings.audit_policy is not None
    for role, config in configs.items():
        problems += component_arguments.refusals(role, config, audit=audit, hardened=settings.hardened)
    if settings.hardened:
        for role, config in configs.items():
            for name, (refused, reason) in UNDOES.items():
                if config.get(name) == refused:
                    problems.append(
                        f"{SETTINGS[role]}: `{name}: {str(refused).lower()}` undoes what `hardened` does: {reason}; "
                        "remove it, or set hardened to `false`."
                    )
    droplets = settings.servers.count + settings.agent_count
    database_nodes = settings.datastore.nodes if isinstance(settings.datastore, ManagedDatastoreSettings) else 0
    services = (1 if settings.load_balancer else 0) + database_nodes
    room = settings.vpc_cidr.num_addresses - RESERVED_ADDRESSES
    if settings.vpc_id is None and droplets + services > room:
        problems.append(
            f"vpcCidr: `{settings.vpc_cidr}` is too small: it has room for {room} addresses, and this stack needs "
            f"{droplets + services} ({droplets} droplets, {services} for load balancer and datastore); choose a larger "
            "range or fewer nodes."
        )
    return problems
