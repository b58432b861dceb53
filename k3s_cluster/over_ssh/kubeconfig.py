"""The cluster's kubeconfig: fetched from a server, pointed at the API's address, checked, and written to a file."""

from __future__ import annotations

import base64
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from k3s_cluster import kubeconfig_file
from k3s_cluster.dynamic_provider import DynamicProvider
from k3s_cluster.k3s_config import API_PORT, KUBECONFIG_PATH
from k3s_cluster.kubeconfig import KubeconfigError, rewrite
from k3s_cluster.kubeconfig_file import write_private
from k3s_cluster.over_ssh import roll
from k3s_cluster.over_ssh.connection import NodeError, connect, target_of
from k3s_cluster.over_ssh.progress import Progress, own_urn, progress_of, tell

#: The load balancer must first find a server healthy: at most 300 s between checks, as a rule 50 s in all.
ANSWER_DEADLINE_SECONDS = 600
REQUEST_TIMEOUT_SECONDS = 5
RETRY_SECONDS = 1


@dataclass(frozen=True)
class KubeconfigArgs:
    """The server to fetch from, the address to point at, the name of the context, and the file to write.

    `check_address` is where the API is asked, `api_address` by default; it differs for a name that is not known yet.
    `droplet_id` is of the droplet whose disk holds the cluster, if one does: on a new one the cluster has a new CA.
    `merge` is whether the context goes into the person's own kubeconfig, too, where `owner` marks it as the stack's.
    """

    host: pulumi.Input[str]
    host_key: pulumi.Input[str]
    private_key: pulumi.Input[str]
    api_address: pulumi.Input[str]
    check_address: pulumi.Input[str] | None
    droplet_id: pulumi.Input[str] | None
    context: str
    path: str
    merge: bool
    owner: str


class KubeconfigProvider(DynamicProvider):
    """Fetches at creation and at any change; removes the file at deletion, unless it is somebody else's by then."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(str(props["context"]), _fetch(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        # `path` is relative to the program's folder, so that a checkout elsewhere sees no change.
        told = ("host_key", "api_address", "context", "path")
        merges = bool(olds.get("merge")) != news["merge"]
        rebuilt = bool(olds.get("droplet_id")) and olds["droplet_id"] != news.get("droplet_id")
        return DiffResult(changes=merges or rebuilt or any(olds.get(key) != news[key] for key in told))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        fetched = _fetch(news)
        if _resolved(olds) != _resolved(news):
            _remove(olds)
        if olds.get("merged_into") and olds["merged_into"] != fetched["merged_into"]:
            _unmerge(olds)
        return UpdateResult(fetched)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        # Every node comes before the kubeconfig, so it goes only when all of them go after it.
        roll.cluster_is_going(props["private_key"])
        if props.get("merged_into"):
            _unmerge(props)
        _remove(props)


def _fetch(props: dict[str, Any]) -> dict[str, Any]:
    progress = progress_of(props["urn"])
    target = target_of(props, props)
    with connect(target, progress) as server:
        remote = server.run("cat", KUBECONFIG_PATH)
    kubeconfig = rewrite(remote, f"https://{props['api_address']}:{API_PORT}", props["context"], props["owner"])
    _wait_for_answer(kubeconfig, props.get("check_address") or props["api_address"], progress)
    own = Path(props["path"]).expanduser()
    try:
        kubeconfig_file.write_own(own, kubeconfig, props["owner"])
    except (KubeconfigError, OSError) as error:
        raise NodeError(f"{own} could not be written: {error}. Choose another kubeconfigPath, or mend it.") from None
    merged_into = ""
    if props["merge"]:
        file = kubeconfig_file.of_person(own)
        try:
            kubeconfig_file.merge(file, kubeconfig, props["owner"])
        except (KubeconfigError, OSError) as error:
            raise NodeError(f"{props['context']} could not be merged into {file}: {error}.") from None
        merged_into = str(file)
    return {**props, "kubeconfig": kubeconfig, "merged_into": merged_into}


def _resolved(props: dict[str, Any]) -> Path:
    """The file itself: another way to write its path makes no other file of it."""
    return Path(props["path"]).expanduser().resolve()


def _unmerge(props: dict[str, Any]) -> None:
    file = Path(props["merged_into"])
    try:
        kubeconfig_file.unmerge(file, props["context"], props["owner"])
    except (KubeconfigError, OSError) as error:
        # A file that only holds access to a cluster must not keep the cluster from going.
        tell(props["urn"], f"{props['context']} is left in {file}: {error}")


def _wait_for_answer(kubeconfig: str, address: str, progress: Progress) -> None:
    """Return when the API answers /readyz at `address`, with the CA and the certificate from `kubeconfig`."""
    config = yaml.safe_load(kubeconfig)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    # Python reads client certificates from files only.
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "client.pem"
        certificate, key = user["client-certificate-data"], user["client-key-data"]
        write_private(pair, base64.b64decode(certificate).decode() + base64.b64decode(key).decode())
        context.load_cert_chain(pair)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    url = f"https://{address}:{API_PORT}"
    deadline = time.monotonic() + ANSWER_DEADLINE_SECONDS
    while True:
        progress("waiting for the API to answer")
        try:
            opener.open(f"{url}/readyz", timeout=REQUEST_TIMEOUT_SECONDS).close()
            return
        except (OSError, urllib.error.URLError) as error:
            if time.monotonic() >= deadline:
                raise NodeError(
                    f"{url} does not answer ({error}). Look at the load balancer's health checks, and at "
                    "adminCidrs: they must hold the address you come from."
                ) from None
        time.sleep(RETRY_SECONDS)


def _remove(props: dict[str, Any]) -> None:
    own = Path(props["path"]).expanduser()
    try:
        kubeconfig_file.remove_own(own, props["owner"])
    except (KubeconfigError, OSError) as error:
        tell(props["urn"], f"{own} is left as it is: {error}")


class Kubeconfig(Resource, module="over_ssh", name="Kubeconfig"):
    """The cluster's kubeconfig. `kubeconfig` is secret; the API answers to it when this resource is there."""

    kubeconfig: pulumi.Output[str]
    path: pulumi.Output[str]

    def __init__(self, name: str, args: KubeconfigArgs, opts: pulumi.ResourceOptions) -> None:
        secrets = pulumi.ResourceOptions(additional_secret_outputs=["private_key", "kubeconfig"])
        props = {
            "urn": own_urn(name, "Kubeconfig", opts.parent),
            **{field: getattr(args, field) for field in KubeconfigArgs.__dataclass_fields__},
            "kubeconfig": None,
            "merged_into": None,
        }
        super().__init__(KubeconfigProvider(), name, props, pulumi.ResourceOptions.merge(opts, secrets))
