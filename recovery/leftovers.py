"""What an interrupted run left in the account and in the state: pure, from the state, the plan and the account.

Pulumi writes down a resource after the cloud has made it. A run that is killed in between, or that lost the answer,
leaves something that no state knows; the next run would make it twice, or be refused because its name is taken.
Nothing can depend on such a leftover, because Pulumi had not gone on from there: it can be removed.

What is in a database cluster is taken into the state instead. A destroy forgets it before anything else, because it
goes with its cluster (`deleted_with`): a living cluster's rows may be in it.

Pulumi forgets a resource after the cloud has deleted it. A run that is killed in between leaves in the state what no
account has any more; the next run would build on it, or fail to delete it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

#: This machine's clock and the cloud's may differ by so much.
CLOCKS_DIFFER = timedelta(minutes=1)


@dataclass(frozen=True)
class Kind:
    """A kind of resource as Pulumi types it and as the API lists it. Where in a list are items, ids, and names.

    `same` names pairs of an input in Pulumi and a field in the API that must be equal. `path` may hold inputs in
    braces. `order` says when it is removed: what is in use goes after its user. `import_id`, with inputs in braces, is
    the id that `pulumi import` takes, of a kind that is taken into the state instead.
    """

    token: str
    said: str
    path: str
    items: str
    order: int
    id_field: str = "id"
    same: tuple[tuple[str, str], ...] = (("name", "name"),)
    import_id: str = ""


#: Source: docs.digitalocean.com/reference/api. Making a tag that is there is no error there, so tags cannot be in the
#: way; nor can a database's firewall, which is replaced as a whole. A reserved address has neither a name nor a time:
#: whether it is ours cannot be told, so it is left to the person.
KINDS = (
    Kind("digitalocean:index/droplet:Droplet", "droplet", "/v2/droplets", "droplets", 0),
    Kind("digitalocean:index/loadBalancer:LoadBalancer", "load balancer", "/v2/load_balancers", "load_balancers", 0),
    Kind(
        "digitalocean:index/databaseUser:DatabaseUser",
        "database user",
        "/v2/databases/{clusterId}/users",
        "users",
        0,
        id_field="name",
        # The provider's digitalocean/database/resource_database_user.go:292 (v2.99.1).
        import_id="{clusterId},{name}",
    ),
    Kind(
        "digitalocean:index/databaseDb:DatabaseDb",
        "database in a cluster",
        "/v2/databases/{clusterId}/dbs",
        "dbs",
        0,
        id_field="name",
        # The provider's digitalocean/database/resource_database_db.go:99 (v2.99.1).
        import_id="{clusterId},{name}",
    ),
    Kind(
        "digitalocean:index/dnsRecord:DnsRecord",
        "DNS record",
        "/v2/domains/{domain}/records",
        "domain_records",
        0,
        same=(("name", "name"), ("type", "type"), ("value", "data")),
    ),
    Kind("digitalocean:index/databaseCluster:DatabaseCluster", "database cluster", "/v2/databases", "databases", 1),
    Kind("digitalocean:index/firewall:Firewall", "firewall", "/v2/firewalls", "firewalls", 1),
    Kind("digitalocean:index/project:Project", "project", "/v2/projects", "projects", 2),
    # A key is known by what it is: the account takes each key once, whatever its name.
    Kind(
        "digitalocean:index/sshKey:SshKey",
        "SSH key",
        "/v2/account/keys",
        "ssh_keys",
        2,
        same=(("publicKey", "public_key"),),
    ),
    Kind("digitalocean:index/vpc:Vpc", "VPC", "/v2/vpcs", "vpcs", 3),
)
#: What the program deletes over the API, and the resources that do.
_DELETED_BY_US = ("digitalocean:index/vpc:Vpc", "digitalocean:index/project:Project")
_DELETIONS = ("pulumi-python:dynamic/cloud:VpcDeletion", "pulumi-python:dynamic/cloud:ProjectDeletion")
_KINDS = {kind.token: kind for kind in KINDS}
_CLUSTER = "digitalocean:index/databaseCluster:DatabaseCluster"


@dataclass(frozen=True)
class Wanted:
    """A resource of the plan, which is `planned` in Pulumi's own words.

    `path` is where the account lists its kind, `not_before` when it can have been made, and `is_new` says that the next
    `pulumi up` would make it.
    """

    planned: Mapping[str, Any]
    kind: Kind
    path: str
    inputs: Mapping[str, Any]
    not_before: datetime
    is_new: bool

    @property
    def name(self) -> str:
        return str(self.inputs.get("name", ""))


@dataclass(frozen=True)
class Leftover:
    """Something in the account that bears the name of the stack's `wanted`, and that the state does not know."""

    wanted: Wanted
    id: str
    created: str

    @property
    def path(self) -> str:
        return f"{self.wanted.path}/{self.id}"

    def __str__(self) -> str:
        made = f", made at {self.created}" if self.created else ""
        return f"{self.wanted.kind.said} {self.wanted.name} ({self.id}{made})"


def wanted(state: Mapping[str, Any], plan: Mapping[str, Any]) -> list[Wanted]:
    """What the stack has or would have, of the kinds that can be left over.

    `state` is what `pulumi stack export` gives, `plan` what `pulumi preview --json` gives.
    """
    created = _created(state)
    found = []
    for step in plan.get("steps", []):
        resource = step.get("newState")
        kind = _KINDS.get(resource["type"]) if resource else None
        if kind is None or not created:
            continue
        inputs = resource["inputs"]
        parents = {resource.get("parent"), *(resource.get("dependencies") or [])}
        # It was made after what it depends on: whatever is older is somebody else's.
        not_before = max((created[urn] for urn in parents if urn in created), default=min(created.values()))
        needed = [*(key for key, _ in kind.same), *re.findall(r"\{(\w+)\}", kind.path)]
        if all(isinstance(inputs.get(key), str) for key in needed):
            path = kind.path.format(**inputs)
            is_new = "create" in step["op"]
            found.append(Wanted(resource, kind, path, inputs, not_before - CLOCKS_DIFFER, is_new))
    return found


def compare(
    wanted: Iterable[Wanted], state: Mapping[str, Any], account: Mapping[str, Sequence[Mapping[str, Any]]]
) -> tuple[list[Leftover], list[Leftover]]:
    """The leftovers, in the order in which they can be removed; and what is in the way but is not of this stack.

    `account` gives the items of each `Wanted.path`.
    """
    known = {(resource["type"], str(resource.get("id"))) for resource in _resources(state)}
    left, foreign = [], []
    for each in wanted:
        kind = each.kind
        for item in account.get(each.path, ()):
            identifier = str(item[kind.id_field])
            same = all(_plain(item.get(field)) == _plain(each.inputs[key]) for key, field in kind.same)
            # These have no time at which they were made: what the state has is told by what the plan would make.
            is_part = "{" in kind.path
            if not same or (kind.token, identifier) in known or (is_part and not each.is_new):
                continue
            made = str(item.get("created_at") or item.get("created") or "")
            found = Leftover(each, identifier, made)
            if made and datetime.fromisoformat(made) < each.not_before:
                foreign += [found] if each.is_new else []
            else:
                left.append(found)
    unique = {leftover.path: leftover for leftover in left}
    return sorted(unique.values(), key=lambda leftover: leftover.wanted.kind.order), foreign


def import_file(leftovers: Iterable[Leftover], state: Mapping[str, Any]) -> dict[str, Any]:
    """What `pulumi import --file` takes (pulumi.com/docs/iac/cli/commands/pulumi_import, "bulk import").

    Each comes from the provider that its database cluster has in the state.
    """
    clusters = [each for each in _resources(state) if each["type"] == _CLUSTER]
    providers = {str(each["id"]): str(each["provider"]).rpartition("::")[0] for each in clusters}
    names: dict[str, str] = {}
    resources = []
    for number, leftover in enumerate(leftovers):
        of = leftover.wanted
        parent, provider = f"parent-{number}", f"provider-{number}"
        names |= {parent: of.planned["parent"], provider: providers[of.inputs["clusterId"]]}
        resources.append(
            {
                "type": of.kind.token,
                "name": name_of(of.planned["urn"]),
                "id": of.kind.import_id.format(**of.inputs),
                "parent": parent,
                "provider": provider,
            }
        )
    return {"nameTable": names, "resources": resources}


def as_planned(state: Mapping[str, Any], leftovers: Iterable[Leftover]) -> dict[str, Any]:
    """The state, in which those of `leftovers` that were imported depend on what they do in the plan.

    An import knows of none (github.com/pulumi/pulumi, pkg/resource/deploy/import.go), and without `deletedWith` a
    destroy deletes them after their cluster: an error.
    """
    planned = {each.wanted.planned["urn"]: each.wanted.planned for each in leftovers}
    known = {each["urn"] for each in _resources(state)}

    def after(resource: dict[str, Any]) -> dict[str, Any]:
        plan = planned.get(resource["urn"])
        if plan is None:
            return resource
        there = {
            "dependencies": [urn for urn in plan.get("dependencies") or [] if urn in known],
            "propertyDependencies": {
                name: [urn for urn in urns or [] if urn in known]
                for name, urns in (plan.get("propertyDependencies") or {}).items()
            },
        }
        with_it = plan.get("deletedWith")
        return {**resource, **there, **({"deletedWith": with_it} if with_it in known else {})}

    return {**state, "deployment": {**state["deployment"], "resources": [after(each) for each in _resources(state)]}}


def name_of(urn: str) -> str:
    """The name that a resource has in the program."""
    return urn.rsplit("::", 1)[1]


def pending(state: Mapping[str, Any]) -> list[str]:
    """What was under way when the run ended: `creating URN`, and so on."""
    return [
        f"{operation['type']} {name_of(operation['resource']['urn'])}"
        for operation in state["deployment"].get("pending_operations") or []
    ]


def being_deleted(state: Mapping[str, Any]) -> list[str]:
    """The URNs of the cloud's resources whose deletion was under way: each is still there, or gone already.

    Random values and what is done over SSH are not looked at: to delete them again is never an error.
    A VPC or project whose deletion (k3s_cluster/cloud/deletion.py) is under way, or is in the state no longer, is one.
    """
    resources = [
        operation["resource"]
        for operation in state["deployment"].get("pending_operations") or []
        if operation["type"] == "deleting"
    ]
    found = {each["urn"] for each in resources if each["type"].startswith("digitalocean:")}
    types = {each["urn"]: each["type"] for each in _resources(state)}

    def ends(deletion: Mapping[str, Any]) -> list[str]:
        return [urn for urn in deletion.get("dependencies") or [] if types.get(urn) in _DELETED_BY_US]

    for each in resources:
        if each["type"] in _DELETIONS:
            found |= {each["urn"], *ends(each)}
    cared_for = {urn for each in _resources(state) if each["type"] in _DELETIONS for urn in ends(each)}
    found |= {urn for urn, kind in types.items() if kind in _DELETED_BY_US and urn not in cared_for}
    return sorted(found)


def still_known(state: Mapping[str, Any], urns: Iterable[str]) -> list[str]:
    """Those of `urns` that are in the state."""
    known = {resource["urn"] for resource in _resources(state)}
    return [urn for urn in urns if urn in known]


def without_pending(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state without them: pulumi.com/docs/iac/operations/troubleshooting (pending operations)."""
    return {**state, "deployment": {**state["deployment"], "pending_operations": []}}


def _created(state: Mapping[str, Any]) -> dict[str, datetime]:
    """When the resources of the state were made."""
    return {
        resource["urn"]: datetime.fromisoformat(resource["created"])
        for resource in _resources(state)
        if resource.get("created")
    }


def _resources(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(state["deployment"].get("resources") or [])


def _plain(value: Any) -> str:
    return str(value).strip()
