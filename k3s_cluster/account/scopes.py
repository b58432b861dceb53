"""The custom scopes that a stack's token needs, to make, read, change and delete all that the stack has. Pure.

Sources: docs.digitalocean.com/reference/api/scopes, and the API's description (github.com/digitalocean/openapi), where
every operation names its scopes, and so do the fields that need more ("Requires `tag:create` scope."). The operations
are those of the DigitalOcean plugin for the resources in k3s_cluster/cloud, and of this program itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from k3s_cluster.settings import ClusterSettings, ManagedDatastoreSettings

#: The control panel's "Full Access" and "Read Only", as tokens of before custom scopes have them, and as later ones do:
#: "`api:read` is equivalent to all read scopes, and `api:write` is equivalent to all scopes".
FULL, READ_ONLY = frozenset({"write", "api:write"}), frozenset({"read", "api:read"})


@dataclass(frozen=True)
class Need:
    """The scopes of one kind of thing. `when` and `why` are for people; `applies` is told whether a domain is kept."""

    kind: str
    verbs: tuple[str, ...]
    when: str
    why: str
    applies: Callable[[ClusterSettings, bool], bool]

    @property
    def scopes(self) -> tuple[str, ...]:
        return tuple(f"{self.kind}:{verb}" for verb in self.verbs)


#: Not everything of a stack can be changed; but what somebody changed by hand is put back, which is `update` too.
_ALL = ("create", "read", "update", "delete")


def _always(_settings: ClusterSettings, _domain_is_kept: bool) -> bool:
    return True


def _managed(settings: ClusterSettings, _domain_is_kept: bool) -> bool:
    return isinstance(settings.datastore, ManagedDatastoreSettings)


NEEDS = (
    # GET /v2/account: the limit of droplets, and whether the account is locked.
    Need("account", ("read",), "", "looked at before a plan", _always),
    # GET /v2/actions/ID, by which the plugin follows a resize; in `ha` another size makes another droplet.
    Need(
        "actions",
        ("read",),
        "`topology` is `single-node`",
        "the server's change of size",
        lambda settings, _: settings.topology == "single-node",
    ),
    # POST /v2/databases and .../users, .../dbs; DELETE of them; PUT .../firewall, .../resize, .../upgrade.
    # "User passwords will not show without the `database:view_credentials` scope."
    Need(
        "database",
        (*_ALL, "view_credentials"),
        "`datastoreEngine` is `pg` or `mysql`",
        "the database, its users and their passwords",
        _managed,
    ),
    Need(
        "domain",
        ("read",),
        "`apiDomain` is set",
        "whether the name is in one",
        lambda settings, _: bool(settings.api_domain),
    ),
    # A record is made with `domain:create` or `domain:update`, and deleted with `domain:delete` or `domain:update`:
    # whether it takes both is not said, so they are asked for.
    Need(
        "domain",
        ("create", "update", "delete"),
        "`apiDomain` is in a domain of the account",
        "the name's record",
        lambda settings, kept: kept and bool(settings.api_domain),
    ),
    # POST /v2/droplets/ID/actions (resize, rename) and tags are `droplet:update`.
    Need("droplet", _ALL, "", "the nodes", _always),
    # "You must have read access (e.g. `droplet:read`) to all resources attached to the firewall".
    Need("firewall", _ALL, "", "the firewalls", _always),
    # POST /v2/droplets, `image`: "Requires `image:read` scope."
    Need("image", ("read",), "", "looked at before a plan; the nodes' image", _always),
    Need(
        "load_balancer",
        _ALL,
        "`topology` is `ha`",
        "the API's load balancer",
        lambda settings, _: settings.load_balancer is not None,
    ),
    # "The `project:update` scope also grants `project:assign_resource`."
    Need(
        "project",
        _ALL,
        "no `projectName`",
        "the project, and what is in it",
        lambda settings, _: not settings.project_name,
    ),
    # POST /v2/projects/ID/resources.
    Need(
        "project",
        ("read", "assign_resource"),
        "`projectName` is set",
        "what is put into that project",
        lambda settings, _: bool(settings.project_name),
    ),
    Need("regions", ("read",), "", "looked at before a plan", _always),
    Need(
        "reserved_ip",
        _ALL,
        "`reservedIp` is `auto`",
        "the API's address",
        lambda settings, _: settings.reserved_ip == "auto",
    ),
    # POST /v2/reserved_ips/ADDRESS/actions (assign, unassign).
    Need(
        "reserved_ip",
        ("read", "update"),
        "`reservedIp` is an address",
        "assigning that address to the server",
        lambda settings, _: settings.reserved_ip not in (None, "auto"),
    ),
    Need("sizes", ("read",), "", "looked at before a plan", _always),
    # POST /v2/droplets, `ssh_keys`: "Requires `ssh_key:read` scope."
    Need("ssh_key", _ALL, "", "the key that `pulumi up` logs in with", _always),
    # `tags` of POST /v2/droplets: "Requires `tag:create` scope", of POST /v2/firewalls: "... and `tag:read` scopes".
    Need("tag", ("create", "read", "delete"), "", "the tags that nodes are known by", _always),
    # POST /v2/droplets, `vpc_uuid`: "Requires `vpc:read` scope"; without it no answer shows in which VPC something is.
    Need("vpc", _ALL, "no `vpcId`", "the private network", lambda settings, _: not settings.vpc_id),
    Need("vpc", ("read",), "`vpcId` is set", "that network", lambda settings, _: bool(settings.vpc_id)),
)


def needed_scopes(settings: ClusterSettings, domain_is_kept: bool = True) -> tuple[str, ...]:
    """All scopes that a plan needs, in order. `domain_is_kept`: the account keeps the domain of `apiDomain`."""
    needs = (need for need in NEEDS if need.applies(settings, domain_is_kept))
    return tuple(sorted({scope for need in needs for scope in need.scopes}))


def is_full(scopes: Collection[str]) -> bool:
    return not FULL.isdisjoint(scopes)


def only_reads(scopes: Collection[str]) -> bool:
    return bool(scopes) and READ_ONLY.issuperset(scopes)


def are_custom(scopes: Collection[str]) -> bool:
    """Whether all of them are of a form that is known: nothing is held against others."""
    return all(":" in scope or scope in READ_ONLY for scope in scopes)


def grants(scopes: Collection[str], needed: str) -> bool:
    """Whether a token with `scopes` may do what the one that is `needed` allows."""
    if needed in scopes or is_full(scopes):
        return True
    if needed == "project:assign_resource" and "project:update" in scopes:
        return True
    return needed.endswith(":read") and not READ_ONLY.isdisjoint(scopes)
