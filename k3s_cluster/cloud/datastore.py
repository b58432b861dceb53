"""The managed database that holds the cluster's state, and who may reach it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_digitalocean as digitalocean

from k3s_cluster.cloud.datastore_version import DatastoreVersion
from k3s_cluster.datastore_endpoint import DatabaseAddress, datastore_endpoint
from k3s_cluster.settings import DatastoreRestoreSettings, ManagedDatastoreSettings

#: K3s gets a database of its own; `defaultdb` is everybody's.
DATABASE = "k3s"


@dataclass(frozen=True)
class DatastoreArgs:
    name_prefix: str
    region: pulumi.Input[str]
    settings: ManagedDatastoreSettings
    vpc_id: pulumi.Input[str]
    server_tag: pulumi.Input[str]


class Datastore(pulumi.ComponentResource):
    """A managed database in the VPC that only droplets with the servers' tag can reach.

    One that is made of a backup has its database, and other users besides this one's, from there.
    Outputs: `database_id`, `urn_in_cloud`, `host`, `port`, `version`, `ca` (PEM), `user`, and secrets: `endpoint`,
    `password`, `administrator_password`.
    """

    def __init__(self, name: str, args: DatastoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("k3s:cloud:Datastore", name, None, opts)
        cluster = digitalocean.DatabaseCluster(
            f"{name}-cluster",
            name=args.settings.cluster_name(args.name_prefix),
            engine=args.settings.engine,
            version=args.settings.version,
            size=args.settings.size,
            node_count=args.settings.nodes,
            region=args.region,
            private_network_uuid=args.vpc_id,
            backup_restore=_backup(args.settings.restore),
            # A backup counts at creation; whatever a provider makes of another one, a living database is not the place.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["backup_restore", "version"]),
        )
        # What is in it goes with it; while its version changes, the API takes no other change (412).
        with_it = pulumi.ResourceOptions(parent=self, deleted_with=cluster)
        self.at_version = DatastoreVersion(f"{name}-version", cluster.id, args.settings.version, with_it)
        inside = pulumi.ResourceOptions.merge(with_it, pulumi.ResourceOptions(depends_on=[self.at_version]))
        database = pulumi.Output.from_input(DATABASE)
        if args.settings.restore is None:
            database = digitalocean.DatabaseDb(
                f"{name}-database", cluster_id=cluster.id, name=DATABASE, opts=inside
            ).name
        version = args.settings.password_version
        user = digitalocean.DatabaseUser(
            # A resource of its own for each version: one taken back half way finds the former user there.
            f"{name}-user" if version == 1 else f"{name}-user-{version}",
            cluster_id=cluster.id,
            name=args.settings.user_name(args.name_prefix),
            # Owns nothing, and a new password is a new user: where the database is protected, this one may still go.
            opts=pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(protect=False)),
        )
        self.firewall = digitalocean.DatabaseFirewall(
            f"{name}-firewall",
            cluster_id=cluster.id,
            rules=[digitalocean.DatabaseFirewallRuleArgs(type="tag", value=args.server_tag)],
            opts=inside,
        )
        authority = digitalocean.get_database_ca_output(
            cluster_id=cluster.id, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        self.engine = args.settings.engine
        self.restore = args.settings.restore
        self.version = self.at_version.version
        self.database_id = cluster.id
        self.urn_in_cloud = cluster.cluster_urn
        self.host = cluster.private_host
        self.port = cluster.port
        self.ca = authority.certificate
        self.database = database
        self.user = user.name
        self.password: pulumi.Output[str] = pulumi.Output.secret(user.password)
        self.administrator = cluster.user
        self.administrator_password: pulumi.Output[str] = pulumi.Output.secret(cluster.password)
        self.endpoint: pulumi.Output[str] = pulumi.Output.secret(
            pulumi.Output.all(self.host, self.port, user.name, user.password, database).apply(
                lambda parts: datastore_endpoint(
                    DatabaseAddress(self.engine, parts[0], int(parts[1]), parts[2], parts[3], parts[4])
                )
            )
        )
        self.register_outputs({"host": self.host, "port": self.port, "version": self.version, "user": self.user})


def _backup(restore: DatastoreRestoreSettings | None) -> digitalocean.DatabaseClusterBackupRestoreArgs | None:
    if restore is None:
        return None
    return digitalocean.DatabaseClusterBackupRestoreArgs(database_name=restore.cluster, backup_created_at=restore.at)
