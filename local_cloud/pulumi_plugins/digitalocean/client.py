"""DigitalOcean's API v2 over HTTP: https://docs.digitalocean.com/reference/api/

Retries are those of the official plugin (godo with go-retryablehttp): connection errors, 429 and 5xx but 501, with a
wait that doubles, and the server's own word on when to come back.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode
from urllib.request import getproxies, proxy_bypass

import urllib3

from local_cloud.pulumi_plugins.provider.resource import Cancelled, ProviderError

CONNECT_SECONDS = 10.0
#: A test that lets calls hang need not wait a minute for each.
READ_SECONDS = float(os.environ.get("LOCAL_CLOUD_READ_SECONDS", "60"))
#: The largest page that the API gives.
PAGE_SIZE = 200
CONNECTIONS = 32

HOW_TO_AUTHENTICATE: Final = (
    "no DigitalOcean token: set DIGITALOCEAN_TOKEN, or `pulumi config set --secret digitalocean:token`, to a token from"
    " https://cloud.digitalocean.com/account/api/tokens; or run this command inside the local cloud: bin/local ..."
)


class ApiError(ProviderError):
    """An answer that is no success. `status` is the HTTP code."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Retries:
    """How often a request is repeated, and the bounds of the wait before it in seconds."""

    most: int = 4
    wait_least: float = 1.0
    wait_most: float = 30.0


class Client:
    """One account. Safe to use from several threads."""

    def __init__(
        self,
        endpoint: str,
        token: str,
        cancelled: threading.Event,
        retries: Retries = Retries(),
        requests_per_second: float = 0.0,
        user_agent: str = "",
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.token = token
        self.cancelled = cancelled
        self.retries = retries
        self.interval = 1 / requests_per_second if requests_per_second else 0.0
        self.next_turn = 0.0
        self.turns = threading.Lock()
        self.user_agent = user_agent
        self.http = connection_pool(self.endpoint)

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self.request("GET", path + (f"?{urlencode(query)}" if query else ""))

    def find(self, path: str) -> Any | None:
        """GET, or None when the answer is 404."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def all(self, path: str, key: str, query: Mapping[str, Any] | None = None) -> list[Any]:
        """The items under `key` on all pages."""
        items: list[Any] = []
        page = 1
        while True:
            answer = self.get(path, {**(query or {}), "page": page, "per_page": PAGE_SIZE})
            items += answer.get(key) or []
            if not ((answer.get("links") or {}).get("pages") or {}).get("next"):
                return items
            page += 1

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.request("POST", path, body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.request("PUT", path, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.request("PATCH", path, body)

    def delete(self, path: str) -> None:
        """DELETE; what is gone already is an error, as for most resources of the official provider."""
        self.request("DELETE", path)

    def delete_if_there(self, path: str, body: Mapping[str, Any] | None = None) -> None:
        """DELETE; what is gone already is as good as deleted."""
        try:
            self.request("DELETE", path, body)
        except ApiError as error:
            if error.status != 404:
                raise

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The decoded answer, None for an empty one. Raises `ApiError`, and `ProviderError` where there is no answer.

        Neither the token nor a body is ever part of a message.
        """
        if not self.token:
            raise ProviderError(HOW_TO_AUTHENTICATE)
        url = self.endpoint + path
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/json",
            "User-Agent": self.user_agent,
        }
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        for attempt in range(self.retries.most + 1):
            self.take_turn()
            last = attempt == self.retries.most
            try:
                response = self.http.request(method, url, body=data, headers=headers, retries=False)
            except urllib3.exceptions.HTTPError as error:
                if last:
                    raise ProviderError(
                        f"{method} {url}: no answer after {attempt + 1} attempt(s): {type(error).__name__}; is"
                        " DIGITALOCEAN_API_URL right, and can it be reached from here?"
                    ) from error
                self.pause(wait_before(attempt, self.retries, {}))
                continue
            if 200 <= response.status < 300:
                return json.loads(response.data) if response.data else None
            if last or not (response.status == 429 or (response.status >= 500 and response.status != 501)):
                raise ApiError(error_message(method, url, response, attempt + 1), response.status)
            self.pause(wait_before(attempt, self.retries, response.headers))
        raise AssertionError("the last attempt returns or raises")

    def take_turn(self) -> None:
        """Keep to the configured number of requests per second."""
        if self.interval:
            with self.turns:
                now = time.monotonic()
                turn = max(now, self.next_turn)
                self.next_turn = turn + self.interval
            self.pause(turn - now)

    def pause(self, seconds: float) -> None:
        if seconds > 0 and self.cancelled.wait(seconds):
            raise Cancelled("stopped before a request was repeated: the update was cancelled")


def connection_pool(endpoint: str) -> urllib3.PoolManager:
    """Connections to `endpoint`, through the proxy that the environment names, as Go programs use it."""
    scheme, _, rest = endpoint.partition("://")
    host = rest.partition("/")[0].partition(":")[0]
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    proxy = getproxies().get(scheme)
    if proxy and not proxy_bypass(host):
        return urllib3.ProxyManager(proxy, maxsize=CONNECTIONS, timeout=timeout)
    return urllib3.PoolManager(maxsize=CONNECTIONS, timeout=timeout)


def wait_before(attempt: int, retries: Retries, headers: Mapping[str, str]) -> float:
    """Seconds until the next attempt: what Retry-After or ratelimit-reset (a Unix time) say, else a doubling wait.

    https://docs.digitalocean.com/reference/api/reference/#section/Introduction/Rate-Limit
    """
    if (after := headers.get("Retry-After", "")).isdigit():
        return float(after)
    if headers.get("ratelimit-remaining") == "0" and (reset := headers.get("ratelimit-reset", "")).isdigit():
        return min(max(float(reset) - time.time(), retries.wait_least), retries.wait_most)
    return min(retries.wait_least * 2.0**attempt, retries.wait_most)


def error_message(method: str, url: str, response: Any, attempts: int) -> str:
    """What godo says of an error answer."""
    try:
        body = json.loads(response.data)
        message, request_id = body.get("message") or body.get("id") or "", body.get("request_id")
    except (ValueError, AttributeError):
        message, request_id = "", None
    request_id = request_id or response.headers.get("x-request-id")
    named = f' (request "{request_id}")' if request_id else ""
    tried = f"; giving up after {attempts} attempt(s)" if attempts > 1 else ""
    return f"{method} {url}: {response.status}{named} {message or response.reason or ''}{tried}"


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="")
