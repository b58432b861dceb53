"""The one right that K3s's database user lacks, granted once, over an SSH tunnel through a server.

Since PostgreSQL 15 only a database's owner may create tables in schema public (postgresql.org/docs/15/release-15.html),
and DigitalOcean makes its administrator the owner. The administrator's password stays on this side of the tunnel.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import Any

import pg8000.native
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from k3s_cluster.over_ssh.connection import NodeError, SshTarget, connect
from k3s_cluster.over_ssh.progress import own_urn, progress_of

#: DigitalOcean brings a new firewall rule or user to the database within some seconds.
DATABASE_DEADLINE_SECONDS = 120
RETRY_SECONDS = 2
_WHERE = ("database_host", "database_port", "database", "user")


@dataclass(frozen=True)
class DatastoreGrantsArgs:
    """The server to tunnel through, and the database, its administrator and the user who gets the right."""

    host: pulumi.Input[str]
    host_key: pulumi.Input[str]
    private_key: pulumi.Input[str]
    database_host: pulumi.Input[str]
    database_port: pulumi.Input[int]
    database_ca: pulumi.Input[str]
    administrator: pulumi.Input[str]
    administrator_password: pulumi.Input[str]
    database: pulumi.Input[str]
    user: pulumi.Input[str]


def grants(user: str) -> tuple[str, ...]:
    """The statements that let `user` make its tables in schema public."""
    quoted = '"' + user.replace('"', '""') + '"'
    return (f"GRANT USAGE, CREATE ON SCHEMA public TO {quoted}",)


class DatastoreGrantsProvider(ResourceProvider):
    """Grants at creation; there is nothing to take back, since the database goes with the cluster."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        _grant(props)
        return CreateResult(f"{props['database']}/{props['user']}", props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(olds.get(key) != news[key] for key in _WHERE))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        _grant(news)
        return UpdateResult(news)


def _grant(props: dict[str, Any]) -> None:
    progress = progress_of(props["urn"])
    target = SshTarget(host=props["host"], host_key=props["host_key"], private_key=props["private_key"])
    deadline = time.monotonic() + DATABASE_DEADLINE_SECONDS
    while True:
        with connect(target, progress) as server:
            progress("waiting for the database")
            try:
                with server.tunnel(props["database_host"], int(props["database_port"])) as tunnel:
                    database = pg8000.native.Connection(
                        props["administrator"],
                        database=props["database"],
                        password=props["administrator_password"],
                        sock=tunnel,
                        ssl_context=verifying(props["database_ca"]),
                    )
                    for statement in grants(props["user"]):
                        database.run(statement)
                    database.close()
                    return
            except (NodeError, pg8000.Error, OSError) as error:
                if time.monotonic() >= deadline:
                    raise NodeError(f"{props['database_host']} did not take the grants: {error}") from None
        time.sleep(RETRY_SECONDS)


def verifying(ca: str) -> ssl.SSLContext:
    """TLS that trusts the cluster's own CA and nothing else; names are not compared, as with `sslmode=verify-ca`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=ca)
    return context


class DatastoreGrants(Resource, module="over_ssh", name="DatastoreGrants"):
    """The grants of K3s's user; K3s can use its database when this resource is there."""

    def __init__(self, name: str, args: DatastoreGrantsArgs, opts: pulumi.ResourceOptions) -> None:
        secrets = pulumi.ResourceOptions(additional_secret_outputs=["private_key", "administrator_password"])
        props = {
            "urn": own_urn(name, "DatastoreGrants", opts.parent),
            **{field: getattr(args, field) for field in DatastoreGrantsArgs.__dataclass_fields__},
        }
        super().__init__(DatastoreGrantsProvider(), name, props, pulumi.ResourceOptions.merge(opts, secrets))
