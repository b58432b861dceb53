"""Load balancers."""

from __future__ import annotations

import threading
from ipaddress import IPv4Address
from typing import Any

import pytest

from tests.cloud.api_client import Api, RecordingRoom, address_of, load_balancer_request

RULE = load_balancer_request()["forwarding_rules"][0]
CHECK = load_balancer_request()["health_check"]


def test_it_has_its_address_once_it_is_active(api: Api, room: RecordingRoom) -> None:
    room.gates["ensure_load_balancer"] = threading.Event()
    made = api.ok("POST", "/v2/load_balancers", load_balancer_request())["load_balancer"]
    assert (made["status"], made["ip"]) == ("new", "")
    room.gates["ensure_load_balancer"].set()
    api.settle()
    balancer = api.ok("GET", f"/v2/load_balancers/{made['id']}")["load_balancer"]
    assert (balancer["status"], balancer["ip"]) == ("active", str(room.balancers[made["id"]].public_ip))


def test_the_machine_room_gets_the_rules_and_the_check(api: Api, room: RecordingRoom) -> None:
    spec = room.balancers[api.load_balancer()["id"]]
    assert [(rule.entry_port, rule.target_port) for rule in spec.rules] == [(6443, 6443)]
    check = spec.health_check
    assert (check.protocol, check.port, check.path) == ("tcp", 6443, None)
    assert (check.interval_seconds, check.timeout_seconds) == (10, 5)
    assert (check.healthy_threshold, check.unhealthy_threshold) == (5, 3)


def test_an_http_check_has_its_path(api: Api, room: RecordingRoom) -> None:
    balancer = api.load_balancer(health_check={**CHECK, "protocol": "https", "path": "/readyz"})
    assert room.balancers[balancer["id"]].health_check.path == "/readyz"
    assert balancer["health_check"]["path"] == "/readyz"


def test_targets_follow_the_tag(api: Api, room: RecordingRoom) -> None:
    vpc = api.vpc()
    balancer = api.load_balancer(vpc_uuid=vpc["id"])
    assert room.balancers[balancer["id"]].targets == ()
    droplet = api.droplet("a", tags=["k3s_server"], vpc_uuid=vpc["id"])
    api.droplet("elsewhere", tags=["k3s_server"])
    assert room.balancers[balancer["id"]].targets == (IPv4Address(address_of(droplet, "private")),)
    assert api.ok("GET", f"/v2/load_balancers/{balancer['id']}")["load_balancer"]["droplet_ids"] == [droplet["id"]]
    api.ok("DELETE", "/v2/tags/k3s_server")
    assert room.balancers[balancer["id"]].targets == ()


def test_nothing_is_asked_of_the_machine_room_when_nothing_changed(api: Api, room: RecordingRoom) -> None:
    balancer = api.load_balancer()
    before = room.count("ensure_load_balancer")
    api.ok("PUT", f"/v2/load_balancers/{balancer['id']}", load_balancer_request())
    api.tag("other")
    api.droplet()
    assert room.count("ensure_load_balancer") == before


def test_slug_and_number_of_nodes_say_the_same(api: Api) -> None:
    small = api.load_balancer()
    assert (small["size"], small["size_unit"]) == ("lb-small", 1)
    body = load_balancer_request(name="large", size_unit=6)
    del body["size"]
    large = api.ok("POST", "/v2/load_balancers", body)["load_balancer"]
    assert (large["size"], large["size_unit"]) == ("lb-large", 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forwarding_rules": []}, "at least one forwarding rule"),
        ({"forwarding_rules": [{**RULE, "tls_passthrough": False}]}, "certificate_id or tls_passthrough"),
        ({"forwarding_rules": [{**RULE, "target_protocol": "http"}]}, "tls_passthrough needs https"),
        ({"forwarding_rules": [{**RULE, "entry_port": 0}]}, "entry_port must be between 1 and 65535"),
        ({"forwarding_rules": [RULE, RULE]}, "two forwarding rules have the entry_port 6443"),
        ({"forwarding_rules": [{**RULE, "entry_protocol": "http", "tls_passthrough": False}]}, "forwards TCP only"),
        ({"health_check": {**CHECK, "check_interval_seconds": 2}}, "check_interval_seconds must be between 3 and 300"),
        ({"health_check": {**CHECK, "response_timeout_seconds": 301}}, "response_timeout_seconds must be between"),
        ({"health_check": {**CHECK, "healthy_threshold": 1}}, "healthy_threshold must be between 2 and 10"),
        ({"health_check": {**CHECK, "unhealthy_threshold": 11}}, "unhealthy_threshold must be between 2 and 10"),
        ({"health_check": {**CHECK, "protocol": "http", "path": "x"}}, "path must start with /"),
        ({"size": "lb-huge"}, "size must be one of"),
        ({"size_unit": 3}, "size and size_unit contradict"),
        ({"region": "mars1"}, "does not exist"),
        ({"droplet_ids": [1], "tag": ""}, "could not find droplet 1"),
        ({"firewall": {"allow": ["1.2.3.4"]}}, "give ip:1.2.3.4"),
        ({"http_idle_timeout_seconds": 29}, "between 30 and 600"),
        ({"network": "INTERNAL"}, "external load balancers only"),
        ({"type": "GLOBAL"}, "type REGIONAL only"),
        ({"sticky_sessions": {"type": "cookies"}}, "no sticky sessions"),
        ({"enable_proxy_protocol": True}, "PROXY protocol"),
        ({"vpc_uuid": "11111111-1111-4111-8111-111111111111"}, "does not exist"),
        ({"project_id": "11111111-1111-4111-8111-111111111111"}, "does not exist"),
    ],
)
def test_a_wrong_load_balancer_is_refused(api: Api, change: dict[str, Any], message: str) -> None:
    assert message in api.refused(422, "POST", "/v2/load_balancers", load_balancer_request(**change))
    assert api.ok("GET", "/v2/load_balancers")["load_balancers"] == []


def test_tag_and_droplets_exclude_each_other(api: Api) -> None:
    droplet = api.droplet()
    body = load_balancer_request(tag="x", droplet_ids=[droplet["id"]])
    assert "either tag or droplet_ids" in api.refused(422, "POST", "/v2/load_balancers", body)


def test_what_was_answered_can_be_sent_back(api: Api, room: RecordingRoom) -> None:
    """Clients read, change one thing, and send all of it back."""
    balancer = api.load_balancer()
    body = {**balancer, "region": "fra1", "name": "renamed"}
    del body["droplet_ids"]
    changed = api.ok("PUT", f"/v2/load_balancers/{balancer['id']}", body)["load_balancer"]
    assert {key for key in balancer if balancer[key] != changed[key]} == {"name"}


def test_names_are_used_once(api: Api) -> None:
    api.load_balancer()
    api.refused(409, "POST", "/v2/load_balancers", load_balancer_request())


def test_a_load_balancer_that_can_not_be_made_is_errored(api: Api, room: RecordingRoom) -> None:
    room.failing.add("ensure_load_balancer")
    assert api.load_balancer()["status"] == "errored"


def test_a_destroyed_one_is_taken_down_and_frees_its_name(api: Api, room: RecordingRoom) -> None:
    balancer = api.load_balancer()
    api.ok("DELETE", f"/v2/load_balancers/{balancer['id']}")
    assert room.balancers == {}
    api.load_balancer()
