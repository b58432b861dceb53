"""Asks everybody: Pulumi, DigitalOcean, the Kubernetes API, the nodes. Every question is bounded."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import yaml

from k3s_cluster.account import cost
from k3s_cluster.account.client import Client, Credentials, NoAnswer, NotAllowed, NotFound, TokenRefused
from k3s_cluster.account.facts import ask
from k3s_cluster.over_ssh.connection import NodeError, SshTarget, connect
from k3s_cluster.pulumi_cli import PulumiError, pulumi
from k3s_cluster.settings import ClusterSettings, SettingsError, parse_settings
from k3s_cluster.stack_config import credentials
from k3s_cluster.status import stack_state
from k3s_cluster.status.kubernetes import ClusterNode, Kubernetes
from k3s_cluster.status.report import (
    ApiReport,
    BalancerReport,
    CertificateReport,
    DatastoreReport,
    DriftReport,
    NodeReport,
    Report,
)
from k3s_cluster.status.stack_state import KnownNode, StackState

PULUMI_SECONDS = 60
#: A refresh asks every node over SSH, and waits some time for each that is dead.
DRIFT_SECONDS = 300
TIMEOUT_SECONDS = 5
SSH_PORT = 22


# It would print, beside our own words, that a channel could not be opened.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class NoCluster(Exception):
    """There is nothing to look at: the message says why, and what to do."""


def report(stack: str | None, *, drift: bool) -> Report:
    """What the stack's cluster looks like; without `stack`, that of the stack that is selected. Raises NoCluster."""
    name = stack or os.environ.get("PULUMI_STACK") or _pulumi("stack", "--show-name").strip()
    state = stack_state.read(json.loads(_pulumi("stack", "export", "--show-secrets", "--stack", name)))
    if not state.nodes:
        raise NoCluster(f"the stack {name} has no cluster; `pulumi up --stack {name}` makes one")
    shown = json.loads(_pulumi("config", "--json", "--show-secrets", "--stack", name))
    config = {key: str(entry.get("value", "")) for key, entry in shown.items()}
    prefix = f"{yaml.safe_load(Path('Pulumi.yaml').read_text(encoding='utf-8'))['name']}:"
    own = {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
    settings, refused = _settings(own, name)
    cloud = _Cloud(credentials(config, os.environ))
    kubernetes = Kubernetes(state.kubeconfig) if state.kubeconfig else None
    with ThreadPoolExecutor(max_workers=16) as pool:
        problem = pool.submit(kubernetes.problem) if kubernetes else None
        known = pool.submit(_cluster_nodes, kubernetes)
        certificates = pool.submit(_certificates, kubernetes)
        nodes = [pool.submit(_droplet_and_ssh, cloud, node) for node in state.nodes]
        balancer = pool.submit(_load_balancer, cloud, state)
        datastore = pool.submit(_datastore, cloud, state)
        monthly = pool.submit(cloud.monthly_cost, settings)
        drifted = pool.submit(_drift, name) if drift else None
        in_cluster = known.result()
        api = ApiReport(
            kubernetes.endpoint if kubernetes else "no address yet",
            problem.result() if problem else "`pulumi up` has not come to its end yet",
        )
        return Report(
            stack=name,
            wanted_version=own.get("k3sVersion"),
            api=api,
            nodes=tuple(
                _node(node, *found.result(), in_cluster) for node, found in zip(state.nodes, nodes, strict=True)
            ),
            load_balancer=balancer.result(),
            datastore=_with_api_s_word(datastore.result(), api),
            certificates=tuple(certificates.result()),
            drift=drifted.result() if drifted else None,
            monthly_cost=monthly.result(),
            notes=(*cloud.problems, *refused),
        )


def _pulumi(*arguments: str) -> str:
    try:
        return pulumi(*arguments, seconds=PULUMI_SECONDS)
    except PulumiError as error:
        raise NoCluster(str(error)) from None


class _Cloud:
    """DigitalOcean's API, asked for the status of one thing at a time. `problems` are what kept it from answering."""

    def __init__(self, found: Credentials | None) -> None:
        self._client = Client(found, TIMEOUT_SECONDS) if found else None
        self.problems: list[str] = [] if found else ["no DIGITALOCEAN_TOKEN: DigitalOcean was not asked"]

    def status(self, path: str, kind: str) -> str | None:
        """DigitalOcean's word on what is at `path`: `gone` where there is nothing, None where it did not say."""
        if self._client is None:
            return None
        try:
            return str(self._client.get(f"/v2/{path}")[kind]["status"])
        except NotFound:
            return "gone"
        except KeyError as error:
            self._note(f"DigitalOcean's answer has no {error}")
        except (NoAnswer, NotAllowed, TokenRefused) as error:
            self._note(_silence(error))
        return None

    def monthly_cost(self, settings: ClusterSettings | None) -> float | None:
        """What the stack has costs a month, in USD; None where the account does not tell."""
        if self._client is None or settings is None:
            return None
        try:
            deployed = cost.deployed(settings, ask(self._client, settings))
        except (NoAnswer, NotAllowed, TokenRefused) as error:
            self._note(_silence(error))
            return None
        if deployed is None:
            return None
        for unknown in deployed.unknown:
            self._note(f"what {unknown} costs is not known")
        return float(deployed.total)

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _silence(error: Exception) -> str:
    if isinstance(error, TokenRefused):
        return "DigitalOcean does not know the token"
    return "the token may not ask everything" if isinstance(error, NotAllowed) else f"DigitalOcean is silent: {error}"


def _settings(own: Mapping[str, str], stack: str) -> tuple[ClusterSettings | None, list[str]]:
    """What the stack asks for, or None and why its config is refused here."""
    try:
        return parse_settings(own, stack=stack, folder=Path.cwd(), secrets=own.keys()), []
    except SettingsError as error:
        return None, [f"the stack's config is refused, so its cost is not known: {error.problems[0]}"]


def _cluster_nodes(kubernetes: Kubernetes | None) -> dict[str, ClusterNode] | None:
    try:
        return kubernetes.nodes(datetime.now(UTC)) if kubernetes else None
    except OSError:
        return None


def _certificates(kubernetes: Kubernetes | None) -> Sequence[CertificateReport]:
    return kubernetes.certificates(datetime.now(UTC)) if kubernetes else ()


def _droplet_and_ssh(cloud: _Cloud, node: KnownNode) -> tuple[str | None, bool]:
    status = cloud.status(f"droplets/{node.droplet_id}", "droplet")
    try:
        with socket.create_connection((node.address, SSH_PORT), TIMEOUT_SECONDS) as connection:
            # A machine whose power is cut takes no connection; one that is stuck takes it and says nothing.
            connection.settimeout(TIMEOUT_SECONDS)
            return status, connection.recv(4) == b"SSH-"
    except OSError:
        return status, False


def _node(
    node: KnownNode, droplet: str | None, answers_ssh: bool, in_cluster: dict[str, ClusterNode] | None
) -> NodeReport:
    found = in_cluster.get(node.name) if in_cluster is not None else None
    return NodeReport(
        name=node.name,
        role=node.role,
        address=node.address,
        droplet=droplet,
        answers_ssh=answers_ssh,
        known=None if in_cluster is None else found is not None,
        ready=found.ready if found else None,
        version=found.version if found else None,
        age=found.age if found else None,
        cordoned=bool(found and found.cordoned),
    )


def _load_balancer(cloud: _Cloud, state: StackState) -> BalancerReport | None:
    if state.load_balancer is None:
        return None
    balancer_id, address = state.load_balancer
    return BalancerReport(address, cloud.status(f"load_balancers/{balancer_id}", "load_balancer"))


def _datastore(cloud: _Cloud, state: StackState) -> DatastoreReport:
    """A managed database is asked after twice: DigitalOcean's word, and whether a server reaches it."""
    if state.database is None:
        return DatastoreReport(state.datastore_engine, None, None)
    database_id, host, port = state.database
    status = cloud.status(f"databases/{database_id}", "database")
    return DatastoreReport(state.datastore_engine, status, _reached_from_a_server(state, host, port))


def _reached_from_a_server(state: StackState, host: str, port: int) -> str | None:
    """None if a server gets a connection to the database; only servers may."""
    problem = "no server could be asked"
    for server in state.nodes:
        if server.role != "server" or server.host_key is None or state.private_key is None:
            continue
        target = SshTarget(host=server.address, private_key=state.private_key, host_key=server.host_key)
        try:
            with connect(target, lambda _text: None, deadline_seconds=0) as node, node.tunnel(host, port):
                return None
        except NodeError as error:
            problem = str(error)
            if "cannot reach" in problem:
                return f"{server.name} gets no connection to {host}:{port}"
    return problem


def _with_api_s_word(datastore: DatastoreReport, api: ApiReport) -> DatastoreReport:
    """What is not managed is known by the API's own check of it alone."""
    if datastore.status is None and datastore.problem is None and api.problem:
        return DatastoreReport(datastore.engine, None, "the API, which would know, is not ready")
    return datastore


def _drift(stack: str) -> DriftReport:
    command = ("pulumi", "preview", "--refresh", "--expect-no-changes", "--non-interactive", "--color", "never")
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            [*command, "--stack", stack],
            capture_output=True,
            text=True,
            timeout=DRIFT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return DriftReport(None, f"no answer within {DRIFT_SECONDS} s")
    if done.returncode == 0:
        return DriftReport(False, "")
    text = done.stdout + done.stderr
    # Newer releases of Pulumi put the operation's name into the middle of the sentence.
    if "no changes were expected" in text:
        return DriftReport(True, "`pulumi preview --refresh --diff` shows what")
    return DriftReport(None, "\n".join(text.strip().splitlines()[-5:]))
