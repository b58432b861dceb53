"""Stack config in, frozen settings out: every rule that refuses a bad value is here, and nothing is created before."""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, TypeVar

import pulumi

Topology = Literal["single-node", "ha"]
Network = IPv4Network | IPv6Network
T = TypeVar("T")

PACKAGED_COMPONENTS = ("traefik", "servicelb", "local-storage", "metrics-server")
ENVIRONMENTS = ("Development", "Staging", "Production")
#: docs.digitalocean.com/reference/api: the names that came before `size_unit`, and what each is worth.
LOAD_BALANCER_NODES = {"lb-small": 1, "lb-medium": 3, "lb-large": 6}
LOAD_BALANCER_NODES_MOST = 200
#: docs.digitalocean.com/products/networking/vpc/details/limits: ranges that DigitalOcean keeps for itself.
DIGITALOCEAN_RANGES = ("10.244.0.0/16", "10.245.0.0/16", "10.246.0.0/24", "10.229.0.0/16")
#: docs.k3s.io/cli/server: K3s's default pod and service ranges.
K3S_RANGES = ("10.42.0.0/16", "10.43.0.0/16")
PRIVATE_RANGES = tuple(IPv4Network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
#: Addresses of a VPC that no droplet can have: network, gateway, broadcast, and two that DigitalOcean keeps.
RESERVED_ADDRESSES = 5


class SettingsError(pulumi.RunError):
    """All that is wrong with the stack's config, a line each; Pulumi shows it without a traceback."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("The stack's config cannot be used:\n" + "\n".join(f"  - {p}" for p in problems))


@dataclass(frozen=True)
class PoolSettings:
    """A group of equal droplets."""

    count: int
    size: str


@dataclass(frozen=True)
class DatastoreSettings:
    """The managed database of an `ha` stack."""

    engine: Literal["pg"]
    version: str
    size: str
    nodes: int


@dataclass(frozen=True)
class LoadBalancerSettings:
    """The load balancer of an `ha` stack. `interval` is in seconds, the thresholds in checks."""

    nodes: int
    interval: int
    healthy: int
    unhealthy: int


@dataclass(frozen=True)
class AccessSettings:
    """Who may reach SSH and the API, and whose keys lie on the droplets besides the stack's own."""

    admin_cidrs: tuple[Network, ...]
    account_keys: tuple[str, ...]
    public_keys: tuple[str, ...]

    @property
    def open_to_everyone(self) -> bool:
        """True where some admin range is the whole internet."""
        return any(network.prefixlen == 0 for network in self.admin_cidrs)


@dataclass(frozen=True)
class ClusterSettings:
    """One cluster, as its stack's config asks for it. `datastore` and `load_balancer` are None on a single node."""

    stack: str
    topology: Topology
    region: str
    name_prefix: str
    project_environment: str
    vpc_cidr: IPv4Network
    image: str
    k3s_version: str
    disable: tuple[str, ...]
    servers: PoolSettings
    agents: PoolSettings
    datastore: DatastoreSettings | None
    load_balancer: LoadBalancerSettings | None
    access: AccessSettings
    kubeconfig_path: str

    @property
    def server_tag(self) -> str:
        return f"{self.name_prefix}_server"

    @property
    def agent_tag(self) -> str:
        return f"{self.name_prefix}_agent"

    @property
    def api_name(self) -> str:
        """The name by which nodes find every server's private address, in /etc/hosts and in the certificates."""
        return f"{self.name_prefix}-api.internal"

    @property
    def serves_ingress(self) -> bool:
        """True where Traefik listens on ports 80 and 443 of the nodes, which servicelb opens for it."""
        return "traefik" not in self.disable and "servicelb" not in self.disable


class _Refused(Exception):
    """One value that cannot be used: what is allowed, and what to do."""


def _text(raw: str) -> str:
    return raw


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not re.fullmatch(r"-?\d+", raw) or not least <= int(raw) <= most:
            raise _Refused(f"must be a whole number from {least} to {most}")
        return int(raw)

    return parse


def _count(least: int) -> Callable[[str], int | None]:
    number = _whole_number(least, 1000)

    def parse(raw: str) -> int | None:
        if raw == "auto":
            return None
        try:
            return number(raw)
        except _Refused as refused:
            raise _Refused(f"{refused}, or `auto`") from None

    return parse


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw not in allowed:
            raise _Refused(f"must be {_either(allowed)}")
        return raw

    return parse


def _matching(pattern: str, meaning: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if not re.fullmatch(pattern, raw):
            raise _Refused(f"must be {meaning}")
        return raw

    return parse


def _list_of(parse_item: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    def parse(raw: str) -> tuple[T, ...]:
        try:
            items = json.loads(raw)
        except ValueError:
            items = None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise _Refused("must be a list of strings; set one with `pulumi config set --path 'KEY[0]' VALUE`")
        return tuple(parse_item(item) for item in items)

    return parse


def _either(allowed: tuple[str, ...]) -> str:
    return ", ".join(f"`{a}`" for a in allowed[:-1]) + f" or `{allowed[-1]}`" if len(allowed) > 1 else f"`{allowed[0]}`"


def _vpc_range(raw: str) -> IPv4Network:
    try:
        network = IPv4Network(raw)
    except ValueError as error:
        raise _Refused(f"must be an IPv4 range such as 10.10.10.0/24 ({error})") from None
    if not any(network.subnet_of(private) for private in PRIVATE_RANGES):
        raise _Refused("must be private: inside " + _either(tuple(map(str, PRIVATE_RANGES))))
    # docs.digitalocean.com/products/networking/vpc: a VPC holds from /16 to /28.
    if not 16 <= network.prefixlen <= 28:
        raise _Refused("must be from /16 to /28 in size, as DigitalOcean's VPCs are")
    for taken, whose in [(r, "DigitalOcean") for r in DIGITALOCEAN_RANGES] + [(r, "K3s") for r in K3S_RANGES]:
        if network.overlaps(IPv4Network(taken)):
            raise _Refused(f"must not overlap {taken}, which {whose} uses itself")
    return network


def _admin_range(raw: str) -> Network:
    try:
        return ipaddress.ip_network(raw)
    except ValueError as error:
        raise _Refused(f"must hold ranges such as 198.51.100.7/32; `{raw}` is none ({error})") from None


def _component(raw: str) -> str:
    if raw not in PACKAGED_COMPONENTS:
        raise _Refused(f"may hold {_either(PACKAGED_COMPONENTS)}, not `{raw}`")
    return raw


def _load_balancer_nodes(raw: str) -> int:
    if raw in LOAD_BALANCER_NODES:
        return LOAD_BALANCER_NODES[raw]
    if raw.isdigit() and 1 <= int(raw) <= LOAD_BALANCER_NODES_MOST:
        return int(raw)
    raise _Refused(f"must be {_either(tuple(LOAD_BALANCER_NODES))}, or a number from 1 to {LOAD_BALANCER_NODES_MOST}")


def _is_key_file(entry: str) -> bool:
    return "/" in entry or entry.endswith(".pub")


def _public_key(entry: str) -> str:
    """The one key in a public key file."""
    try:
        text = Path(entry).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise _Refused(f"names a key file that cannot be read: `{entry}` ({reason}); give a public key file") from None
    if not re.fullmatch(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\n]*)?", text):
        raise _Refused(f"names `{entry}`, which holds no public key; give the file that ends in .pub")
    return text


@dataclass(frozen=True)
class _SshKeys:
    account: tuple[str, ...]
    public: tuple[str, ...]


def _ssh_keys(raw: str) -> _SshKeys:
    entries = _list_of(_text)(raw)
    return _SshKeys(
        account=tuple(e for e in entries if not _is_key_file(e)),
        public=tuple(_public_key(e) for e in entries if _is_key_file(e)),
    )


def _kubeconfig_path(stack: str, folder: Path) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        path = raw.replace("{stack}", stack)
        parent = (folder / Path(path).expanduser()).parent
        if not parent.is_dir():
            raise _Refused(f"must be in a folder that exists: `mkdir -p {Path(path).parent}`, or choose another path")
        if (folder / Path(path).expanduser()).is_dir():
            raise _Refused("must be a file, and is a folder: add a file name")
        return path

    return parse


_SLUG = r"[a-z0-9]+(-[a-z0-9.]+)*"

_PARSERS: dict[str, Callable[[str], object]] = {
    "topology": _one_of("single-node", "ha"),
    "region": _matching(r"[a-z]{3}\d+", "a region's slug, such as `fra1`"),
    # Droplet names are host names, and `-server-<id>` follows.
    "namePrefix": _matching(
        r"(?=.{1,24}$)[a-z][a-z0-9]*(-[a-z0-9]+)*",
        "1 to 24 lower-case letters, digits and single dashes, beginning with a letter",
    ),
    "projectEnvironment": _one_of(*ENVIRONMENTS),
    "vpcCidr": _vpc_range,
    "serverCount": _count(1),
    "serverSize": _matching(_SLUG, "a droplet size's slug, such as `s-2vcpu-4gb`"),
    "agentCount": _count(0),
    "agentSize": _matching(_SLUG, "a droplet size's slug, such as `s-1vcpu-2gb`"),
    "image": _matching(_SLUG, "an image's slug, such as `ubuntu-24-04-x64`, or its number"),
    # github.com/k3s-io/k3s/releases: how releases are tagged.
    "k3sVersion": _matching(r"v1\.\d+\.\d+(-rc\d+)?\+k3s\d+", "a K3s release such as `v1.34.2+k3s1`"),
    "disable": _list_of(_component),
    "datastoreEngine": _one_of("pg"),
    "datastoreVersion": _matching(r"\d+", "a major version, such as `17`"),
    "datastoreSize": _matching(_SLUG, "a database size's slug, such as `db-s-1vcpu-1gb`"),
    "datastoreNodes": _whole_number(1, 3),
    "loadBalancerSize": _load_balancer_nodes,
    # docs.digitalocean.com/reference/api, load balancer health_check: the bounds of these three.
    "healthCheckInterval": _whole_number(3, 300),
    "healthCheckHealthy": _whole_number(2, 10),
    "healthCheckUnhealthy": _whole_number(2, 10),
    "adminCidrs": _list_of(_admin_range),
    "sshKeys": _ssh_keys,
}

KEYS = (*_PARSERS, "kubeconfigPath")


def _unknown_key(key: str) -> str:
    near = difflib.get_close_matches(key, KEYS, n=1)
    hint = f"did you mean `{near[0]}`?" if near else "see `config` in Pulumi.yaml for the keys there are."
    return f"{key}: there is no such key; {hint} Remove it with `pulumi config rm {key}`."


def parse_settings(config: Mapping[str, str], *, stack: str, folder: Path) -> ClusterSettings:
    """The settings in `config`, which maps keys to values as Pulumi holds them (lists as JSON).

    `folder` is where relative kubeconfig paths begin. Raises SettingsError with every problem found, not just the
    first. Defaults are in Pulumi.yaml alone: Pulumi fills them in before the program runs.
    """
    problems = [_unknown_key(key) for key in config if key not in KEYS]
    values: dict[str, object] = {}
    for key, parse in {**_PARSERS, "kubeconfigPath": _kubeconfig_path(stack, folder)}.items():
        if key not in config:
            problems.append(f"{key}: has no value; set it with `pulumi config set {key} VALUE`.")
            continue
        try:
            values[key] = parse(config[key])
        except _Refused as refused:
            problems.append(f"{key}: `{config[key]}` {refused}.")
    if problems:
        raise SettingsError(problems)
    settings = _build(values, stack)
    problems = _contradictions(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def _build(values: Mapping[str, object], stack: str) -> ClusterSettings:
    def value(key: str, kind: type[T]) -> T:
        found = values[key]
        if not isinstance(found, kind):
            raise TypeError(f"{key} is a {type(found).__name__}, not a {kind.__name__}")
        return found

    def count(key: str, automatic: int) -> int:
        return automatic if values[key] is None else value(key, int)

    ha = values["topology"] == "ha"
    keys = value("sshKeys", _SshKeys)
    return ClusterSettings(
        stack=stack,
        topology="ha" if ha else "single-node",
        region=value("region", str),
        name_prefix=value("namePrefix", str),
        project_environment=value("projectEnvironment", str),
        vpc_cidr=value("vpcCidr", IPv4Network),
        image=value("image", str),
        k3s_version=value("k3sVersion", str),
        disable=tuple(sorted(set(value("disable", tuple)))),
        servers=PoolSettings(count("serverCount", 2 if ha else 1), value("serverSize", str)),
        agents=PoolSettings(count("agentCount", 1 if ha else 0), value("agentSize", str)),
        datastore=DatastoreSettings(
            engine="pg",
            version=value("datastoreVersion", str),
            size=value("datastoreSize", str),
            nodes=value("datastoreNodes", int),
        )
        if ha
        else None,
        load_balancer=LoadBalancerSettings(
            nodes=value("loadBalancerSize", int),
            interval=value("healthCheckInterval", int),
            healthy=value("healthCheckHealthy", int),
            unhealthy=value("healthCheckUnhealthy", int),
        )
        if ha
        else None,
        access=AccessSettings(value("adminCidrs", tuple), keys.account, keys.public),
        kubeconfig_path=value("kubeconfigPath", str),
    )


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
    if not settings.access.admin_cidrs:
        problems.append("adminCidrs: `[]` lets nobody in, not even `pulumi up`; name at least your own address.")
    elif not any(network.version == 4 for network in settings.access.admin_cidrs):
        problems.append("adminCidrs: holds no IPv4 range, and droplets are reached by IPv4; name your own address.")
    droplets = settings.servers.count + settings.agents.count
    services = (1 if settings.load_balancer else 0) + (settings.datastore.nodes if settings.datastore else 0)
    room = settings.vpc_cidr.num_addresses - RESERVED_ADDRESSES
    if droplets + services > room:
        problems.append(
            f"vpcCidr: `{settings.vpc_cidr}` is too small: it has room for {room} addresses, and this stack needs "
            f"{droplets + services} ({droplets} droplets, {services} for load balancer and datastore); choose a larger "
            "range or fewer nodes."
        )
    return problems
