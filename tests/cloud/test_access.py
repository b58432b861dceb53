"""Who may call, how often, and how lists come in pages."""

from __future__ import annotations

import pytest

from local_cloud.api.rate_limit import RateLimit
from tests.cloud.api_client import TOKEN, Api


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer dop_v1_0"},
    ],
)
def test_without_a_known_token_nothing_is_answered_or_done(api: Api, headers: dict[str, str]) -> None:
    response = api.call("POST", "/v2/tags", {"name": "a"}, headers=headers)
    assert response.status_code == 401
    assert response.get_json()["id"] == "unauthorized"
    assert api.ok("GET", "/v2/tags")["tags"] == []


def test_every_answer_tells_the_request_id_and_the_rate_limit(api: Api) -> None:
    first, second = api.call("GET", "/v2/account"), api.call("GET", "/v2/droplets/1")
    assert first.headers["ratelimit-limit"] == "5000"
    assert int(second.headers["ratelimit-remaining"]) == int(first.headers["ratelimit-remaining"]) - 1
    assert second.get_json()["request_id"] == second.headers["x-request-id"] != first.headers["x-request-id"]


def test_a_call_too_many_is_429_and_does_nothing(api: Api) -> None:
    api.control("PUT", "/rate-limit", {"per_minute": 2})
    for _ in range(2):
        api.ok("GET", "/v2/account")
    refused = api.call("POST", "/v2/tags", {"name": "a"})
    assert refused.status_code == 429
    assert refused.get_json()["id"] == "too_many_requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    api.control("PUT", "/rate-limit", {"per_minute": 250})
    assert api.ok("GET", "/v2/tags")["tags"] == []


def test_the_minute_and_the_hour_both_slide() -> None:
    now = 1000.0
    limit = RateLimit(per_hour=3, per_minute=2, clock=lambda: now)
    assert [limit.count("t").allowed for _ in range(3)] == [True, True, False]
    assert limit.count("other").allowed
    now += 61
    third = limit.count("t")
    assert (third.allowed, third.remaining) == (True, 0)
    now += 61
    refused = limit.count("t")
    assert not refused.allowed
    assert refused.retry_after > 3000
    now = 1000.0 + 3601
    assert limit.count("t").allowed


def test_lists_come_in_pages_that_link_to_each_other(api: Api) -> None:
    for number in range(5):
        api.tag(f"tag-{number}")
    first = api.ok("GET", "/v2/tags?per_page=2")
    assert [tag["name"] for tag in first["tags"]] == ["tag-0", "tag-1"]
    assert first["meta"]["total"] == 5
    assert set(first["links"]["pages"]) == {"next", "last"}
    names, address = [], "/v2/tags?per_page=2"
    while address:
        answer = api.ok("GET", address)
        names += [tag["name"] for tag in answer["tags"]]
        address = answer["links"].get("pages", {}).get("next", "")
    assert names == [f"tag-{number}" for number in range(5)]
    last = api.ok("GET", "/v2/tags?per_page=2&page=3")
    assert set(last["links"]["pages"]) == {"first", "prev"}
    assert api.ok("GET", "/v2/tags?per_page=200")["links"] == {}
    api.refused(400, "GET", "/v2/tags?per_page=201")
    api.refused(400, "GET", "/v2/tags?page=0")


def test_what_is_no_json_object_is_refused(api: Api) -> None:
    response = api.app.test_client().post("/v2/tags", data="{", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 400
    assert "JSON" in response.get_json()["message"]
    assert "name" in api.refused(422, "POST", "/v2/tags", {"name": 3})


def test_unknown_paths_and_methods_answer_in_the_apis_form(api: Api) -> None:
    assert api.call("GET", "/v2/nowhere").get_json()["id"] == "not_found"
    assert api.call("PUT", "/v2/regions").get_json()["id"] == "method_not_allowed"


def test_a_token_that_may_only_read_is_told_so_and_changes_nothing(api: Api) -> None:
    reader = {"Authorization": "Bearer dop_v1_reader"}
    api.control("PUT", "/tokens", {"token": "dop_v1_reader", "scopes": ["read"]})
    assert api.call("GET", "/v1/oauth/token/info", headers=reader).get_json()["scopes"] == ["read"]
    assert api.ok("GET", "/v1/oauth/token/info")["scopes"] == ["read", "write"]
    refused = api.call("POST", "/v2/tags", {"name": "a"}, headers=reader)
    assert (refused.status_code, refused.get_json()["id"]) == (403, "forbidden")
    assert api.call("GET", "/v2/tags", headers=reader).get_json()["tags"] == []
    api.control("PUT", "/tokens", {"token": "dop_v1_reader", "scopes": []})
    assert api.call("GET", "/v2/tags", headers=reader).status_code == 401
