"""One node of the cluster: the single channel for all that K3s on it is told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from k3s_cluster.k3s_config import CONFIG_PATH, Role
from k3s_cluster.over_ssh import k3s_service
from k3s_cluster.over_ssh.connection import Connection, NodeError, SshTarget, connect
from k3s_cluster.over_ssh.first_boot import wait_for_first_boot
from k3s_cluster.over_ssh.progress import Progress, own_urn, progress_of

# gRPC would print a traceback beside the message that Pulumi shows.
logging.getLogger("grpc").setLevel(logging.CRITICAL)

#: A server that answers at all answers within seconds; the dead must not hold up the others.
OTHER_SERVER_SECONDS = 20
DELETE_TIMEOUT_SECONDS = 60

#: What is compared with the node's last known state; a change of any other property is only noted.
_TOLD = ("role", "name", "k3s_version", "config", "datastore_ca", "api_name", "server_addresses")


@dataclass(frozen=True)
class NodeArgs:
    """What a node is told. `config` holds secrets. `peers` are the cluster's servers, this node left out."""

    role: Role
    name: pulumi.Input[str]
    droplet_id: pulumi.Input[str]
    host: pulumi.Input[str]
    host_key: pulumi.Input[str]
    private_key: pulumi.Input[str]
    k3s_version: str
    config: pulumi.Input[str]
    datastore_ca: pulumi.Input[str] | None
    api_name: str
    server_addresses: Sequence[pulumi.Input[str]]
    peers: Sequence[pulumi.Input[dict[str, pulumi.Input[str]]]]


class NodeProvider(ResourceProvider):
    """Brings one node to what it is told, and keeps it there. Every step may be repeated."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        _converge(props)
        return CreateResult(str(props["name"]), {**props, "ready": True})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        replaced = ["droplet_id"] if olds.get("droplet_id") != news["droplet_id"] else []
        told = any(olds.get(key) != news.get(key) for key in _TOLD)
        # The old droplet is gone or going when its node is replaced: nothing new waits for it.
        return DiffResult(changes=bool(replaced) or told or not olds.get("ready"), replaces=replaced)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        _converge(news)
        return UpdateResult({**news, "ready": True})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, {**props, **_observe(props)})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        _remove_from_cluster(props)


def _target(props: dict[str, Any], host: dict[str, Any]) -> SshTarget:
    return SshTarget(host=host["host"], host_key=host["host_key"], private_key=props["private_key"])


def _converge(props: dict[str, Any]) -> None:
    """Bring the node to `props`: what is already so is left alone, so a second run is quick and safe."""
    progress = progress_of(props["urn"])
    role: Role = props["role"]
    with ExitStack() as stack:
        node = stack.enter_context(connect(_target(props, props), progress))
        wait_for_first_boot(node, progress)
        k3s_service.write_hosts(node, props["api_name"], props["server_addresses"])
        changed = k3s_service.install(node, role, props["k3s_version"], progress)
        changed = k3s_service.write_config(node, props["config"], props.get("datastore_ca")) or changed
        if changed or not k3s_service.is_active(node, role):
            k3s_service.start(node, role, restart=changed, progress=progress)
        server = node if role == "server" else stack.enter_context(_any_server(props, progress))
        k3s_service.wait_until_ready(node, server, role, props["name"], props["k3s_version"], progress)


def _observe(props: dict[str, Any]) -> dict[str, Any]:
    """What is found on the node: the version, the configuration, and whether K3s runs."""
    progress = progress_of(props["urn"])
    try:
        with connect(_target(props, props), progress, OTHER_SERVER_SECONDS) as node:
            return {
                "k3s_version": k3s_service.installed_version(node) or "",
                "config": node.read_file(CONFIG_PATH) or "",
                "ready": k3s_service.is_active(node, props["role"]),
            }
    except NodeError as error:
        pulumi.log.debug(str(error))
        return {"ready": False}


def _remove_from_cluster(props: dict[str, Any]) -> None:
    """Take the node out of the cluster, if some other server is left to do it."""
    progress = progress_of(props["urn"])
    try:
        with _any_server(props, progress) as server:
            progress("leaving the cluster")
            k3s_service.kubectl(
                *(server, "delete", "node", props["name"], "--ignore-not-found"), timeout=DELETE_TIMEOUT_SECONDS
            )
    except NodeError as error:
        # A cluster that is already gone has no node to remove, and its droplets must still be destroyable.
        progress(f"left without the cluster's answer: {error}")


def _any_server(props: dict[str, Any], progress: Progress) -> Connection:
    """A connection to a server of the cluster other than this node. Raises NodeError if none answers."""
    problems = []
    for peer in props["peers"]:
        try:
            return connect(_target(props, peer), progress, OTHER_SERVER_SECONDS)
        except NodeError as error:
            problems.append(str(error))
    raise NodeError("no other server of the cluster answers: " + ("; ".join(problems) or "there is none"))


class Node(Resource, module="over_ssh", name="Node"):
    """A node that runs K3s as it is told. It is Ready when this resource is there."""

    name: pulumi.Output[str]
    ready: pulumi.Output[bool]

    def __init__(self, name: str, args: NodeArgs, opts: pulumi.ResourceOptions) -> None:
        secrets = pulumi.ResourceOptions(additional_secret_outputs=["private_key", "config"])
        props = {
            "urn": own_urn(name, "Node", opts.parent),
            **{field: getattr(args, field) for field in NodeArgs.__dataclass_fields__},
            "ready": None,
        }
        super().__init__(NodeProvider(), name, props, pulumi.ResourceOptions.merge(opts, secrets))
