"""One node of the cluster: the single channel for all that K3s on it is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from k3s_cluster import immutable_settings, k3s_version, server_changes
from k3s_cluster.account.client import Credentials
from k3s_cluster.account.provider import AccountProvider
from k3s_cluster.k3s_config import CONFIG_PATH, Role, read_config
from k3s_cluster.over_ssh import (
    authorized_keys,
    embedded_etcd,
    etcd_bucket,
    etcd_membership,
    k3s_service,
    reboot,
    roll,
    scheduling,
    traffic,
)
from k3s_cluster.over_ssh.connection import OTHER_SERVER_SECONDS, Connection, NodeError, connect, target_of
from k3s_cluster.over_ssh.first_boot import wait_for_first_boot
from k3s_cluster.over_ssh.progress import Progress, own_urn, progress_of, tell
from k3s_cluster.over_ssh.reach import reach

# gRPC would print a traceback beside the message that Pulumi shows.
logging.getLogger("grpc").setLevel(logging.CRITICAL)

#: docs.k3s.io/architecture ("How Agent Node Registration Works"): by it the cluster knows a node again.
NODE_PASSWORD_PATH = "/etc/rancher/node/password"  # noqa: S105 - a path

#: What is compared with the node's last known state; a change of any other property is only noted.
_TOLD = (
    *("role", "name", "size", "k3s_version", "config", "datastore_ca", "api_name", "server_addresses"),
    *("files", "labels", "taints", "drain_timeout", "health_check", "authorized_keys"),
)


#: Pulumi goes on knowing the node as it was before: a change that is taken back would be no change to it.
_NOT_WHOLE = (
    "`pulumi up` goes on from here. To take the change back instead, `pulumi up --refresh`: it looks at the node first."
)


@dataclass(frozen=True)
class NodeArgs:
    """What a node is told. `config` holds secrets. `files` maps paths to the texts that go with it.

    `peers` are the cluster's servers, this node left out. `node_password` is the same for a rebuilt droplet, so that
    the cluster takes it for the same node. `authorized_keys` are the public keys that are let in by SSH.
    `drain_timeout` is in seconds. `health_check` is the load balancer's (`interval` in seconds, `healthy`,
    `unhealthy`), None for what is behind none. `size` is the droplet's, if it is resized in place: then the node is
    waited for. `etcd_member` is true for servers that keep the cluster's state themselves; `server_addresses` then
    leave out the node's own. `from_backup` is true for those of them whose cluster is made from a backup: none may
    begin without it. `fixed` are the settings of a server that its cluster keeps for life.
    """

    role: Role
    name: pulumi.Input[str]
    droplet_id: pulumi.Input[str]
    size: pulumi.Input[str] | None
    host: pulumi.Input[str]
    host_key: pulumi.Input[str]
    private_key: pulumi.Input[str]
    node_password: pulumi.Input[str]
    authorized_keys: Sequence[pulumi.Input[str]]
    k3s_version: str
    config: pulumi.Input[str]
    files: dict[str, str]
    datastore_ca: pulumi.Input[str] | None
    labels: dict[str, str]
    taints: list[str]
    api_name: str
    server_addresses: Sequence[pulumi.Input[str]]
    peers: Sequence[pulumi.Input[dict[str, pulumi.Input[str]]]]
    drain_timeout: int
    at_a_time: int
    health_check: dict[str, int] | None
    fixed: Mapping[str, str]
    etcd_member: bool = False
    from_backup: bool = False


class NodeProvider(AccountProvider):
    """Brings one node to what it is told, and keeps it there. Every step may be repeated."""

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        refused = server_changes.refusals(olds, news) if news["role"] == "server" else []
        return CheckResult(news, [CheckFailure(setting, f"{setting} {reason}.") for setting, reason in refused])

    def create(self, props: dict[str, Any]) -> CreateResult:
        traffic.note(props["private_key"], props.get("health_check"))
        _converge(props, {})
        roll.node_was_made(props["private_key"], props["name"], props["droplet_id"])
        return CreateResult(str(props["name"]), {**props, "ready": True, "reboot_required": False})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        traffic.note(news["private_key"], news.get("health_check"))
        replaced = ["droplet_id"] if olds.get("droplet_id") != news["droplet_id"] else []
        if not replaced and olds["k3s_version"] != news["k3s_version"]:
            tell(news["urn"], f"{olds['name']}: K3s {olds['k3s_version'] or 'missing'} -> {news['k3s_version']}")
        told = any(olds.get(key) != news.get(key) for key in _TOLD)
        if news.get("etcd_member"):
            embedded_etcd.note_begun(news["private_key"])
        return DiffResult(changes=bool(replaced) or told or not olds.get("ready"), replaces=replaced)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        progress = progress_of(news["urn"])
        agent = news["role"] == "agent"
        turn = roll.turn(news["private_key"], news["name"], news["at_a_time"], progress) if agent else nullcontext()
        with turn:
            try:
                _converge(news, olds, self._credentials)
            except NodeError as error:
                raise NodeError(f"{error}\n{_NOT_WHOLE}") from None
        reboot_required = bool(olds.get("reboot_required"))
        return UpdateResult({**news, "ready": True, "reboot_required": reboot_required})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, {**props, **_observe(props)})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        # Nodes that go with their whole cluster go at once: there is nowhere for their pods to move.
        whole = roll.whole_cluster_goes(props["private_key"])
        if not whole and not roll.is_another_droplet_s(props["private_key"], props["name"], props["droplet_id"]):
            _remove_from_cluster(props)


def _converge(props: dict[str, Any], olds: dict[str, Any], credentials: Credentials | None = None) -> None:
    """Bring the node to `props`: what is already so is left alone, so a second run is quick and safe.

    `olds` is what the node was last brought to; empty for a new one. With `credentials`, DigitalOcean is asked about a
    droplet that does not answer.
    """
    progress = progress_of(props["urn"])
    role: Role = props["role"]
    began = time.monotonic()
    with ExitStack() as stack:
        ready = partial(_is_ready, props, progress)
        node = stack.enter_context(reach(props, credentials if olds else None, ready, progress))
        wait_for_first_boot(node, role, props["k3s_version"], progress)
        authorized_keys.keep(node, props["authorized_keys"])
        check = traffic.HealthCheck.of(props["health_check"]) if props.get("health_check") else None
        if check:
            traffic.install(node)
        k3s_service.write_hosts(node, props["api_name"], props["server_addresses"])
        node.write_file(NODE_PASSWORD_PATH, props["node_password"] + "\n")
        peers = etcd_membership.peers(props, stack, node, progress) if props.get("etcd_member") else None
        owed = k3s_service.restart_is_owed(node)
        changed = _install(props, olds, node, owed=owed, progress=progress)
        drained_for: float | None = None
        if olds and changed:
            server = _server_to_ask(props, node, stack, progress)
            if former := _another_version(props, node, server):
                try:
                    if peers is not None:
                        etcd_membership.keep_quorum(props, node, peers, progress)
                    drained_for = _drain_for_upgrade(props, server, progress)
                except NodeError:
                    _put_back(node, role, former, owed=owed, progress=progress)
                    raise
        files, unwanted = props["files"], set(olds.get("files") or {}) - set(props["files"])
        changed = (
            k3s_service.write_config(node, props["config"], props.get("datastore_ca"), files, sorted(unwanted))
            or changed
        )
        if peers is not None:
            changed = etcd_membership.take(props, node, peers, progress) or changed
            if changed:
                etcd_membership.keep_quorum(props, node, peers, progress)
        if changed or not k3s_service.is_active(node, role):
            k3s_service.prepare_start(node, role)
            if check:
                quorum = partial(etcd_membership.keep_quorum, props, node, peers, progress) if peers else lambda: None
                _leave_traffic(props, check, node, progress, quorum)
            k3s_service.start(node, role, restart=changed, progress=progress)
        k3s_service.restart_is_done(node)
        server = node if role == "server" else stack.enter_context(_any_server(props, progress))
        k3s_service.wait_until_ready(node, server, role, props["name"], props["k3s_version"], progress)
        if peers is not None:
            etcd_membership.settle(props, node, progress)
        before = (olds.get("labels") or {}, olds.get("taints") or [])
        scheduling.mark(server, props["name"], props["droplet_id"], props["labels"], props["taints"], before)
        scheduling.uncordon(server, props["name"])
        if check:
            traffic.enter(node)
        if peers is not None:
            etcd_bucket.check(node, props["name"], props["config"], str(olds.get("config") or ""), progress)
    if drained_for is not None:
        took = time.monotonic() - began
        tell(props["urn"], f"{props['name']}: K3s {props['k3s_version']} after {took:.0f} s, drain {drained_for:.0f} s")


def _install(props: dict[str, Any], olds: dict[str, Any], node: Connection, *, owed: bool, progress: Progress) -> bool:
    """Bring the node's K3s to its version, while the old one still runs. True if a restart is owed for it, or was.

    NodeError if the version cannot be had, or follows no other: the node is as it was, and serves.
    """
    role, version = props["role"], props["k3s_version"]
    installed = k3s_service.installed_version(node)
    # What the state knows is what the node was brought to; a change that failed half way may have gone further.
    if role == "server" and installed and (olds or k3s_service.has_served(node)):
        if reason := k3s_version.refusal(installed, version):
            raise NodeError(f"{props['name']} has K3s {installed} on it: {reason}")
        if not olds:
            _require_what_began(props, node)
    k3s_service.owe_restart(node)
    try:
        return k3s_service.install(node, role, version, progress) or owed
    except NodeError:
        if not owed and k3s_service.installed_version(node) == installed:
            k3s_service.restart_is_done(node)
        raise
    finally:
        if k3s_service.runs(node, role):
            # The installer takes that away, and until the restart a reboot may come.
            k3s_service.start_at_boot(node, role)


def _require_what_began(props: dict[str, Any], node: Connection) -> None:
    """NodeError if a server that has begun its cluster, and never was Ready, is to have other settings for life.

    etcd's members come from resets and snapshots, too, which K3s begins without these settings.
    """
    config = node.read_file(CONFIG_PATH)
    if config is None or props.get("etcd_member"):
        return
    for key, was, will in immutable_settings.changes(immutable_settings.of(read_config(config) or {}), props["fixed"]):
        raise NodeError(
            f"{props['name']} has begun its cluster with {was} for k3sServerConfig.{key}, and {will} comes too late: "
            f"{immutable_settings.REASONS[key]}. Set it back, or `pulumi destroy` and begin anew"
        )


def _another_version(props: dict[str, Any], node: Connection, server: Connection) -> str | None:
    """The K3s that `server` says the node runs, if it is to run another one."""
    if server is node and not k3s_service.answers(node):
        return None
    found = scheduling.get_node(server, props["name"])
    version = str(found["status"]["nodeInfo"]["kubeletVersion"]) if found else props["k3s_version"]
    return version if version != props["k3s_version"] else None


def _put_back(node: Connection, role: Role, version: str, *, owed: bool, progress: Progress) -> None:
    """Install the `version` that still runs, so that no reboot starts another one, and a change can be taken back."""
    with suppress(NodeError):
        k3s_service.install(node, role, version, progress)
        k3s_service.start_at_boot(node, role)
        if not owed:
            k3s_service.restart_is_done(node)


def _leave_traffic(
    props: dict[str, Any],
    check: traffic.HealthCheck,
    server: Connection,
    progress: Progress,
    may_stop: Callable[[], None] = lambda: None,
) -> None:
    """Let the load balancer send clients to another server, and refuse those who come without it.

    `may_stop` raises NodeError if K3s must not stop now: then the server stays in traffic. A server without another one
    goes all the same, and says so: what it is to be brought to may be what mends it.
    """
    runs = k3s_service.runs(server, "server")
    try:
        if runs and props["peers"]:
            if not traffic.passes_elsewhere(server):
                _put_back_others(props, progress)
            alone = not traffic.leave(server, check, progress)
        else:
            traffic.fail_checks(server, check)
            alone = runs
        may_stop()
    except NodeError:
        traffic.enter(server)
        raise
    if alone:
        tell(props["urn"], f"{props['name']}: no other server serves the API, so nothing does until K3s is back on it")
    traffic.refuse(server)
    if runs:
        traffic.hold_requests(server, progress)


def _put_back_others(props: dict[str, Any], progress: Progress) -> None:
    """A run that was killed may have left another server out of traffic: only one server at a time is out."""
    for peer in props["peers"]:
        with suppress(NodeError), connect(target_of(props, peer), progress, OTHER_SERVER_SECONDS) as other:
            traffic.enter(other)


def _drain_for_upgrade(props: dict[str, Any], server: Connection, progress: Progress) -> float:
    """Empty the node before another K3s starts on it, if others can take its pods. Seconds that pods took to move.

    NodeError if they do not move in time: the node is left as it was, and the roll stops.
    """
    name, timeout = props["name"], int(props["drain_timeout"])
    if not scheduling.others_can_take_pods(server, name):
        return 0.0
    progress("draining")
    scheduling.cordon(server, name)
    began = time.monotonic()
    try:
        scheduling.drain(server, name, timeout)
    except NodeError as error:
        scheduling.uncordon(server, name)
        raise NodeError(
            f"{name} could not be drained within drainTimeout ({timeout} s), and was left as it was. Look at its "
            f"PodDisruptionBudgets: `kubectl get pdb -A`. kubectl said:\n{error}"
        ) from None
    return time.monotonic() - began


def _observe(props: dict[str, Any]) -> dict[str, Any]:
    """What is found on the node: the version, the configuration, and whether K3s runs."""
    progress = progress_of(props["urn"])
    try:
        with connect(target_of(props, props), progress, OTHER_SERVER_SECONDS) as node:
            if (packages := reboot.required_for(node)) is not None:
                tell(props["urn"], reboot.notice(props["name"], packages))
            return {
                "k3s_version": k3s_service.installed_version(node) or "",
                "config": node.read_file(CONFIG_PATH) or "",
                "files": {path: node.read_file(path) or "" for path in props.get("files") or {}},
                "authorized_keys": authorized_keys.found(node, props.get("authorized_keys") or []),
                "ready": k3s_service.is_active(node, props["role"]) and not k3s_service.restart_is_owed(node),
                "reboot_required": packages is not None,
            }
    except NodeError as error:
        tell(props["urn"], f"{props['name']} does not answer: {error}")
        return {"ready": False}


def _remove_from_cluster(props: dict[str, Any]) -> None:
    """Move the node's pods elsewhere and take it out of the cluster, as far as somebody is left to do it."""
    progress = progress_of(props["urn"])
    name: str = props["name"]
    with ExitStack() as stack:
        try:
            node: Connection | None = stack.enter_context(
                connect(target_of(props, props), progress, OTHER_SERVER_SECONDS)
            )
        except NodeError:
            node = None
        try:
            server = _server_to_ask(props, node, stack, progress)
            if not scheduling.belongs_to(server, name, props["droplet_id"]):
                return
            # Pods of a machine that is gone cannot end by themselves: removing their node is what frees them.
            if node is not None and scheduling.others_can_take_pods(server, name):
                progress("draining")
                if left := scheduling.drain_or_go_on(server, name, int(props["drain_timeout"])):
                    tell(props["urn"], f"{name} goes although pods are left on it: {left}")
            others = scheduling.other_servers(server, name)
            if node is not None and props.get("health_check"):
                traffic.install(node)
                check = traffic.check_of(props["private_key"], props["health_check"])
                _leave_traffic(props, check, node, progress)
            progress("leaving the cluster")
            if node is not None:
                # It must not register anew.
                node.run("systemctl", "stop", k3s_service.unit(props["role"]), timeout=120)
            scheduling.remove(server, name, through=others if server is node else None)
        except NodeError as error:
            # A cluster that is already gone has no node to remove, and its droplets must still be destroyable.
            tell(props["urn"], f"{name} goes without being taken out of the cluster: {error}")


def _is_ready(props: dict[str, Any], progress: Progress) -> bool | None:
    """Whether the cluster calls the node Ready; None if no other server answers, or none knows the node."""
    try:
        with _any_server(props, progress) as server:
            state = k3s_service.node_state(server, props["name"])
    except NodeError:
        return None
    return None if state is None else state.ready


def _server_to_ask(props: dict[str, Any], node: Connection | None, stack: ExitStack, progress: Progress) -> Connection:
    """A connection to a server: another one, or the node itself if it is the only one that answers."""
    try:
        return stack.enter_context(_any_server(props, progress))
    except NodeError:
        if node is None or props["role"] != "server":
            raise
        return node


def _any_server(props: dict[str, Any], progress: Progress) -> Connection:
    """A connection to a server of the cluster other than this node whose API answers. NodeError if there is none."""
    problems = []
    for peer in props["peers"]:
        try:
            server = connect(target_of(props, peer), progress, OTHER_SERVER_SECONDS)
        except NodeError as error:
            problems.append(str(error))
            continue
        # A server that is on its way out may still answer SSH when its K3s has ended.
        if k3s_service.answers(server):
            return server
        problems.append(f"the API on {peer['host']} does not answer")
        server.close()
    raise NodeError("no other server of the cluster answers: " + ("; ".join(problems) or "there is none"))


class Node(Resource, module="over_ssh", name="Node"):
    """A node that runs K3s as it is told. It is Ready when this resource is there.

    `reboot_required` is what the last `pulumi refresh` found: updates that wait for the operator to reboot the node.
    """

    name: pulumi.Output[str]
    ready: pulumi.Output[bool]
    reboot_required: pulumi.Output[bool]

    def __init__(self, name: str, args: NodeArgs, opts: pulumi.ResourceOptions) -> None:
        secrets = pulumi.ResourceOptions(additional_secret_outputs=["private_key", "node_password", "config"])
        props = {
            "urn": own_urn(name, "Node", opts.parent),
            **{field: getattr(args, field) for field in NodeArgs.__dataclass_fields__},
            "ready": None,
            "reboot_required": None,
        }
        super().__init__(NodeProvider(), name, props, pulumi.ResourceOptions.merge(opts, secrets))
