"""The version of a managed database: raised over the API, and waited for.

Pulumi's DigitalOcean plugin asks for another version and does not wait: it notes the version that it reads at once,
which is still the old one, and asks again at the next run (github.com/digitalocean/terraform-provider-digitalocean at
v2.99.1, digitalocean/database/resource_database_cluster.go, resourceDigitalOceanDatabaseClusterUpdate). Meanwhile the
database may be away, and servers would be restarted.
"""

from __future__ import annotations

import time
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from k3s_cluster.account.client import LATER, NoAnswer
from k3s_cluster.account.provider import AccountProvider
from k3s_cluster.over_ssh.progress import own_urn, progress_of

#: The database is being changed already.
_LATER = (409, 412, *LATER)
#: An upgrade copies all that is in the database.
UPGRADE_SECONDS = 3600
#: From the answer until the database is seen to be worked on.
BEGIN_SECONDS = 120
POLL_SECONDS = 3.0


class VersionError(Exception):
    """The database is not online at the version that was asked for: the message says why."""


class DatastoreVersionProvider(AccountProvider):
    """Brings the database to `version`, and ends when it is online there."""

    failure = VersionError

    def create(self, props: dict[str, Any]) -> CreateResult:
        self._bring(props)
        return CreateResult(props["database_id"], props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        self._bring(news)
        return UpdateResult(news)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        replaces = ["database_id"] if olds["database_id"] != news["database_id"] else []
        return DiffResult(changes=bool(replaces) or olds["version"] != news["version"], replaces=replaces)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        database = self._database(id_)
        if database is None:
            return ReadResult("", {})
        return ReadResult(id_, {**props, "version": str(database["version"])})

    def _bring(self, props: dict[str, Any]) -> None:
        id_, version = props["database_id"], str(props["version"])
        progress, deadline = progress_of(props["urn"]), time.monotonic() + UPGRADE_SECONDS
        asked_at, began = None, False
        while time.monotonic() < deadline:
            database = self._database(id_)
            if database is None:
                raise VersionError(f"the database {id_} is gone; `pulumi up --refresh` makes another one")
            online, now = database["status"] == "online", str(database["version"])
            if online and now == version:
                return
            if online and (began or (asked_at is not None and time.monotonic() - asked_at > BEGIN_SECONDS)):
                raise VersionError(
                    f"the database {database['name']} was not upgraded to {version}, and is online at {now} again; "
                    "DigitalOcean's control panel may say why. Try again, or set datastoreVersion back"
                )
            if online and asked_at is None and self._upgrade(id_, str(database["name"]), now, version):
                asked_at = time.monotonic()
            began = began or (asked_at is not None and not online)
            progress(f"waiting for the database at version {version}, now {now} and {database['status']}")
            time.sleep(POLL_SECONDS)
        raise VersionError(f"the database {id_} is not online at version {version} after {UPGRADE_SECONDS} s")

    def _upgrade(self, id_: str, name: str, now: str, version: str) -> bool:
        """Ask for the upgrade once. True if it was taken; False if not now, or if nobody knows: the database tells."""
        try:
            answer = self._client().ask("PUT", f"/v2/databases/{id_}/upgrade", {"version": version})
        except NoAnswer:
            return False
        if answer.status in _LATER:
            return False
        if answer.status >= 300:
            raise VersionError(
                f"datastoreVersion: `{version}` is not what {name} can be brought to from {now}: "
                f"DigitalOcean answered {answer.status}{answer.reason}"
            )
        return True

    def _database(self, id_: str) -> dict[str, Any] | None:
        answer = self._insist("GET", f"/v2/databases/{id_}", accepted=(404,))
        return None if answer.status == 404 else answer.body["database"]


class DatastoreVersion(Resource, module="cloud", name="DatastoreVersion"):
    """A database that is online at `version` when this resource is there."""

    version: pulumi.Output[str]

    def __init__(self, name: str, database_id: pulumi.Input[str], version: str, opts: pulumi.ResourceOptions) -> None:
        props = {
            "urn": own_urn(name, "DatastoreVersion", opts.parent, module="cloud"),
            "database_id": database_id,
            "version": version,
        }
        super().__init__(DatastoreVersionProvider(), name, props, opts)
