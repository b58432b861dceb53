"""How long the plugin waits before it asks again, and what it says of errors."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from local_cloud.pulumi_plugins.digitalocean.client import Retries, error_message, wait_before

RETRIES = Retries(most=4, wait_least=1.0, wait_most=30.0)


def test_the_wait_doubles_up_to_its_limit() -> None:
    assert [wait_before(attempt, RETRIES, {}) for attempt in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_the_servers_word_counts_more() -> None:
    assert wait_before(0, RETRIES, {"Retry-After": "7"}) == 7
    reset = {"ratelimit-remaining": "0", "ratelimit-reset": str(int(time.time()) + 12)}
    assert wait_before(0, RETRIES, reset) == pytest.approx(12, abs=1.5)
    # An allowance that is back in an hour is not worth waiting for: the attempts end before.
    assert wait_before(0, RETRIES, {"ratelimit-remaining": "0", "ratelimit-reset": str(int(time.time()) + 3600)}) == 30
    assert wait_before(0, RETRIES, {"ratelimit-remaining": "9", "ratelimit-reset": str(int(time.time()) + 12)}) == 1


def test_an_error_names_call_status_and_request() -> None:
    body = b'{"id": "unprocessable_entity", "message": "size is wrong", "request_id": "r-1"}'
    response = SimpleNamespace(data=body, status=422, headers={}, reason="Unprocessable Entity")
    assert error_message("POST", "http://a/v2/droplets", response, 1) == (
        'POST http://a/v2/droplets: 422 (request "r-1") size is wrong'
    )
    page = SimpleNamespace(data=b"<html>", status=502, headers={}, reason="Bad Gateway")
    assert error_message("GET", "http://a/v2/account", page, 5) == (
        "GET http://a/v2/account: 502 Bad Gateway; giving up after 5 attempt(s)"
    )
