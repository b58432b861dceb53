"""Droplets and what can be done to them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from local_cloud.machine_room import DropletSpec
from tests.cloud.api_client import KEY, Api, RecordingRoom, address_of

REQUEST = {"name": "node-1", "region": "fra1", "size": "s-2vcpu-4gb", "image": "ubuntu-24-04-x64"}


def test_a_droplet_becomes_active_once_its_machine_is_there(api: Api, room: RecordingRoom) -> None:
    room.gates["start_droplet"] = threading.Event()
    made = api.ok("POST", "/v2/droplets", REQUEST)
    droplet, action = made["droplet"], made["links"]["actions"][0]
    assert (droplet["status"], droplet["locked"], droplet["networks"]["v4"]) == ("new", True, [])
    assert api.ok("GET", f"/v2/actions/{action['id']}")["action"]["status"] == "in-progress"
    room.gates["start_droplet"].set()
    api.settle()
    droplet = api.ok("GET", f"/v2/droplets/{droplet['id']}")["droplet"]
    assert (droplet["status"], droplet["locked"]) == ("active", False)
    assert (droplet["memory"], droplet["vcpus"], droplet["disk"]) == (4096, 2, 80)
    assert api.ok("GET", f"/v2/actions/{action['id']}")["action"]["status"] == "completed"


def test_the_machine_is_what_was_asked_for(api: Api, room: RecordingRoom) -> None:
    vpc, key = api.vpc(), api.key()
    droplet = api.droplet(vpc_uuid=vpc["id"], ssh_keys=[key], user_data="#cloud-config\n", tags=["k3s_server"])
    spec = next(subject for call, subject in room.calls if call == "start_droplet")
    assert isinstance(spec, DropletSpec)
    assert (spec.id, spec.name, spec.user_data, spec.ssh_public_keys) == (
        droplet["id"],
        "node-1",
        "#cloud-config\n",
        (KEY,),
    )
    assert str(spec.private_ip) == address_of(droplet, "private") == "10.10.10.2"
    assert str(spec.public_ip) == address_of(droplet, "public")
    assert (str(spec.vpc_range), spec.memory_mib, spec.tags) == ("10.10.10.0/24", 4096, ("k3s_server",))


def test_rules_are_in_force_before_the_machine_starts(api: Api, room: RecordingRoom) -> None:
    droplet = api.droplet()
    calls = [call for call, _ in room.calls]
    assert calls.index("apply_network") < calls.index("start_droplet")
    assert room.rules_of(address_of(droplet, "public"))


@pytest.mark.parametrize("broken", ["start_droplet", "await_droplet"])
def test_a_machine_that_does_not_boot_leaves_an_errored_action_and_is_off(
    api: Api, room: RecordingRoom, broken: str
) -> None:
    room.failing.add(broken)
    made = api.ok("POST", "/v2/droplets", REQUEST)
    api.settle()
    action = api.ok("GET", f"/v2/actions/{made['links']['actions'][0]['id']}")["action"]
    assert action["status"] == "errored"
    room.power_off_droplet(made["droplet"]["id"])
    droplet = api.ok("GET", f"/v2/droplets/{made['droplet']['id']}")["droplet"]
    assert (droplet["status"], droplet["locked"]) == ("off", False)


def test_a_droplet_is_new_until_its_machine_has_booted(api: Api, room: RecordingRoom) -> None:
    room.gates["await_droplet"] = threading.Event()
    droplet = api.ok("POST", "/v2/droplets", REQUEST)["droplet"]
    assert api.ok("GET", f"/v2/droplets/{droplet['id']}")["droplet"]["status"] == "new"
    room.gates["await_droplet"].set()
    api.settle()
    assert api.ok("GET", f"/v2/droplets/{droplet['id']}")["droplet"]["status"] == "active"


def test_a_droplet_that_boots_can_be_destroyed_meanwhile(
    api: Api, room: RecordingRoom, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    destroyed = threading.Event()
    monkeypatch.setattr(room, "destroy_droplet", lambda droplet_id: destroyed.set())
    room.gates["await_droplet"] = threading.Event()
    room.failing.add("await_droplet")
    droplet = api.ok("POST", "/v2/droplets", REQUEST)["droplet"]
    api.ok("DELETE", f"/v2/droplets/{droplet['id']}")
    assert destroyed.wait(5)
    room.gates["await_droplet"].set()
    api.settle()
    assert "failed" not in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": "s-2vcpu-4tb"}, "invalid size"),
        ({"size": "4gb"}, "invalid size"),
        ({"image": "ubuntu-20-04-x64"}, "invalid image"),
        ({"image": "windows"}, "invalid image"),
        ({"image": 7}, "invalid image"),
        ({"region": "mars1"}, "invalid region"),
        ({"region": "sfo1"}, "invalid region"),
        ({"name": "no_underscore"}, "Only valid hostname characters"),
        ({"name": ""}, "name can't be blank"),
        ({"ssh_keys": [4711]}, "4711 are invalid key identifiers"),
        ({"tags": ["no spaces"]}, "Tag 'no spaces' is invalid"),
        ({"vpc_uuid": "11111111-1111-4111-8111-111111111111"}, "does not exist"),
        ({"user_data": "x" * 65537}, "User data is too long"),
        ({"ipv6": True}, "IPv4 network only"),
        ({"backups": True}, "no backups"),
        ({"volumes": ["v"]}, "no volumes"),
        ({"monitoring": "yes"}, "monitoring must be true or false"),
    ],
)
def test_a_wrong_request_makes_nothing(api: Api, room: RecordingRoom, change: dict[str, Any], message: str) -> None:
    assert message in api.refused(422, "POST", "/v2/droplets", {**REQUEST, **change})
    api.settle()
    assert api.ok("GET", "/v2/droplets")["droplets"] == []
    assert room.count("start_droplet") == 0


def test_a_droplet_must_be_in_its_vpcs_region(api: Api) -> None:
    vpc = api.vpc(region="nyc3")
    assert "same region" in api.refused(422, "POST", "/v2/droplets", {**REQUEST, "vpc_uuid": vpc["id"]})


def test_several_at_once_share_nothing_but_the_request(api: Api) -> None:
    body = {**REQUEST, "names": ["a", "b", "c"]}
    del body["name"]
    assert len(api.ok("POST", "/v2/droplets", body)["links"]["actions"]) == 3
    api.settle()
    droplets = api.ok("GET", "/v2/droplets")["droplets"]
    assert len({address_of(each, "public") for each in droplets}) == 3
    assert len({address_of(each, "private") for each in droplets}) == 3
    assert len({each["vpc_uuid"] for each in droplets}) == 1


def test_without_a_vpc_it_goes_to_the_regions_default_one(api: Api) -> None:
    droplet = api.droplet()
    vpc = api.ok("GET", f"/v2/vpcs/{droplet['vpc_uuid']}")["vpc"]
    assert (vpc["default"], vpc["region"]) == (True, "fra1")
    assert vpc["ip_range"].startswith("10.")


def test_filters(api: Api) -> None:
    first, second = api.droplet("a", tags=["x"]), api.droplet("b")
    assert [each["id"] for each in api.ok("GET", "/v2/droplets?tag_name=x")["droplets"]] == [first["id"]]
    assert [each["id"] for each in api.ok("GET", "/v2/droplets?name=b")["droplets"]] == [second["id"]]


def test_a_destroyed_droplet_is_gone_from_everything_that_named_it(api: Api, room: RecordingRoom) -> None:
    droplet = api.droplet(tags=["x"])
    number, rules = droplet["id"], [{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0"]}}]
    firewall = {"name": "fw", "droplet_ids": [number], "inbound_rules": rules}
    made = api.ok("POST", "/v2/firewalls", firewall)["firewall"]
    balancer = api.load_balancer(droplet_ids=[number])
    database = api.database(rules=[{"type": "droplet", "value": str(number)}])
    api.ok("DELETE", f"/v2/droplets/{number}")
    assert room.count("destroy_droplet") == 1
    assert api.ok("GET", f"/v2/firewalls/{made['id']}")["firewall"]["droplet_ids"] == []
    assert api.ok("GET", f"/v2/load_balancers/{balancer['id']}")["load_balancer"]["droplet_ids"] == []
    assert api.ok("GET", f"/v2/databases/{database['id']}/firewall")["rules"] == []
    assert api.ok("GET", "/v2/tags/x")["tag"]["resources"]["droplets"]["count"] == 0
    resources = api.ok("GET", "/v2/projects/default/resources")["resources"]
    assert f"do:droplet:{number}" not in [each["urn"] for each in resources]
    api.settle()
    assert not room.balancers[balancer["id"]].targets
    assert address_of(droplet, "public") not in [str(host.public_ip) for host in room.rules.hosts]


def test_an_address_is_not_given_again_at_once(api: Api) -> None:
    first = api.droplet("a")
    api.ok("DELETE", f"/v2/droplets/{first['id']}")
    second = api.droplet("b")
    for kind in ("public", "private"):
        assert address_of(first, kind) != address_of(second, kind)
    assert first["id"] != second["id"]


def test_deleting_by_tag_takes_only_those(api: Api) -> None:
    api.droplet("a", tags=["x"])
    kept = api.droplet("b", tags=["y"])
    api.ok("DELETE", "/v2/droplets?tag_name=x")
    assert [each["id"] for each in api.ok("GET", "/v2/droplets")["droplets"]] == [kept["id"]]
    api.refused(422, "DELETE", "/v2/droplets")


def _act(api: Api, droplet: Any, **action: Any) -> Any:
    made = api.ok("POST", f"/v2/droplets/{droplet['id']}/actions", action)["action"]
    api.settle()
    done = api.ok("GET", f"/v2/droplets/{droplet['id']}/actions/{made['id']}")["action"]
    assert done["status"] == "completed"
    return api.ok("GET", f"/v2/droplets/{droplet['id']}")["droplet"]


def test_off_resize_and_on_as_the_provider_does_it(api: Api, room: RecordingRoom) -> None:
    droplet = api.droplet(size="s-1vcpu-1gb")
    where = f"/v2/droplets/{droplet['id']}/actions"
    grow = {"type": "resize", "size": "s-2vcpu-4gb", "disk": True}
    assert "powered off" in api.refused(422, "POST", where, grow)
    assert _act(api, droplet, type="power_off")["status"] == "off"
    assert "Droplet is already powered off" in api.refused(422, "POST", where, {"type": "power_off"})
    resized = _act(api, droplet, **grow)
    assert (resized["status"], resized["size_slug"], resized["disk"], resized["memory"]) == (
        "off",
        "s-2vcpu-4gb",
        80,
        4096,
    )
    assert "shrink" in api.refused(422, "POST", where, {"type": "resize", "size": "s-1vcpu-1gb"})
    assert _act(api, droplet, type="power_on")["status"] == "active"
    spec = [subject for call, subject in room.calls if call == "start_droplet"][-1]
    assert isinstance(spec, DropletSpec)
    assert spec.memory_mib == 4096


def test_resize_without_disk_leaves_the_disk(api: Api) -> None:
    droplet = api.droplet(size="s-1vcpu-1gb")
    _act(api, droplet, type="power_off")
    assert _act(api, droplet, type="resize", size="s-2vcpu-4gb", disk=False)["disk"] == 25


def test_rename_reboot_and_power_cycle_leave_it_on(api: Api, room: RecordingRoom) -> None:
    droplet = api.droplet()
    assert _act(api, droplet, type="rename", name="other")["name"] == "other"
    assert _act(api, droplet, type="reboot")["status"] == "active"
    assert _act(api, droplet, type="power_cycle")["status"] == "active"
    assert (room.count("reboot_droplet"), room.count("power_off_droplet")) == (1, 1)


def test_one_action_at_a_time(api: Api, room: RecordingRoom) -> None:
    droplet = api.droplet()
    where = f"/v2/droplets/{droplet['id']}/actions"
    room.gates["reboot_droplet"] = threading.Event()
    api.ok("POST", where, {"type": "reboot"})
    assert "pending event" in api.refused(422, "POST", where, {"type": "power_off"})
    room.gates["reboot_droplet"].set()
    api.settle()
    api.ok("POST", where, {"type": "power_off"})


def test_a_machine_that_died_shows_as_off_and_can_be_powered_on(api: Api, room: RecordingRoom) -> None:
    droplet = api.droplet()
    room.power_off_droplet(droplet["id"])
    assert api.ok("GET", f"/v2/droplets/{droplet['id']}")["droplet"]["status"] == "off"
    assert _act(api, droplet, type="power_on")["status"] == "active"


@pytest.mark.parametrize("kind", ["snapshot", "enable_ipv6", "enable_backups", "rebuild", "password_reset"])
def test_what_this_cloud_can_not_do_is_refused(api: Api, kind: str) -> None:
    droplet = api.droplet()
    message = api.refused(422, "POST", f"/v2/droplets/{droplet['id']}/actions", {"type": kind})
    assert "local cloud" in message


def test_a_droplet_destroyed_while_it_is_made_leaves_no_machine(api: Api, room: RecordingRoom) -> None:
    room.gates["start_droplet"] = threading.Event()
    made = api.ok("POST", "/v2/droplets", REQUEST)["droplet"]
    threading.Timer(0.1, room.gates["start_droplet"].set).start()
    api.ok("DELETE", f"/v2/droplets/{made['id']}")
    api.settle()
    assert not room.droplet_is_on(made["id"])
    api.refused(404, "GET", f"/v2/droplets/{made['id']}")
