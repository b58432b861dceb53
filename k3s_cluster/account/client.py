"""Questions to DigitalOcean's API v2: GET only, so that nothing here can change an account.

docs.digitalocean.com/reference/api
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

#: Seconds that one answer may take. The provider waits longer; a plan need not.
ANSWER_SECONDS = 5.0
#: The largest page that the API gives.
PAGE_SIZE = 200
#: Pages of one list that are read at most: 4,000 droplets.
MOST_PAGES = 20
#: How the control panel tells about a token, as `doctl auth init` asks it (github.com/digitalocean/doctl, do/oauth.go).
TOKEN_INFO = "/v1/oauth/token/info"  # noqa: S105 - a path


class NoAnswer(Exception):
    """The API cannot be reached, takes too long, or is out of order: nothing is known."""


class TokenRefused(Exception):
    """The API does not know the token (401)."""


class NotAllowed(Exception):
    """The token may not ask this (403)."""


class NotFound(Exception):
    """There is no such thing in the account, or none that may be seen (404)."""


@dataclass(frozen=True)
class Credentials:
    """Where the API is, and the token for it. `source` says where the token comes from; the token is never shown."""

    endpoint: str
    token: str = field(repr=False)
    source: str


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to another host."""

    def redirect_request(self, *_: object) -> None:
        return None


class Client:
    """One account. Safe to use from several threads. No message ever holds the token."""

    def __init__(self, credentials: Credentials, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._endpoint = credentials.endpoint.rstrip("/")
        self._headers = {"Authorization": f"Bearer {credentials.token}", "Accept": "application/json"}
        self._seconds = answer_seconds
        # The default opener, which heeds the proxies that the environment names.
        self._open = urllib.request.build_opener(_NoRedirect).open

    def get(self, path: str, query: Mapping[str, object] | None = None) -> dict[str, Any]:
        """The answer to GET `path`. Raises NoAnswer, TokenRefused, NotAllowed or NotFound."""
        return self._get(self._endpoint + path + (f"?{urlencode(query)}" if query else ""), path)

    def all(self, path: str, key: str, query: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        """The items under `key` on all pages. Raises as `get` does."""
        items: list[dict[str, Any]] = []
        for page in range(1, MOST_PAGES + 1):
            answer = self.get(path, {**(query or {}), "page": page, "per_page": PAGE_SIZE})
            items += answer.get(key) or []
            if not ((answer.get("links") or {}).get("pages") or {}).get("next"):
                break
        return items

    def token_scopes(self) -> tuple[str, ...]:
        """What the token may do: `read` and `write`, or scopes such as `droplet:create`. Raises as `get` does."""
        scopes = self._get(control_panel(self._endpoint) + TOKEN_INFO, TOKEN_INFO).get("scopes")
        return tuple(str(scope) for scope in scopes) if isinstance(scopes, list) else ()

    def _get(self, url: str, path: str) -> dict[str, Any]:
        try:
            if urlsplit(url).scheme not in ("http", "https"):
                raise NoAnswer(f"`{self._endpoint}` is no web address")
            request = urllib.request.Request(url, headers=self._headers)  # noqa: S310 - the scheme was looked at
            with self._open(request, timeout=self._seconds) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            refusals = {401: TokenRefused, 403: NotAllowed, 404: NotFound}
            raise refusals.get(error.code, NoAnswer)(f"GET {path} answered {error.code}") from None
        except (OSError, ValueError) as error:
            # A URLError says why in `reason`; neither it nor any other holds a header.
            reason = getattr(error, "reason", None) or type(error).__name__
            if isinstance(error, TimeoutError) or isinstance(reason, TimeoutError):
                reason = f"timed out after {self._seconds:g} s"
            raise NoAnswer(f"GET {path}: {reason}") from None
        if not isinstance(answer, dict):
            raise NoAnswer(f"GET {path} answered something else than JSON's object")
        return answer


def control_panel(endpoint: str) -> str:
    """The address that knows about tokens: beside `api.example.com` it is `cloud.example.com`, else the same."""
    parts = urlsplit(endpoint)
    host = parts.netloc
    if host.startswith("api."):
        host = "cloud." + host.removeprefix("api.")
    return urlunsplit((parts.scheme, host, "", "", ""))
