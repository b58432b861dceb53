"""The one client of DigitalOcean's API v2: docs.digitalocean.com/reference/api.

Everything that this project asks or changes itself goes through it; Pulumi's plugin has a client of its own.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

#: Seconds that one answer may take. The provider waits longer; a plan need not.
ANSWER_SECONDS = 5.0
#: The largest page that the API gives.
PAGE_SIZE = 200
#: Pages of one list that are read at most: 4,000 droplets.
MOST_PAGES = 20
#: Cloudflare, which is in front of the API, is known to refuse the default names of libraries (403 to Python-urllib).
USER_AGENT = "k3s-digitalocean/0.1.0"
#: Answers that mean: not now. Those from 520 on are Cloudflare's own.
LATER = (429, *range(500, 600))
RETRY_SECONDS = 2.0
#: How the control panel tells about a token, as `doctl auth init` asks it (github.com/digitalocean/doctl, do/oauth.go).
TOKEN_INFO = "/v1/oauth/token/info"  # noqa: S105 - a path


class NoAnswer(Exception):
    """The API cannot be reached, takes too long, or is out of order: nothing is known."""


class TokenRefused(Exception):
    """The API does not know the token (401)."""


class NotAllowed(Exception):
    """The token may not ask this (403)."""


class Refused(Exception):
    """An answer that is neither a success nor expected: the message says what was asked, and what came."""


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


@dataclass(frozen=True)
class Answer:
    """Any answer at all: the HTTP status, and what was said, which is empty where it was no JSON object."""

    status: int
    body: dict[str, Any]

    @property
    def reason(self) -> str:
        """What the API says of a refusal, to stand behind a path; empty where it says nothing."""
        message = str(self.body.get("message") or "")
        return f" ({message[:500]})" if message else ""


class Client:
    """One account. Safe to use from several threads. No message ever holds the token."""

    def __init__(self, credentials: Credentials, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._endpoint = credentials.endpoint.rstrip("/")
        self._source = credentials.source
        self._headers = {
            "Authorization": f"Bearer {credentials.token}",
            "Accept": "application/json",
            "User-Agent": USER_AGENT,
        }
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

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        """The answer, whatever its status. Raises NoAnswer where there is none."""
        return self._ask(method, self._endpoint + path, path, body)

    def insist(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        seconds: float,
        later: Collection[int] = LATER,
        accepted: Collection[int] = (),
        what: str = "",
    ) -> Answer:
        """A success, or an answer whose status is one of `accepted`.

        Asked again for `seconds` while there is no answer or its status is one of `later`. At the end it raises
        NoAnswer, or Refused, whose message says `what` it was for.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self.ask(method, path, body)
                if answer.status not in later or time.monotonic() >= deadline:
                    break
            except NoAnswer:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(RETRY_SECONDS)
        if answer.status >= 300 and answer.status not in accepted:
            raise self.refused(f"{method} {path}{f' for {what}' if what else ''}", answer)
        return answer

    def refused(self, asked: str, answer: Answer) -> Refused:
        """What to raise where `asked` was answered so."""
        whose = f"; the token is from {self._source}" if answer.status in (401, 403) else ""
        return Refused(f"{asked} answered {answer.status}{answer.reason}{whose}")

    def _get(self, url: str, path: str) -> dict[str, Any]:
        answer = self._ask("GET", url, path, None)
        if answer.status >= 300:
            refusals = {401: TokenRefused, 403: NotAllowed, 404: NotFound}
            raise refusals.get(answer.status, NoAnswer)(f"GET {path} answered {answer.status}")
        return answer.body

    def _ask(self, method: str, url: str, path: str, body: Mapping[str, object] | None) -> Answer:
        if urlsplit(url).scheme not in ("http", "https"):
            raise NoAnswer(f"`{self._endpoint}` is no web address")
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the scheme was looked at
        try:
            with self._open(request, timeout=self._seconds) as response:
                answer = json.loads(response.read() or b"{}")
                status = int(response.status)
        except urllib.error.HTTPError as refusal:
            return Answer(refusal.code, _told(refusal))
        except (OSError, ValueError, HTTPException) as error:
            # A URLError says why in `reason`; neither it nor any other holds a header.
            reason = getattr(error, "reason", None) or type(error).__name__
            if isinstance(error, TimeoutError) or isinstance(reason, TimeoutError):
                reason = f"timed out after {self._seconds:g} s"
            raise NoAnswer(f"{method} {path}: {reason}") from None
        if not isinstance(answer, dict):
            raise NoAnswer(f"{method} {path} answered something else than JSON's object")
        return Answer(status, answer)


def _told(refusal: urllib.error.HTTPError) -> dict[str, Any]:
    """What a refusal says of itself."""
    try:
        told = json.loads(refusal.read() or b"{}")
    except (OSError, ValueError, HTTPException):
        return {}
    return told if isinstance(told, dict) else {}


def control_panel(endpoint: str) -> str:
    """The address that knows about tokens: beside `api.example.com` it is `cloud.example.com`, else the same."""
    parts = urlsplit(endpoint)
    host = parts.netloc
    if host.startswith("api."):
        host = "cloud." + host.removeprefix("api.")
    return urlunsplit((parts.scheme, host, "", "", ""))
