"""The account, asked and changed over DigitalOcean's API: docs.digitalocean.com/reference/api."""

from __future__ import annotations

import time
import urllib.parse
from typing import Any

from k3s_cluster.account.client import LATER, Answer, Client, Credentials, NoAnswer, Refused
from k3s_cluster.cloud.deletion import stays
from recovery.leftovers import Leftover

TIMEOUT_SECONDS = 60
#: Answers that mean: not now. 409, 412 and 422 are what the API says of things that are still being made or used.
BUSY = (409, 412, 422, *LATER)
PATIENCE_SECONDS = 600
RETRY_SECONDS = 2


class AccountError(Exception):
    """The API refused or did not answer: the message says what."""


class Account:
    """One account, with the token that `pulumi up` uses: the stack's, or else the environment's."""

    def __init__(self, credentials: Credentials | None) -> None:
        if credentials is None:
            raise AccountError("There is no DigitalOcean token: set DIGITALOCEAN_TOKEN, as for `pulumi up`.")
        self._client = Client(credentials, TIMEOUT_SECONDS)

    def list(self, path: str, items: str) -> list[dict[str, Any]]:
        """The items under `items` on all pages; nothing where there is no such path."""
        found: list[dict[str, Any]] = []
        # Not every list has pages (databases have none), so nothing is said about pages that no answer spoke of.
        query = ""
        while True:
            answer = self._ask("GET", path + query)
            if answer.status == 404:
                return found
            found += answer.body.get(items) or []
            following = ((answer.body.get("links") or {}).get("pages") or {}).get("next")
            if not following:
                return found
            query = "?" + urllib.parse.urlsplit(following).query

    def remove(self, leftover: Leftover) -> str | None:
        """Remove it and wait until it is gone. AccountError if that takes over ten minutes.

        None, or why it stays: DigitalOcean deletes no VPC that has become its region's default one.
        """
        if leftover.path.startswith("/v2/projects/"):
            self._empty_project(leftover.path)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            status = self._ask("DELETE", leftover.path, accepted=(403, *BUSY)).status
            gone = status == 404 or (status < 300 and self._ask("GET", leftover.path).status == 404)
            if gone:
                return None
            if status == 403:
                vpc = self._ask("GET", leftover.path).body.get("vpc") or {}
                if not vpc.get("default"):
                    raise AccountError(f"{leftover} could not be removed: the API answers 403")
                return stays(vpc)
            if time.monotonic() >= deadline:
                raise AccountError(f"{leftover} could not be removed within {PATIENCE_SECONDS} s (status {status})")
            time.sleep(RETRY_SECONDS)

    def _empty_project(self, path: str) -> None:
        """A project that holds something is not removed; what it holds goes to the account's default project."""
        for held in self.list(f"{path}/resources", "resources"):
            # One by one: what has gone meanwhile is answered with 404, and must not keep the others here.
            self._ask("POST", "/v2/projects/default/resources", {"resources": [str(held["urn"])]})

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, accepted: tuple[int, ...] = ()
    ) -> Answer:
        """The answer; what is busy or failed inside the API is asked again. AccountError for other refusals."""
        later = tuple(status for status in LATER if status not in accepted)
        try:
            return self._client.insist(
                method, path, body, seconds=PATIENCE_SECONDS, later=later, accepted=(404, *accepted)
            )
        except (NoAnswer, Refused) as error:
            raise AccountError(str(error)) from None
