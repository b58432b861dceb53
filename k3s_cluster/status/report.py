"""What there is to say about a cluster, and what of it is a problem: pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

#: K3s renews its certificates when it starts within 120 days of their end (docs.k3s.io/cli/certificate), older releases
#: within 90: what is this close was not renewed in time.
CERTIFICATE_DAYS = 30


@dataclass(frozen=True)
class NodeReport:
    """`droplet` is DigitalOcean's word. `ready` is the cluster's: None where it was not to be had, and
    `known` is False where the cluster has no such node. `age` is in seconds."""

    name: str
    role: str
    address: str
    droplet: str | None
    answers_ssh: bool
    known: bool | None
    ready: bool | None
    version: str | None
    age: float | None
    cordoned: bool = False


@dataclass(frozen=True)
class ApiReport:
    """The Kubernetes API as an administrator reaches it. `problem` says why it is not ready; None if it is."""

    endpoint: str
    problem: str | None


@dataclass(frozen=True)
class BalancerReport:
    address: str
    status: str | None


@dataclass(frozen=True)
class DatastoreReport:
    """`status` is DigitalOcean's word on a managed database; `problem` is what servers find, None if it answers."""

    engine: str
    status: str | None
    problem: str | None


@dataclass(frozen=True)
class CertificateReport:
    """`days` are left until it ends."""

    name: str
    days: float


@dataclass(frozen=True)
class DriftReport:
    """`found` is None where it could not be looked for; then `detail` says why."""

    found: bool | None
    detail: str


@dataclass(frozen=True)
class Report:
    """All that `bin/status` found. `wanted_version` is None where the stack does not say, `drift` and `monthly_cost`
    (US dollars) where nobody looked."""

    stack: str
    wanted_version: str | None
    api: ApiReport
    nodes: tuple[NodeReport, ...]
    load_balancer: BalancerReport | None
    datastore: DatastoreReport
    certificates: tuple[CertificateReport, ...]
    drift: DriftReport | None = None
    monthly_cost: float | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def upgrades(self) -> tuple[NodeReport, ...]:
        """Nodes that run another version than the stack asks for; none where that is not known."""
        if self.wanted_version is None:
            return ()
        return tuple(node for node in self.nodes if node.version not in (None, self.wanted_version))

    @property
    def problems(self) -> tuple[str, ...]:
        """What somebody should look at; empty for a cluster that is well."""
        found = []
        if self.api.problem:
            found.append(f"the API at {self.api.endpoint} is not ready: {self.api.problem}")
        for node in self.nodes:
            if problem := node_problem(node):
                found.append(f"{node.name} {problem}")
        if self.load_balancer and self.load_balancer.status not in (None, "active"):
            found.append(f"the load balancer is {self.load_balancer.status}")
        if self.datastore.problem:
            found.append(f"the datastore does not answer: {self.datastore.problem}")
        elif self.datastore.status not in (None, "online"):
            found.append(f"the datastore is {self.datastore.status}")
        for certificate in self.certificates:
            if certificate.days < CERTIFICATE_DAYS:
                found.append(f"the {certificate.name} certificate ends in {certificate.days:.0f} days")
        if self.drift and self.drift.found:
            found.append(f"the stack has drifted: {self.drift.detail}")
        elif self.drift and self.drift.found is None:
            found.append(f"it is not known whether the stack has drifted: {self.drift.detail}")
        return tuple(found)

    def as_json(self) -> dict[str, Any]:
        """For programs: everything, and what follows from it."""
        return {
            **asdict(self),
            "upgrades": [node.name for node in self.upgrades],
            "problems": list(self.problems),
            "healthy": not self.problems,
        }


def node_problem(node: NodeReport) -> str | None:
    """The first cause that explains the others; None for a node that is well."""
    if node.droplet == "gone":
        return "has no droplet any more; `pulumi up --refresh` makes it anew"
    if node.droplet not in (None, "active"):
        return f"is {node.droplet}: its droplet does not run"
    if node.known is False:
        return "is not in the cluster; `pulumi up` lets it join"
    if not node.answers_ssh:
        return "does not answer SSH"
    if node.ready is False:
        return "is not Ready"
    if node.cordoned:
        return f"is cordoned, and takes no new pods: `kubectl uncordon {node.name}`"
    return None
