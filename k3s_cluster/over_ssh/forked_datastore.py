"""A managed database that DigitalOcean made of another one's backup: made this cluster's before a server starts on it.

"Forking ... will replicate all the databases, users, and other settings from the original"
(docs.digitalocean.com/products/databases/postgresql/how-to/fork-clusters): the old cluster's rows are there, sealed
with its server token, its machines among them, and its user, whose password must open nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource

from k3s_cluster import immutable_settings, k3s_version
from k3s_cluster.account.database_users import DatabaseUsers, User, UsersError
from k3s_cluster.account.provider import AccountProvider
from k3s_cluster.backup import datastore
from k3s_cluster.backup.backup_file import BackupError
from k3s_cluster.over_ssh.connection import Connection, NodeError, connect, target_of
from k3s_cluster.over_ssh.datastore_grants import OWNER, DatastoreGrantsArgs, administrator_of, grant
from k3s_cluster.over_ssh.datastore_session import DATABASE_ERRORS, answer_of
from k3s_cluster.over_ssh.progress import own_urn, progress_of, tell

_SECRETS = ["private_key", "endpoint", "password", "administrator_password", "server_token"]


@dataclass(frozen=True)
class ForkedDatastoreArgs(DatastoreGrantsArgs):
    """What a grant is told, and whose backup it is, with the old cluster's server token.

    `fixed` are K3s's settings that must be the old cluster's, as immutable_settings.of gives them.
    """

    source: str
    server_token: pulumi.Input[str]
    k3s_version: str
    fixed: dict[str, str]
    database_id: pulumi.Input[str]
    endpoint: pulumi.Input[str | None]


class ForkedDatastoreProvider(AccountProvider):
    """Works once, at creation, and can be repeated until a server has started. From then on nothing is compared."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        progress = progress_of(props["urn"])
        try:
            if self._credentials is None:
                raise UsersError("there is no DigitalOcean token to delete the old cluster's users with")
            users = DatabaseUsers(self._credentials, props["database_id"])
            former = [user for user in users.all() if not user.primary and user.name != props["user"]]
            with connect(target_of(props, props), progress) as server:
                progress("taking the copied rows over")
                if props["engine"] == "pg":
                    _own_the_table(server, props, former)
                found = datastore.take_over(
                    server,
                    props["endpoint"],
                    props["database_ca"],
                    props["server_token"],
                    lambda found: _require_fit(found, props),
                )
            for user in former:
                progress(f"deleting the old user {user.name}")
                users.delete(user.name)
        except BackupError as error:
            raise NodeError(
                f"the copy of {props['source']} and datastoreRestoreToken do not fit: {error}. Set the server token of "
                "the cluster whose database that is, with `pulumi config set --secret datastoreRestoreToken`, and run "
                "`pulumi up` again"
            ) from None
        except UsersError as error:
            raise NodeError(f"the users in the copy of {props['source']} could not be deleted: {error}") from None
        tell(props["urn"], f"{found.objects} objects of {props['source']}; deleted users: {len(former)}")
        return CreateResult(props["source"], props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=False)


class UnfitError(NodeError):
    """The old cluster's servers had other settings than these."""


def _require_fit(found: datastore.Found, props: dict[str, Any]) -> None:
    problems = unfit(found, props["k3s_version"], props["fixed"])
    if problems:
        raise UnfitError(
            f"{'; '.join(problems)}. Nothing was changed in the copy. A k3sVersion that is too old can be raised, and "
            "`pulumi up` goes on; all else needs a new beginning with the old cluster's settings: `pulumi config set "
            "datastoreProtect false`, `pulumi up`, which ends here again, and `pulumi destroy`"
        )


def unfit(found: datastore.Found, version: str, fixed: dict[str, str]) -> list[str]:
    """Why a cluster with K3s `version` and the settings `fixed` cannot go on with what was found. Pure."""
    problems = []
    if found.k3s_version and (refusal := k3s_version.refusal(found.k3s_version, version)):
        problems.append(f"the old cluster had K3s {found.k3s_version}, and k3sVersion {refusal}")
    # A K3s that does not say what it was started with says nothing of its settings.
    for key, was, _ in immutable_settings.changes(found.arguments, fixed) if found.arguments else ():
        reason = immutable_settings.REASONS[key]
        problems.append(f"the old cluster had {was} for k3sServerConfig.{key}, and it must stay so: {reason}")
    return problems


def _own_the_table(server: Connection, props: dict[str, Any], former: list[User]) -> None:
    """Where an earlier version of this program made the old cluster, kine's table is the old user's own."""
    login = administrator_of(props)
    query = "SELECT tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename = 'kine'"
    try:
        rows = answer_of(server, login, query)
        for user in former:
            if [[user.name]] == rows and user.password:
                grant(server, {**props, "user": user.name, "password": user.password})
        rows = answer_of(server, login, query)
    except (OSError, *DATABASE_ERRORS) as error:
        raise NodeError(f"{props['database_host']} did not answer as it should: {error}") from None
    if rows and rows != [[OWNER]]:
        raise NodeError(
            f"the table `kine` in the copy of {props['source']} belongs to {rows[0][0]}, whose password DigitalOcean "
            f"does not tell; as that user, `ALTER TABLE kine OWNER TO {OWNER}`, and run `pulumi up` again"
        )


class ForkedDatastore(Resource, module="over_ssh", name="ForkedDatastore"):
    """A copied datastore that is this cluster's alone. `server_token` is the old cluster's, and secret."""

    server_token: pulumi.Output[str]

    def __init__(self, name: str, args: ForkedDatastoreArgs, opts: pulumi.ResourceOptions) -> None:
        secrets = pulumi.ResourceOptions(additional_secret_outputs=_SECRETS)
        props = {
            "urn": own_urn(name, "ForkedDatastore", opts.parent),
            **{field: getattr(args, field) for field in ForkedDatastoreArgs.__dataclass_fields__},
        }
        super().__init__(ForkedDatastoreProvider(), name, props, pulumi.ResourceOptions.merge(opts, secrets))
