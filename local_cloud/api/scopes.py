"""What a token may do, and what a call needs of it. Pure.

Source: the `security` of every operation in DigitalOcean's OpenAPI description, and the sentences in it that name a
scope ("Requires `vpc:read` scope."); tests/cloud/test_scopes.py holds the tables against it. Domains and reserved
addresses are after github.com/digitalocean/openapi, specification/resources, at 7c1300c4.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

#: What a token of the older kind has, and the newer words for the same (docs.digitalocean.com/reference/api/scopes):
#: "`api:read` is equivalent to all read scopes, and `api:write` is equivalent to all scopes".
READS, WRITES = ("read", "api:read"), ("write", "api:write")
CUSTOM = re.compile(r"[a-z0-9_]+:[a-z_]+")
VIEW_CREDENTIALS = "database:view_credentials"
#: "The `project:update` scope also grants `project:assign_resource`."
_ALSO_GRANTED_BY = {"project:assign_resource": "project:update"}

#: Scope -> the operations that need it, and no other. `{}` stands for a part of the path.
_NEEDED_ALONE: dict[str, tuple[str, ...]] = {
    "account:read": ("GET /v2/account",),
    "actions:read": ("GET /v2/actions", "GET /v2/actions/{}"),
    "block_storage:create": ("POST /v2/volumes",),
    "block_storage:delete": ("DELETE /v2/volumes", "DELETE /v2/volumes/{}"),
    "block_storage:read": ("GET /v2/volumes", "GET /v2/volumes/{}"),
    "database:create": (
        "POST /v2/databases",
        "POST /v2/databases/{}/dbs",
        "POST /v2/databases/{}/pools",
        "POST /v2/databases/{}/users",
    ),
    "database:delete": (
        "DELETE /v2/databases/{}",
        "DELETE /v2/databases/{}/dbs/{}",
        "DELETE /v2/databases/{}/pools/{}",
        "DELETE /v2/databases/{}/users/{}",
    ),
    "database:read": (
        "GET /v2/databases",
        "GET /v2/databases/options",
        "GET /v2/databases/{}",
        "GET /v2/databases/{}/backups",
        "GET /v2/databases/{}/ca",
        "GET /v2/databases/{}/config",
        "GET /v2/databases/{}/dbs",
        "GET /v2/databases/{}/dbs/{}",
        "GET /v2/databases/{}/firewall",
        "GET /v2/databases/{}/pools",
        "GET /v2/databases/{}/pools/{}",
        "GET /v2/databases/{}/users",
        "GET /v2/databases/{}/users/{}",
    ),
    "database:update": (
        "PATCH /v2/databases/{}/config",
        "POST /v2/databases/{}/users/{}/reset_auth",
        "PUT /v2/databases/{}/firewall",
        "PUT /v2/databases/{}/maintenance",
        "PUT /v2/databases/{}/pools/{}",
        "PUT /v2/databases/{}/resize",
        "PUT /v2/databases/{}/upgrade",
        "PUT /v2/databases/{}/users/{}",
    ),
    "domain:create": ("POST /v2/domains",),
    "domain:delete": ("DELETE /v2/domains/{}",),
    "domain:read": (
        "GET /v2/domains",
        "GET /v2/domains/{}",
        "GET /v2/domains/{}/records",
        "GET /v2/domains/{}/records/{}",
    ),
    "domain:update": ("PATCH /v2/domains/{}/records/{}", "PUT /v2/domains/{}/records/{}"),
    "droplet:create": ("POST /v2/droplets",),
    "droplet:delete": ("DELETE /v2/droplets", "DELETE /v2/droplets/{}"),
    "droplet:read": (
        "GET /v2/droplets",
        "GET /v2/droplets/{}",
        "GET /v2/droplets/{}/actions",
        "GET /v2/droplets/{}/actions/{}",
        "GET /v2/droplets/{}/backups",
        "GET /v2/droplets/{}/backups/policy",
        "GET /v2/droplets/{}/snapshots",
    ),
    "droplet:update": ("POST /v2/droplets/actions", "POST /v2/droplets/{}/actions"),
    "firewall:create": ("POST /v2/firewalls",),
    "firewall:delete": ("DELETE /v2/firewalls/{}",),
    "firewall:read": ("GET /v2/droplets/{}/firewalls", "GET /v2/firewalls", "GET /v2/firewalls/{}"),
    "firewall:update": (
        "PUT /v2/firewalls/{}",
        *(f"{verb} /v2/firewalls/{{}}/{part}" for verb in ("POST", "DELETE") for part in ("droplets", "rules", "tags")),
    ),
    "image:create": ("POST /v2/images",),
    "image:delete": ("DELETE /v2/images/{}",),
    "image:read": ("GET /v2/images", "GET /v2/images/{}"),
    "image:update": ("PUT /v2/images/{}",),
    "load_balancer:create": ("POST /v2/load_balancers",),
    "load_balancer:delete": ("DELETE /v2/load_balancers/{}", "DELETE /v2/load_balancers/{}/cache"),
    "load_balancer:read": ("GET /v2/load_balancers", "GET /v2/load_balancers/{}"),
    "load_balancer:update": (
        "PUT /v2/load_balancers/{}",
        *(
            f"{verb} /v2/load_balancers/{{}}/{part}"
            for verb in ("POST", "DELETE")
            for part in ("droplets", "forwarding_rules")
        ),
    ),
    "project:assign_resource": ("POST /v2/projects/{}/resources",),
    "project:create": ("POST /v2/projects",),
    "project:delete": ("DELETE /v2/projects/{}",),
    "project:read": ("GET /v2/projects", "GET /v2/projects/{}", "GET /v2/projects/{}/resources"),
    "project:update": ("PATCH /v2/projects/{}", "PUT /v2/projects/{}"),
    "regions:read": ("GET /v2/regions",),
    "reserved_ip:create": ("POST /v2/reserved_ips",),
    "reserved_ip:delete": ("DELETE /v2/reserved_ips/{}",),
    "reserved_ip:read": (
        "GET /v2/reserved_ips",
        "GET /v2/reserved_ips/{}",
        "GET /v2/reserved_ips/{}/actions",
        "GET /v2/reserved_ips/{}/actions/{}",
    ),
    "reserved_ip:update": ("POST /v2/reserved_ips/{}/actions",),
    "snapshot:read": ("GET /v2/snapshots",),
    "ssh_key:create": ("POST /v2/account/keys",),
    "ssh_key:delete": ("DELETE /v2/account/keys/{}",),
    "ssh_key:read": ("GET /v2/account/keys", "GET /v2/account/keys/{}"),
    "ssh_key:update": ("PUT /v2/account/keys/{}",),
    "tag:create": ("POST /v2/tags", "POST /v2/tags/{}/resources"),
    "tag:delete": ("DELETE /v2/tags/{}", "DELETE /v2/tags/{}/resources"),
    "tag:read": ("GET /v2/tags", "GET /v2/tags/{}"),
    "vpc:create": ("POST /v2/vpcs",),
    "vpc:delete": ("DELETE /v2/vpcs/{}",),
    "vpc:read": ("GET /v2/vpcs", "GET /v2/vpcs/{}", "GET /v2/vpcs/{}/members"),
    "vpc:update": ("PATCH /v2/vpcs/{}", "PUT /v2/vpcs/{}"),
}
#: Operation -> the sets of scopes of which it needs one, whole.
OPERATIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    **{operation: ((scope,),) for scope, operations in _NEEDED_ALONE.items() for operation in operations},
    "GET /v2/sizes": (("sizes:read", "regions:read"),),
    "GET /v2/snapshots/{}": (("snapshot:read", "block_storage_snapshot:read"),),
    "DELETE /v2/snapshots/{}": (("image:delete", "snapshot:delete"),),
    "POST /v2/domains/{}/records": (("domain:create",), ("domain:update",)),
    "DELETE /v2/domains/{}/records/{}": (("domain:delete",), ("domain:update",)),
}
_TAGS = ("tag:create", "tag:read")
_FIREWALL = {"droplet_ids": ("droplet:read",), "tags": _TAGS}
#: Operation -> field of the request's body -> what it needs besides, where the field is given.
FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "POST /v2/databases": {
        "private_network_uuid": ("vpc:read",),
        "project_id": ("project:assign_resource",),
        "tags": ("tag:create",),
    },
    "POST /v2/droplets": {
        "image": ("image:read",),
        "ssh_keys": ("ssh_key:read",),
        "tags": ("tag:create",),
        "volumes": ("block_storage:read",),
        "vpc_uuid": ("vpc:read",),
    },
    "POST /v2/firewalls": _FIREWALL,
    "PUT /v2/firewalls/{}": _FIREWALL,
    "POST /v2/firewalls/{}/tags": {"tags": _TAGS},
    "DELETE /v2/firewalls/{}/tags": {"tags": _TAGS},
    "POST /v2/images": {"tags": ("tag:create",)},
    "POST /v2/volumes": {"tags": ("tag:create",)},
}
#: The same for tags in a firewall's rules.
_WITH_RULES = (
    "POST /v2/firewalls",
    "PUT /v2/firewalls/{}",
    "POST /v2/firewalls/{}/rules",
    "DELETE /v2/firewalls/{}/rules",
)
_RULES = (("inbound_rules", "sources"), ("outbound_rules", "destinations"))
#: Lists of which a query asks for what bears a tag.
_BY_TAG = ("GET /v2/databases", "GET /v2/droplets", "DELETE /v2/droplets")
#: Kind in a URN -> kind of scope, where they differ (API reference, project resources).
_URN_KINDS = {
    "dbaas": "database",
    "floatingip": "reserved_ip",
    "loadbalancer": "load_balancer",
    "reservedip": "reserved_ip",
    "space": "spaces",
    "volume": "block_storage",
}
_TAGGED_KINDS = {"volume": "block_storage", "volume_snapshot": "block_storage_snapshot"}


def is_scope(text: str) -> bool:
    """Whether a token can have it: of the older kind, or one for a kind of thing."""
    return text in (*READS, *WRITES) or CUSTOM.fullmatch(text) is not None


def grants(scopes: Collection[str], wanted: str) -> bool:
    """Whether a token with `scopes` has the one that is `wanted`."""
    if any(scope in WRITES for scope in scopes) or wanted in scopes:
        return True
    if wanted.endswith(":read") and any(scope in READS for scope in scopes):
        return True
    return _ALSO_GRANTED_BY.get(wanted) in scopes


def allowed(scopes: Collection[str], operation: str, body: Any, query: Mapping[str, str]) -> bool:
    """Whether a token with `scopes` may do this. `operation` is a method and a path with `{}` for its variable parts.

    What no table knows is for tokens of the older kind: reading for those that read, all else for those that write.
    """
    alternatives = needed(operation, body, query)
    if not alternatives:
        reads = operation.startswith("GET ")
        return any(scope in WRITES or (reads and scope in READS) for scope in scopes)
    return any(all(grants(scopes, each) for each in one) for one in alternatives)


def needed(operation: str, body: Any, query: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """The sets of scopes of which this call needs one, whole; none where no table knows the operation."""
    besides = tuple(_needed_besides(operation, body if isinstance(body, dict) else {}, query))
    return tuple((*one, *besides) for one in OPERATIONS.get(operation, ()))


def operation_of(method: str, rule: str) -> str:
    """The name of an operation whose path has variable parts in angle brackets, as Flask writes them, or in braces."""
    return f"{'GET' if method == 'HEAD' else method} {re.sub(r'<[^>]+>|{[^}]+}', '{}', rule)}"


def _needed_besides(operation: str, body: dict[str, Any], query: Mapping[str, str]) -> Iterator[str]:
    for field, besides in FIELDS.get(operation, {}).items():
        if body.get(field):
            yield from besides
    if operation in _WITH_RULES and any(_rule_tags(body)):
        yield from _TAGS
    if operation in _BY_TAG and query.get("tag_name"):
        yield "tag:read"
    if operation == "POST /v2/projects/{}/resources":
        for kind in (str(name).split(":")[1] for name in _items(body, "resources") if str(name).count(":") >= 2):
            yield f"{_URN_KINDS.get(kind, kind)}:read"
    if operation in ("POST /v2/tags/{}/resources", "DELETE /v2/tags/{}/resources"):
        for entry in _items(body, "resources"):
            kind = str(entry.get("resource_type")) if isinstance(entry, dict) else ""
            yield f"{_TAGGED_KINDS.get(kind, kind)}:update"


def _rule_tags(body: dict[str, Any]) -> Iterator[bool]:
    for rules, side in _RULES:
        for rule in _items(body, rules):
            peers = rule.get(side) if isinstance(rule, dict) else None
            yield isinstance(peers, dict) and bool(peers.get("tags"))


def _items(body: dict[str, Any], field: str) -> list[Any]:
    found = body.get(field)
    return found if isinstance(found, list) else []
