"""The account, asked and changed over DigitalOcean's API: docs.digitalocean.com/reference/api."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from recovery.leftovers import Leftover

ENDPOINT = "https://api.digitalocean.com"
TIMEOUT_SECONDS = 60
#: Answers that mean: not now. 409, 412 and 422 are what the API says of things that are still being made or used.
BUSY = (409, 412, 422, 429)
PATIENCE_SECONDS = 600
RETRY_SECONDS = 2


class AccountError(Exception):
    """The API refused or did not answer: the message says what."""


class Account:
    """One account. The token comes from the environment, as for `pulumi up`."""

    def __init__(self) -> None:
        self._token = os.environ.get("DIGITALOCEAN_TOKEN") or os.environ.get("DIGITALOCEAN_ACCESS_TOKEN") or ""
        self._endpoint = (os.environ.get("DIGITALOCEAN_API_URL") or ENDPOINT).rstrip("/")
        if not self._token:
            raise AccountError("There is no DigitalOcean token: set DIGITALOCEAN_TOKEN, as for `pulumi up`.")
        self._opener = urllib.request.build_opener()

    def list(self, path: str, items: str) -> list[dict[str, Any]]:
        """The items under `items` on all pages; nothing where there is no such path."""
        found: list[dict[str, Any]] = []
        # Not every list has pages (databases have none), so nothing is said about pages that no answer spoke of.
        query = ""
        while True:
            status, answer = self._ask("GET", path + query)
            if status == 404:
                return found
            found += answer.get(items) or []
            following = ((answer.get("links") or {}).get("pages") or {}).get("next")
            if not following:
                return found
            query = "?" + urllib.parse.urlsplit(following).query

    def remove(self, leftover: Leftover) -> None:
        """Remove it and wait until it is gone. AccountError if that takes over ten minutes."""
        if leftover.path.startswith("/v2/projects/"):
            self._empty_project(leftover.path)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            status, _ = self._ask("DELETE", leftover.path)
            gone = status == 404 or (status < 300 and self._ask("GET", leftover.path)[0] == 404)
            if gone:
                return
            if time.monotonic() >= deadline:
                raise AccountError(f"{leftover} could not be removed within {PATIENCE_SECONDS} s (status {status})")
            time.sleep(RETRY_SECONDS)

    def _empty_project(self, path: str) -> None:
        """A project that holds something is not removed; what it holds goes to the account's default project."""
        held = [str(resource["urn"]) for resource in self.list(f"{path}/resources", "resources")]
        if held:
            self._ask("POST", "/v2/projects/default/resources", {"resources": held})

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and answer; what is busy or failed inside the API is asked again, for GET only."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            request = urllib.request.Request(  # noqa: S310 - the scheme is the endpoint's
                self._endpoint + path,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
                method=method,
            )
            try:
                with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                    return answer.status, json.loads(answer.read() or b"{}")
            except urllib.error.HTTPError as error:
                status, reason = error.code, error.read().decode(errors="replace")[:500]
                if status == 404:
                    return status, {}
                if method == "DELETE" and (status in BUSY or status >= 500):
                    return status, {}
                again = status == 429 or status >= 500
            except OSError as error:
                again, reason = True, str(error)
            if not again or time.monotonic() >= deadline:
                raise AccountError(f"{method} {self._endpoint}{path}: {reason}") from None
            time.sleep(RETRY_SECONDS)
