"""The users of a managed database, asked and deleted over DigitalOcean's API.

docs.digitalocean.com/reference/api, "List all Database Users" and "Remove a Database User".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from k3s_cluster.account.client import LATER, Answer, Client, Credentials, NoAnswer, Refused

#: The database itself is changed before the answer comes.
DELETE_SECONDS = 60
#: Not now, as well: "the cluster is being changed".
_LATER = (412, *LATER)
_PATIENCE_SECONDS = 120


class UsersError(Exception):
    """The API refused or did not answer: the message says what."""


@dataclass(frozen=True)
class User:
    """`primary` is the administrator, whom DigitalOcean lets nobody delete. The password is empty if it is not told."""

    name: str
    primary: bool
    password: str = field(repr=False)


class DatabaseUsers:
    """Those of the database cluster `database_id`."""

    def __init__(self, credentials: Credentials, database_id: str) -> None:
        self._client = Client(credentials, DELETE_SECONDS)
        self._path = f"/v2/databases/{quote(database_id, safe='')}/users"

    def all(self) -> list[User]:
        """Every user there is. UsersError if they are not told."""
        users = self._ask("GET", self._path).body.get("users") or ()
        return [User(each["name"], each.get("role") == "primary", each.get("password") or "") for each in users]

    def delete(self, name: str) -> None:
        """Delete one; one that is gone is no error. UsersError if it cannot be."""
        self._ask("DELETE", f"{self._path}/{quote(name, safe='')}", accepted=(404,))

    def _ask(self, method: str, path: str, accepted: tuple[int, ...] = ()) -> Answer:
        try:
            return self._client.insist(method, path, seconds=_PATIENCE_SECONDS, later=_LATER, accepted=accepted)
        except (NoAnswer, Refused) as error:
            raise UsersError(str(error)) from None
