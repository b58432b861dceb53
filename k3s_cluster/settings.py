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

from k3s_cluster import k3s_version

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
#: K3s's flags that the stack sets itself, and what to do instead.
MANAGED_K3S_KEYS = {
    **dict.fromkeys(("token", "token-file", "agent-token", "agent-token-file"), "the stack makes the tokens itself"),
    **dict.fromkeys(("server", "tls-san", "cluster-init"), "the stack sets it to its own addresses"),
    **dict.fromkeys(
        ("datastore-endpoint", "datastore-cafile", "datastore-certfile", "datastore-keyfile"),
        "the stack makes the datastore itself; see the settings that begin with datastore",
    ),
    **dict.fromkeys(
        ("node-name", "node-ip", "node-external-ip", "flannel-iface"), "the stack sets it from the droplet"
    ),
    **dict.fromkeys(("node-label", "node-taint"), "set labels and taints in agentPools, or serverTaint"),
    "disable": "set `disable`",
    "write-kubeconfig-mode": "the kubeconfig on a server is for root only",
}
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
    server_taint: bool
    agent_pools: tuple[AgentPoolSettings, ...]
    roll: RollSettings
    server_config: Mapping[str, object]
    agent_config: Mapping[str, object]
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
    def agent_count(self) -> int:
        """Agents of all pools together."""
        return sum(pool.count for pool in self.agent_pools)

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


def _yes_or_no(raw: str) -> bool:
    if raw not in ("true", "false"):
        raise _Refused("must be `true` or `false`")
    return raw == "true"


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


def _release(raw: str) -> str:
    if k3s_version.parse(raw) is None:
        raise _Refused("must be a K3s release such as `v1.34.2+k3s1`")
    return raw


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


def _json_object(raw: str) -> dict[str, object]:
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _Refused("must be a map; set one with `pulumi config set --path 'KEY.NAME' VALUE`")
    return found


def _k3s_config(raw: str) -> Mapping[str, object]:
    found = _json_object(raw)
    for key, value in found.items():
        if key in MANAGED_K3S_KEYS:
            raise _Refused(f"may not hold `{key}`: {MANAGED_K3S_KEYS[key]}")
        if not re.fullmatch(r"[a-z][a-z0-9-]*", key):
            raise _Refused(f"may hold K3s's flags without their dashes in front, not `{key}`")
        if not (isinstance(value, str | int | bool) or _is_text_list(value)):
            raise _Refused(f"has for `{key}` neither a text, a number, true or false, nor a list of texts")
    return found


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_SLUG = r"[a-z0-9]+(-[a-z0-9.]+)*"

#: kubernetes.io/docs/concepts/overview/working-with-objects/labels ("Syntax and character set").
_LABEL_NAME = r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_LABEL_VALUE = r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
_TAINT = rf"{_LABEL_NAME}(={_LABEL_VALUE})?:(NoSchedule|PreferNoSchedule|NoExecute)"
_POOL_KEYS = ("name", "count", "size", "image", "labels", "taints")


@dataclass(frozen=True)
class _Pool:
    """A pool as it is written; the image may be left to the stack's."""

    name: str
    count: int
    size: str
    image: str | None
    labels: tuple[tuple[str, str], ...]
    taints: tuple[str, ...]


def _pools(raw: str) -> tuple[_Pool, ...]:
    try:
        entries = json.loads(raw)
    except ValueError:
        entries = None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _Refused("must be a list of pools, each with name, count and size")
    pools = tuple(_pool(entry, index) for index, entry in enumerate(entries))
    names = [pool.name for pool in pools]
    for name in names:
        if names.count(name) > 1:
            raise _Refused(f"has two pools called `{name}`; give each a name of its own")
    return pools


def _pool(entry: Mapping[str, object], index: int) -> _Pool:
    def refuse(key: str, allowed: str) -> _Refused:
        return _Refused(f"has `{entry.get(key)}` for {key} in pool {index + 1}, which must be {allowed}")

    for key in entry:
        if key not in _POOL_KEYS:
            raise _Refused(f"has the unknown key `{key}` in pool {index + 1}; there are {_either(_POOL_KEYS)}")
    name, count, size, image = (entry.get(key) for key in ("name", "count", "size", "image"))
    if not isinstance(name, str) or not re.fullmatch(r"(?=.{1,20}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise refuse("name", "1 to 20 lower-case letters, digits and single dashes, beginning with a letter")
    if name in ("server", "agent"):
        raise refuse("name", "another word: `server` and `agent` are taken by serverCount and agentCount")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 1000:
        raise refuse("count", "a whole number from 0 to 1000")
    if not isinstance(size, str) or not re.fullmatch(_SLUG, size):
        raise refuse("size", "a droplet size's slug, such as `s-1vcpu-2gb`")
    if image is not None and (not isinstance(image, str) or not re.fullmatch(_SLUG, image)):
        raise refuse("image", "an image's slug, such as `ubuntu-24-04-x64`, or left out")
    labels, taints = entry.get("labels", {}), entry.get("taints", [])
    if not isinstance(labels, dict) or not all(
        re.fullmatch(_LABEL_NAME, key) and isinstance(value, str) and re.fullmatch(_LABEL_VALUE, value)
        for key, value in labels.items()
    ):
        raise refuse("labels", "a map of label names to texts")
    if not isinstance(taints, list) or not all(isinstance(t, str) and re.fullmatch(_TAINT, t) for t in taints):
        raise refuse("taints", "a list of taints such as `dedicated=batch:NoSchedule`")
    return _Pool(name, count, size, image, tuple(sorted(labels.items())), tuple(sorted(taints)))


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
    "agentPools": _pools,
    "serverTaint": _yes_or_no,
    # More than four at a time would wait for each other anyway: Pulumi runs four operations on nodes at once.
    "maxUnavailableAgents": _whole_number(1, 4),
    "drainTimeout": _whole_number(10, 3600),
    "image": _matching(_SLUG, "an image's slug, such as `ubuntu-24-04-x64`, or its number"),
    "k3sVersion": _release,
    "disable": _list_of(_component),
    "k3sServerConfig": _k3s_config,
    "k3sAgentConfig": _k3s_config,
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
    pools: tuple[_Pool, ...] = value("agentPools", tuple)
    image = value("image", str)
    # agentCount and agentSize are the short form of one pool; with pools given, it has none unless it says so.
    short = _Pool("agent", count("agentCount", 1 if ha and not pools else 0), value("agentSize", str), None, (), ())
    keys = value("sshKeys", _SshKeys)
    return ClusterSettings(
        stack=stack,
        topology="ha" if ha else "single-node",
        region=value("region", str),
        name_prefix=value("namePrefix", str),
        project_environment=value("projectEnvironment", str),
        vpc_cidr=value("vpcCidr", IPv4Network),
        image=image,
        k3s_version=value("k3sVersion", str),
        disable=tuple(sorted(set(value("disable", tuple)))),
        servers=PoolSettings(count("serverCount", 2 if ha else 1), value("serverSize", str)),
        server_taint=value("serverTaint", bool),
        agent_pools=tuple(
            AgentPoolSettings(pool.name, pool.count, pool.size, pool.image or image, pool.labels, pool.taints)
            for pool in (short, *pools)
        ),
        roll=RollSettings(value("maxUnavailableAgents", int), value("drainTimeout", int)),
        server_config=value("k3sServerConfig", dict),
        agent_config=value("k3sAgentConfig", dict),
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
    if settings.server_taint and settings.agent_count == 0:
        problems.append(
            "serverTaint: `true` keeps workloads off the servers, and this stack has no agents to take them; "
            "set agentCount, or leave serverTaint at `false`."
        )
    droplets = settings.servers.count + settings.agent_count
    services = (1 if settings.load_balancer else 0) + (settings.datastore.nodes if settings.datastore else 0)
    room = settings.vpc_cidr.num_addresses - RESERVED_ADDRESSES
    if droplets + services > room:
        problems.append(
            f"vpcCidr: `{settings.vpc_cidr}` is too small: it has room for {room} addresses, and this stack needs "
            f"{droplets + services} ({droplets} droplets, {services} for load balancer and datastore); choose a larger "
            "range or fewer nodes."
        )
    return problems
