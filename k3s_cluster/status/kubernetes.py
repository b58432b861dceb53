"""What the Kubernetes API says, asked as the kubeconfig's owner, with its CA verified."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from cryptography import x509

from k3s_cluster.status.report import CertificateReport

TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class ClusterNode:
    """A node object. `age` is in seconds; `cordoned` is true if the scheduler gives it no new pods."""

    ready: bool
    version: str
    age: float
    cordoned: bool


class Kubernetes:
    """An API and how to be believed by it. OSError is what its methods raise when it does not answer."""

    def __init__(self, kubeconfig: str) -> None:
        config = yaml.safe_load(kubeconfig)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.endpoint: str = cluster["server"]
        self._client_certificate = base64.b64decode(user["client-certificate-data"])
        self._context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        # Python reads client certificates from files only; this one is 0600, and gone at once.
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(self._client_certificate + b"\n" + base64.b64decode(user["client-key-data"]))
            pair.flush()
            self._context.load_cert_chain(Path(pair.name))
        handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an answer, whatever it is."""
        try:
            with self._opener.open(self.endpoint + path, timeout=TIMEOUT_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(errors="replace")

    def problem(self) -> str | None:
        """Why the API is not ready; None if it is. Source: kubernetes.io/docs/reference/using-api/health-checks."""
        try:
            status, text = self.get("/readyz?verbose")
        except OSError as error:
            return str(getattr(error, "reason", "") or error) or type(error).__name__
        if status == 200:
            return None
        failed = [line.removeprefix("[-]").split()[0] for line in text.splitlines() if line.startswith("[-]")]
        return f"{', '.join(failed)} failed" if failed else f"it answers {status}"

    def nodes(self, now: datetime) -> dict[str, ClusterNode]:
        """All nodes by name."""
        status, text = self.get("/api/v1/nodes")
        if status != 200:
            raise OSError(f"the API answers {status}")
        return {node["metadata"]["name"]: _cluster_node(node, now) for node in json.loads(text)["items"]}

    def certificates(self, now: datetime) -> list[CertificateReport]:
        """How long the kubeconfig's certificate and, if it answers, the API's are good."""
        found = [_days("kubeconfig", x509.load_pem_x509_certificate(self._client_certificate), now)]
        address = urlsplit(self.endpoint)
        try:
            with (
                socket.create_connection((address.hostname or "", address.port or 443), TIMEOUT_SECONDS) as connection,
                self._context.wrap_socket(connection, server_hostname=address.hostname) as secure,
            ):
                shown = secure.getpeercert(binary_form=True)
        except OSError:
            return found
        return [_days("API", x509.load_der_x509_certificate(shown), now), *found] if shown else found


def _days(name: str, certificate: x509.Certificate, now: datetime) -> CertificateReport:
    return CertificateReport(name, (certificate.not_valid_after_utc - now).total_seconds() / 86400)


def _cluster_node(node: dict[str, Any], now: datetime) -> ClusterNode:
    conditions = {condition["type"]: condition["status"] for condition in node["status"].get("conditions", [])}
    began = datetime.strptime(node["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return ClusterNode(
        ready=conditions.get("Ready") == "True",
        version=str(node["status"]["nodeInfo"]["kubeletVersion"]),
        age=(now - began).total_seconds(),
        cordoned=bool(node["spec"].get("unschedulable")),
    )
