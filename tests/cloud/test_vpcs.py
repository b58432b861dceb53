"""VPCs and the addresses in them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from local_cloud.api.addressing import NoAddressLeft, free_address, free_range
from tests.cloud.api_client import Api, RecordingRoom


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ip_range": "10.10.10.0/15"}, "valid CIDR"),
        ({"ip_range": "10.10.0.0/15"}, "smaller than /28 nor larger than /16"),
        ({"ip_range": "10.10.10.0/29"}, "smaller than /28 nor larger than /16"),
        ({"ip_range": "8.8.8.0/24"}, "must be in 10.0.0.0/8"),
        ({"ip_range": "10.245.1.0/24"}, "reserved"),
        ({"ip_range": "nonsense"}, "valid CIDR"),
        ({"name": "under_score"}, "alphanumeric"),
        ({"region": "mars1"}, "does not exist"),
        ({"description": "x" * 256}, "too long"),
    ],
)
def test_a_wrong_vpc_is_refused(api: Api, change: dict[str, str], message: str) -> None:
    body = {"name": "vpc", "region": "fra1", "ip_range": "10.10.10.0/24", **change}
    assert message in api.refused(422, "POST", "/v2/vpcs", body)
    assert made(api) == []


def made(api: Api) -> list[str]:
    """The VPCs that the account has besides the default ones of the regions that it has used."""
    return [vpc["name"] for vpc in api.ok("GET", "/v2/vpcs")["vpcs"] if not vpc["name"].startswith("default-")]


def test_the_first_vpc_of_a_region_is_its_default_and_stays(api: Api) -> None:
    """github.com/digitalocean/godo/issues/337"""
    first, second = (api.vpc(name=name, region="tor1", ip_range=None) for name in ("first", "second"))
    assert [first["default"], second["default"]] == [True, False]
    assert "default" in api.refused(403, "DELETE", f"/v2/vpcs/{first['id']}")
    api.ok("DELETE", f"/v2/vpcs/{second['id']}")
    assert api.vpc()["default"] is False


def test_names_and_ranges_are_used_once(api: Api) -> None:
    api.vpc()
    body = {"name": "k3s-vpc-01", "region": "fra1", "ip_range": "10.11.0.0/24"}
    assert "same name" in api.refused(422, "POST", "/v2/vpcs", body)
    body = {"name": "other", "region": "nyc3", "ip_range": "10.10.0.0/16"}
    assert "overlaps" in api.refused(422, "POST", "/v2/vpcs", body)


def test_a_range_is_found_where_none_is_given(api: Api) -> None:
    ranges = [IPv4Network(api.vpc(name=f"vpc-{number}", ip_range=None)["ip_range"]) for number in range(3)]
    assert all(each.prefixlen == 20 for each in ranges)
    assert not any(a.overlaps(b) for a in ranges for b in ranges if a is not b)


def test_a_vpc_with_members_stays(api: Api, room: RecordingRoom) -> None:
    vpc = api.vpc()
    droplet = api.droplet(vpc_uuid=vpc["id"])
    members = api.ok("GET", f"/v2/vpcs/{vpc['id']}/members?resource_type=droplet")["members"]
    assert [each["urn"] for each in members] == [f"do:droplet:{droplet['id']}"]
    assert "members" in api.refused(409, "DELETE", f"/v2/vpcs/{vpc['id']}")
    api.ok("DELETE", f"/v2/droplets/{droplet['id']}")
    api.ok("DELETE", f"/v2/vpcs/{vpc['id']}")
    assert IPv4Network(vpc["ip_range"]) not in room.rules.vpcs
    api.vpc()


def test_a_vpc_stays_until_its_last_machine_is_really_gone(api: Api, room: RecordingRoom) -> None:
    vpc = api.vpc()
    droplet = api.droplet(vpc_uuid=vpc["id"])
    room.failing.add("destroy_droplet")
    api.ok("DELETE", f"/v2/droplets/{droplet['id']}")
    assert "members" in api.refused(409, "DELETE", f"/v2/vpcs/{vpc['id']}")


def test_a_default_vpc_can_not_be_deleted(api: Api) -> None:
    droplet = api.droplet()
    api.ok("DELETE", f"/v2/droplets/{droplet['id']}")
    assert "default" in api.refused(403, "DELETE", f"/v2/vpcs/{droplet['vpc_uuid']}")


def test_another_vpc_can_become_the_default(api: Api) -> None:
    former = api.droplet()["vpc_uuid"]
    vpc = api.vpc()
    api.ok("PATCH", f"/v2/vpcs/{vpc['id']}", {"default": True})
    assert api.ok("GET", f"/v2/vpcs/{former}")["vpc"]["default"] is False
    assert api.droplet("second")["vpc_uuid"] == vpc["id"]


def test_put_empties_what_patch_leaves(api: Api) -> None:
    where = f"/v2/vpcs/{api.vpc(description='text')['id']}"
    assert api.ok("PATCH", where, {"name": "renamed"})["vpc"]["description"] == "text"
    assert api.ok("PUT", where, {"name": "renamed"})["vpc"]["description"] == ""


def test_the_lowest_free_address_that_has_cooled_is_given() -> None:
    network = IPv4Network("10.0.0.0/29")
    address = [IPv4Address(f"10.0.0.{number}") for number in range(8)]
    assert free_address(network, set(), {}, 0) == address[2]
    assert free_address(network, {address[2]}, {address[3]: 900.0}, 1000.0) == address[4]
    assert free_address(network, {address[2]}, {address[3]: 100.0}, 1000.0) == address[3]
    most = set(address[4:7])
    assert free_address(network, most, {address[2]: 990.0, address[3]: 980.0}, 1000.0) == address[3]
    with pytest.raises(NoAddressLeft):
        free_address(network, set(address[2:]), {}, 0)


def test_a_full_vpc_says_so(api: Api) -> None:
    vpc = api.vpc(ip_range="10.10.10.0/28")
    for number in range(13):
        api.droplet(f"node-{number}", vpc_uuid=vpc["id"])
    body = {"name": "one-more", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}
    assert "in use" in api.refused(422, "POST", "/v2/droplets", {**body, "vpc_uuid": vpc["id"]})
    assert len(api.ok("GET", "/v2/droplets")["droplets"]) == 13


def test_a_generated_range_avoids_the_taken_ones() -> None:
    assert str(free_range([IPv4Network("10.104.0.0/19")])) == "10.104.32.0/20"
