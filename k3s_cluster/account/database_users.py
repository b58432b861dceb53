"""The users of a managed database, asked and deleted over DigitalOcean's API.

docs.digitalocean.com/reference/api, "List all Database Users" and "Remove a Database User".
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import quote

from k3s_cluster.account.client import Client, Credentials, NoAnswer, NotAllowed, NotFound, TokenRefused

#: The database itself is changed before the answer comes.
DELETE_SECONDS = 60
#: Answers that mean: not now (412 while the cluster is being changed).
_LATER = (412, 429, 500, 502, 503, 504)
_PATIENCE_SECONDS = 120
_RETRY_SECONDS = 3


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
        self._credentials = credentials
        self._path = f"/v2/databases/{quote(database_id, safe='')}/users"

    def all(self) -> list[User]:
        """Every user there is. UsersError if they are not told."""
        client, deadline = Client(self._credentials, DELETE_SECONDS), time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                users = client.get(self._path).get("users") or ()
                return [User(each["name"], each.get("role") == "primary", each.get("password") or "") for each in users]
            except NoAnswer as error:
                if time.monotonic() >= deadline:
                    raise UsersError(str(error)) from None
            except (TokenRefused, NotAllowed, NotFound) as error:
                raise UsersError(f"{error}; the token is from {self._credentials.source}") from None
            time.sleep(_RETRY_SECONDS)

    def delete(self, name: str) -> None:
        """Delete one; one that is gone is no error. UsersError if it cannot be."""
        url = f"{self._credentials.endpoint.rstrip('/')}{self._path}/{quote(name, safe='')}"
        if not url.startswith(("http://", "https://")):
            raise UsersError(f"`{self._credentials.endpoint}` is no web address")
        headers = {"Authorization": f"Bearer {self._credentials.token}"}
        request = urllib.request.Request(url, headers=headers, method="DELETE")  # noqa: S310 - looked at above
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=DELETE_SECONDS):  # noqa: S310
                    return
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return
                reason, later = f"DELETE {self._path}/{name} answered {error.code}", error.code in _LATER
            except OSError as error:
                reason, later = f"DELETE {self._path}/{name}: {getattr(error, 'reason', error)}", True
            if not later or time.monotonic() >= deadline:
                raise UsersError(reason)
            time.sleep(_RETRY_SECONDS)
