"""Reserved addresses: they lead to a droplet, to the next one, or nowhere."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from local_cloud import addresses
from tests.cloud.api_client import Api, RecordingRoom


def reserve(api: Api, **body: Any) -> dict[str, Any]:
    reserved: dict[str, Any] = api.ok("POST", "/v2/reserved_ips", body)["reserved_ip"]
    return reserved


def lead(api: Api, address: str, **body: Any) -> None:
    action = api.ok("POST", f"/v2/reserved_ips/{address}/actions", body)["action"]
    api.settle()
    there = api.ok("GET", f"/v2/reserved_ips/{address}/actions/{action['id']}")["action"]
    assert (there["status"], there["resource_type"]) == ("completed", "reserved_ip")
    assert api.ok("GET", f"/v2/actions/{action['id']}")["action"] == there


def pairs(room: RecordingRoom) -> dict[str, str]:
    return {str(address): str(droplet) for address, droplet in room.rules.reserved}


def public(droplet: dict[str, Any]) -> str:
    return next(each["ip_address"] for each in droplet["networks"]["v4"] if each["type"] == "public")


def test_an_address_is_of_a_region_until_it_is_given_back(api: Api, room: RecordingRoom) -> None:
    reserved = reserve(api, region="fra1")
    assert IPv4Address(reserved["ip"]) in addresses.RESERVED
    assert (reserved["region"]["slug"], reserved["droplet"], reserved["locked"]) == ("fra1", None, False)
    assert [each["ip"] for each in api.ok("GET", "/v2/reserved_ips")["reserved_ips"]] == [reserved["ip"]]
    assert pairs(room) == {}
    assert reserve(api, region="fra1")["ip"] != reserved["ip"]
    api.ok("DELETE", f"/v2/reserved_ips/{reserved['ip']}")
    api.refused(404, "GET", f"/v2/reserved_ips/{reserved['ip']}")


def test_it_leads_to_a_droplet_then_to_another_then_nowhere(api: Api, room: RecordingRoom) -> None:
    first, second = api.droplet(name="a"), api.droplet(name="b")
    api.settle()
    first, second = (api.ok("GET", f"/v2/droplets/{each['id']}")["droplet"] for each in (first, second))
    address = reserve(api, region=first["region"]["slug"])["ip"]
    lead(api, address, type="assign", droplet_id=first["id"])
    assert pairs(room) == {address: public(first)}
    assert api.ok("GET", f"/v2/reserved_ips/{address}")["reserved_ip"]["droplet"]["id"] == first["id"]
    lead(api, address, type="assign", droplet_id=second["id"])
    assert pairs(room) == {address: public(second)}
    lead(api, address, type="unassign")
    assert pairs(room) == {}
    api.refused(422, "POST", f"/v2/reserved_ips/{address}/actions", {"type": "unassign"})


def test_it_outlives_its_droplet(api: Api, room: RecordingRoom) -> None:
    droplet = api.droplet()
    api.settle()
    address = reserve(api, droplet_id=droplet["id"])["ip"]
    api.settle()
    assert list(pairs(room)) == [address]
    api.ok("DELETE", f"/v2/droplets/{droplet['id']}")
    api.settle()
    assert pairs(room) == {}
    assert api.ok("GET", f"/v2/reserved_ips/{address}")["reserved_ip"]["droplet"] is None


def test_what_is_refused(api: Api) -> None:
    droplet = api.droplet()
    api.settle()
    region = droplet["region"]["slug"]
    elsewhere = "nyc3" if region != "nyc3" else "fra1"
    api.refused(422, "POST", "/v2/reserved_ips", {})
    api.refused(422, "POST", "/v2/reserved_ips", {"region": region, "droplet_id": droplet["id"]})
    api.refused(422, "POST", "/v2/reserved_ips", {"region": "moon1"})
    far = reserve(api, region=elsewhere)["ip"]
    api.refused(422, "POST", f"/v2/reserved_ips/{far}/actions", {"type": "assign", "droplet_id": droplet["id"]})
    lead(api, reserve(api, region=region)["ip"], type="assign", droplet_id=droplet["id"])
    second = reserve(api, region=region)["ip"]
    api.refused(422, "POST", f"/v2/reserved_ips/{second}/actions", {"type": "assign", "droplet_id": droplet["id"]})
