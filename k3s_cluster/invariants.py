"""What cannot change in a living cluster: refused in the plan, before anything is touched."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, Resource, UpdateResult

from k3s_cluster import immutable_settings
from k3s_cluster.dynamic_provider import DynamicProvider
from k3s_cluster.settings import ClusterSettings, EmbeddedEtcdSettings, ManagedDatastoreSettings

_NEW_STACK = "make another stack with it, and move there"
#: Settings that would make DigitalOcean replace the VPC or the database, and with it all that the cluster holds.
_FIXED = {
    "topology": f"a cluster's state cannot move between SQLite and a database; {_NEW_STACK}",
    "region": f"the VPC, the datastore and all droplets would be made anew, and all data lost; {_NEW_STACK}",
    "vpc_cidr": f"the VPC, the datastore and all droplets would be made anew, and all data lost; {_NEW_STACK}",
    "vpc_id": f"the datastore and all droplets would be made anew in it, and all data lost; {_NEW_STACK}",
    "name_prefix": f"the datastore and all droplets would be made anew, and all data lost; {_NEW_STACK}",
    "datastore_engine": f"a cluster's state cannot move between engines in place; {_NEW_STACK}: with `bin/backup` "
    "and `bin/restore` between SQLite, Postgres and MySQL, while a snapshot of etcd goes into etcd only",
    # The firewalls' ports follow from it: a server's own refusal would come when pods are cut off already.
    "flannel_backend": immutable_settings.REASONS["flannel-backend"],
    "restore_file": "the cluster's tokens and certificate authorities are the backup's; restore into a new stack",
    "datastore_restore": "it counted when the database was made, and the cluster has its certificate authorities from "
    "there; set it back, and restore another backup into a new stack, or `pulumi destroy` this one first, which "
    "datastoreProtect `false` and `pulumi up` allow",
}
#: What a setting is called that is not given.
_NONE = {"vpc_id": "the stack's own VPC", "restore_file": "no backup", "datastore_restore": "no backup"}
#: Settings that would replace servers which hold the cluster's state, and what to do instead.
_ON_SERVERS_DISKS = {
    "image": f"upgrade the system in place, or {_NEW_STACK}",
    "server_size": _NEW_STACK,
}
_KEYS = {
    "image": "image",
    "server_size": "serverSize",
    "topology": "topology",
    "region": "region",
    "vpc_cidr": "vpcCidr",
    "vpc_id": "vpcId",
    "name_prefix": "namePrefix",
    "datastore_engine": "datastoreEngine",
    "flannel_backend": "k3sServerConfig.flannel-backend",
    "restore_file": "restoreFile",
    "datastore_restore": "datastoreRestoreFrom",
}


@dataclass(frozen=True)
class InvariantsArgs:
    """What is compared with what the cluster was made with.

    `image` is None where servers may be replaced, `server_size` also where they are resized in place; `vpc_id` is None
    for a VPC of the stack's own, `vpc_cidr` for another one.
    `restore_file` is the backup's name without its folder, which may be another one on another machine;
    `datastore_restore` names a backup of DigitalOcean's.
    """

    topology: str
    region: str
    vpc_cidr: str | None
    vpc_id: str | None
    name_prefix: str
    datastore_engine: str
    flannel_backend: str
    restore_file: str | None
    datastore_restore: str | None
    image: str | None
    server_size: str | None


def of(settings: ClusterSettings) -> InvariantsArgs:
    """The invariants of a cluster with these settings."""
    single, etcd = settings.topology == "single-node", isinstance(settings.datastore, EmbeddedEtcdSettings)
    return InvariantsArgs(
        topology=settings.topology,
        region=settings.region,
        vpc_cidr=None if settings.vpc_id else str(settings.vpc_cidr),
        vpc_id=settings.vpc_id,
        name_prefix=settings.name_prefix,
        datastore_engine=settings.datastore.engine,
        flannel_backend=settings.flannel_backend,
        restore_file=Path(settings.restore_file).name if settings.restore_file else None,
        datastore_restore=_datastore_restore(settings),
        image=settings.image if single or etcd else None,
        server_size=settings.servers.size if etcd and not single else None,
    )


def _datastore_restore(settings: ClusterSettings) -> str | None:
    restore = settings.datastore.restore if isinstance(settings.datastore, ManagedDatastoreSettings) else None
    if restore is None:
        return None
    return f"{restore.cluster} of {restore.at}" if restore.at else restore.cluster


def refusals(olds: dict[str, Any], news: dict[str, Any]) -> list[tuple[str, str]]:
    """What `news` may not do to a cluster that has `olds`: setting and reason, for each."""
    found = []
    for name, reason in _FIXED.items():
        was, will = olds.get(name), news.get(name)
        if name == "flannel_backend" and was is None:
            continue  # an earlier commit did not note it
        # A range is the stack's own VPC's: it comes and goes with vpcId, which says so.
        if was != will and not (name == "vpc_cidr" and None in (was, will)):
            was, will = (f"`{side}`" if side else _NONE.get(name, "none") for side in (was, will))
            found.append((_KEYS[name], f"cannot change from {was} to {will}: {reason}"))
    single = news.get("topology") == "single-node"
    whose = "on a single node: its droplet" if single else "with etcd inside the servers: all their droplets"
    for name, way in _ON_SERVERS_DISKS.items():
        if olds.get(name) and news.get(name) and olds[name] != news[name]:
            found.append(
                (
                    _KEYS[name],
                    f"cannot change from `{olds[name]}` to `{news[name]}` {whose} would be replaced, and the cluster's "
                    f"state on {'its disk' if single else 'their disks'} lost; {way}",
                )
            )
    return found


class InvariantsProvider(DynamicProvider):
    """Compares at every plan. It makes nothing."""

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        failures = refusals(olds, news) if olds else []
        return CheckResult(news, [CheckFailure(setting, f"{setting} {reason}.") for setting, reason in failures])

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(str(props["name_prefix"]), props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(olds.get(key) != news.get(key) for key in InvariantsArgs.__dataclass_fields__))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(news)


class Invariants(Resource, module="cluster", name="Invariants"):
    """Stands before everything else: `region` is taken from here, so that nothing is made where a change is refused."""

    region: pulumi.Output[str]

    def __init__(self, name: str, args: InvariantsArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__(InvariantsProvider(), name, asdict(args), opts)
