"""Cloud firewalls, trusted sources and load balancer rules, down to the addresses they let through."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from local_cloud.api.network_rules import port_range, without
from local_cloud.machine_room import Peers
from tests.cloud.api_client import Api, RecordingRoom, address_of

ANYWHERE = {"addresses": ["0.0.0.0/0", "::/0"]}
SSH = {"protocol": "tcp", "ports": "22", "sources": {"addresses": ["198.51.100.10"]}}
OUT = {"protocol": "tcp", "ports": "all", "destinations": ANYWHERE}


def _firewall(api: Api, **changes: Any) -> Any:
    body = {"name": "fw", "inbound_rules": [SSH], "outbound_rules": [OUT], **changes}
    return api.ok("POST", "/v2/firewalls", body)["firewall"]


def _net(*addresses: str) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(each) for each in addresses)


def test_a_droplet_without_a_firewall_has_no_rules(api: Api, room: RecordingRoom) -> None:
    rules = room.rules_of(address_of(api.droplet(), "public"))
    assert (rules.inbound, rules.outbound) == (None, None)


def test_rules_reach_droplets_by_tag_and_by_id(api: Api, room: RecordingRoom) -> None:
    api.tag("k3s_server")
    tagged, named, other = api.droplet("a", tags=["k3s_server"]), api.droplet("b"), api.droplet("c")
    _firewall(api, tags=["k3s_server"], droplet_ids=[named["id"]])
    for droplet in (tagged, named):
        rules = room.rules_of(address_of(droplet, "public"))
        assert rules.inbound == (Peers("tcp", (22, 22), _net("198.51.100.10")),)
        assert rules.outbound == (Peers("tcp", None, _net("0.0.0.0/0")),)
    assert room.rules_of(address_of(other, "public")).inbound is None


def test_a_firewall_without_inbound_rules_closes_all(api: Api, room: RecordingRoom) -> None:
    droplet = api.droplet()
    _firewall(api, droplet_ids=[droplet["id"]], inbound_rules=[])
    assert room.rules_of(address_of(droplet, "public")).inbound == ()


def test_several_firewalls_add_up(api: Api, room: RecordingRoom) -> None:
    droplet = api.droplet()
    web = {"protocol": "tcp", "ports": "8000-9000", "sources": ANYWHERE}
    _firewall(api, droplet_ids=[droplet["id"]])
    _firewall(api, name="web", droplet_ids=[droplet["id"]], inbound_rules=[web])
    inbound = room.rules_of(address_of(droplet, "public")).inbound
    assert inbound is not None
    assert {rule.ports for rule in inbound} == {(22, 22), (8000, 9000)}


def test_sources_by_tag_and_load_balancer_follow_what_they_name(api: Api, room: RecordingRoom) -> None:
    api.tag("k3s_agent")
    server = api.droplet("server")
    balancer = api.load_balancer(droplet_ids=[server["id"]])
    rule = {"protocol": "tcp", "ports": "6443", "sources": {"tags": ["k3s_agent"]}}
    from_balancer = {"protocol": "tcp", "ports": "80", "sources": {"load_balancer_uids": [balancer["id"]]}}
    _firewall(api, droplet_ids=[server["id"]], inbound_rules=[rule, from_balancer])

    def open_to() -> dict[tuple[int, int] | None, tuple[IPv4Network, ...]]:
        return {each.ports: each.networks for each in room.rules_of(address_of(server, "public")).inbound or ()}

    spec = room.balancers[balancer["id"]]
    assert set(open_to()) == {(80, 80)}
    assert set(open_to()[80, 80]) == set(_net(str(spec.public_ip), str(spec.private_ip)))
    agent = api.droplet("agent", tags=["k3s_agent"])
    assert set(open_to()[6443, 6443]) == set(_net(address_of(agent, "public"), address_of(agent, "private")))
    resource = {"resources": [{"resource_id": str(agent["id"]), "resource_type": "droplet"}]}
    api.ok("DELETE", "/v2/tags/k3s_agent/resources", resource)
    assert set(open_to()) == {(80, 80)}


def test_changes_and_deletion_take_effect(api: Api, room: RecordingRoom) -> None:
    droplet = api.droplet()
    firewall = _firewall(api, droplet_ids=[droplet["id"]])
    where, public = f"/v2/firewalls/{firewall['id']}", address_of(droplet, "public")
    assert api.ok("GET", where)["firewall"]["status"] == "succeeded"
    extra = {"inbound_rules": [{"protocol": "icmp", "ports": "0", "sources": ANYWHERE}]}
    api.ok("POST", f"{where}/rules", extra)
    assert Peers("icmp", None, _net("0.0.0.0/0")) in (room.rules_of(public).inbound or ())
    api.ok("DELETE", f"{where}/rules", extra)
    assert room.rules_of(public).inbound == (Peers("tcp", (22, 22), _net("198.51.100.10")),)
    api.ok("DELETE", f"{where}/droplets", {"droplet_ids": [droplet["id"]]})
    assert room.rules_of(public).inbound is None
    api.ok("POST", f"{where}/droplets", {"droplet_ids": [droplet["id"]]})
    assert room.rules_of(public).inbound is not None
    api.ok("DELETE", where)
    assert room.rules_of(public).inbound is None


def test_a_firewall_says_when_its_rules_are_not_in_force(api: Api, room: RecordingRoom) -> None:
    room.failing.add("apply_network")
    firewall = _firewall(api)
    assert api.ok("GET", f"/v2/firewalls/{firewall['id']}")["firewall"]["status"] == "failed"
    room.failing.clear()
    api.tag("x")
    api.ok("POST", f"/v2/firewalls/{firewall['id']}/tags", {"tags": ["x"]})
    assert api.ok("GET", f"/v2/firewalls/{firewall['id']}")["firewall"]["status"] == "succeeded"


def test_what_was_asked_for_is_what_is_shown(api: Api) -> None:
    """The provider compares: a rule that comes back otherwise is a change in every plan."""
    firewall = _firewall(api, inbound_rules=[SSH, {"protocol": "icmp", "ports": "0", "sources": ANYWHERE}])
    shown = api.ok("GET", f"/v2/firewalls/{firewall['id']}")["firewall"]
    assert shown["inbound_rules"] == [SSH, {"protocol": "icmp", "ports": "0", "sources": ANYWHERE}]
    assert shown["outbound_rules"] == [{**OUT, "ports": "0"}]


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"inbound_rules": [], "outbound_rules": []}, 422, "at least one rule"),
        ({"inbound_rules": [{**SSH, "ports": "70000"}]}, 422, "ports '70000'"),
        ({"inbound_rules": [{**SSH, "ports": "90-80"}]}, 422, "ports '90-80'"),
        ({"inbound_rules": [{**SSH, "protocol": "sctp"}]}, 422, "protocol must be one of"),
        ({"inbound_rules": [{**SSH, "sources": {"addresses": ["nowhere"]}}]}, 422, "neither an IP address"),
        ({"inbound_rules": [{**SSH, "sources": {}}]}, 422, "must have sources"),
        ({"inbound_rules": [{**SSH, "sources": {"addresses": ["10.0.0.1"] * 1001}}]}, 422, "at most 1000 sources"),
        ({"inbound_rules": [{**SSH, "sources": {"tags": ["none"]}}]}, 422, "could not find tag"),
        ({"tags": ["none"]}, 422, "could not find tag"),
        ({"droplet_ids": [1]}, 422, "could not find droplet 1"),
        ({"name": "-"}, 422, "name must start"),
        ({"name": "taken"}, 409, "duplicate name"),
    ],
)
def test_a_wrong_firewall_is_refused(api: Api, change: dict[str, Any], status: int, message: str) -> None:
    _firewall(api, name="taken")
    body = {"name": "fw", "inbound_rules": [SSH], "outbound_rules": [OUT], **change}
    assert message in api.refused(status, "POST", "/v2/firewalls", body)
    assert len(api.ok("GET", "/v2/firewalls")["firewalls"]) == 1


def test_a_database_is_open_until_it_has_a_trusted_source(api: Api, room: RecordingRoom) -> None:
    api.tag("k3s_server")
    database = api.database()
    public = str(room.databases[database["id"]].public_ip)
    assert room.rules_of(public).inbound == (Peers("tcp", (25060, 25060), _net("0.0.0.0/0")),)
    where = f"/v2/databases/{database['id']}/firewall"
    api.ok("PUT", where, {"rules": [{"type": "tag", "value": "k3s_server"}]})
    assert room.rules_of(public).inbound == ()
    droplet = api.droplet(tags=["k3s_server"])
    (rule,) = room.rules_of(public).inbound or ()
    assert set(rule.networks) == set(_net(address_of(droplet, "public"), address_of(droplet, "private")))
    api.ok("PUT", where, {"rules": [{"type": "ip_addr", "value": "198.51.100.10"}]})
    assert room.rules_of(public).inbound == (Peers("tcp", (25060, 25060), _net("198.51.100.10")),)
    api.ok("PUT", where, {"rules": []})
    assert room.rules_of(public).inbound == (Peers("tcp", (25060, 25060), _net("0.0.0.0/0")),)


def test_a_load_balancer_is_open_at_its_entry_ports_only(api: Api, room: RecordingRoom) -> None:
    balancer = api.load_balancer()
    public = balancer["ip"]
    assert room.rules_of(public).inbound == (Peers("tcp", (6443, 6443), _net("0.0.0.0/0")),)
    body = {
        key: balancer[key] for key in ("name", "size_unit", "tag", "forwarding_rules", "health_check", "vpc_uuid")
    } | {"region": "fra1", "firewall": {"allow": ["cidr:198.51.100.0/24"], "deny": ["ip:198.51.100.66"]}}
    api.ok("PUT", f"/v2/load_balancers/{balancer['id']}", body)
    (rule,) = room.rules_of(public).inbound or ()
    assert any(IPv4Address("198.51.100.10") in network for network in rule.networks)
    for refused in ("198.51.100.66", "192.0.2.7"):
        assert not any(IPv4Address(refused) in network for network in rule.networks)


def test_ports() -> None:
    assert [port_range(each) for each in ("22", "8000-9000", "0", "all", "")] == [
        (22, 22),
        (8000, 9000),
        None,
        None,
        None,
    ]
    for wrong in ("x", "0-1", "1-65536", "9-8"):
        with pytest.raises(ValueError, match=r"."):
            port_range(wrong)


def test_taking_networks_away() -> None:
    assert without(_net("10.0.0.0/30"), _net("10.0.0.1")) == _net("10.0.0.0/32", "10.0.0.2/31")
    assert without(_net("10.0.0.0/30"), _net("10.0.0.0/8")) == ()
    assert without(_net("10.0.0.0/30"), _net("11.0.0.0/8")) == _net("10.0.0.0/30")
