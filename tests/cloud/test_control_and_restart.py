"""The control API, and what survives a restart."""

from __future__ import annotations

import json
import stat
import threading
import time
from pathlib import Path

import pytest

from local_cloud.api.app import create_app, resume, shut_down
from local_cloud.api.control import KEY_HEADER
from local_cloud.api.durations import Durations
from local_cloud.api.store import Store
from tests.cloud.api_client import Api, RecordingRoom, address_of
from tests.cloud.openapi import Conformance

DROPLET = {"name": "n", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}


def test_the_control_api_needs_its_own_key(api: Api) -> None:
    for headers in ({}, {KEY_HEADER: "wrong"}, {"Authorization": "Bearer dop_v1_" + "5" * 64}):
        assert api.call("GET", "/_local/state", headers=headers).status_code == 401
    assert api.control("GET", "/state")["droplets"] == {"count": 0, "names": []}


def test_state_names_what_there_is(api: Api) -> None:
    api.droplet(tags=["t"])
    state = api.control("GET", "/state")
    assert state["droplets"] == {"count": 1, "names": ["node-1"]}
    assert (state["tags"]["names"], state["vpcs"]["names"], state["projects"]["count"]) == (["t"], [], 0)


def test_a_fault_strikes_as_often_as_it_was_told(api: Api) -> None:
    api.control("POST", "/faults", {"method": "POST", "path": "/v2/tags", "status": 503, "times": 2})
    assert api.call("GET", "/v2/tags").status_code == 200
    assert [api.call("POST", "/v2/tags", {"name": "a"}).status_code for _ in range(3)] == [503, 503, 201]


def test_a_fault_may_lose_the_answer_of_a_call_that_took_effect(api: Api) -> None:
    api.control("POST", "/faults", {"method": "POST", "path": "/v2/tags", "status": 502, "when": "after"})
    assert api.call("POST", "/v2/tags", {"name": "a"}).status_code == 502
    assert api.control("GET", "/state")["tags"]["names"] == ["a"]


def test_a_rate_limit_fault_says_when_to_come_back(api: Api) -> None:
    api.control("POST", "/faults", {"status": 429})
    refused = api.call("GET", "/v2/account")
    assert (refused.status_code, refused.get_json()["id"]) == (429, "too_many_requests")
    assert int(refused.headers["retry-after"]) >= 1


def test_a_hang_ends_when_faults_are_lifted(api: Api) -> None:
    api.control("POST", "/faults", {"path": "/v2/account", "hang_seconds": 60})
    statuses: list[int] = []
    caller = threading.Thread(target=lambda: statuses.append(api.call("GET", "/v2/account").status_code))
    caller.start()
    caller.join(0.2)
    assert caller.is_alive()
    assert api.call("GET", "/v2/tags").status_code == 200
    api.control("DELETE", "/faults")
    caller.join(5)
    assert statuses == [504]


def test_wrong_faults_and_durations_are_refused(api: Api) -> None:
    for path, body in (
        ("/faults", {"path": "("}),
        ("/faults", {"times": 0}),
        ("/durations", {"droplets": 1}),
        ("/durations", {"profile": "slow"}),
        ("/recording", {"path": "relative"}),
    ):
        method = "POST" if path == "/faults" else "PUT"
        response = api.call(method, f"/_local{path}", body, headers={KEY_HEADER: "control-key"})
        assert response.status_code == 422, path


def test_durations_can_be_set_while_it_runs(api: Api) -> None:
    assert api.control("PUT", "/durations", {"profile": "realistic"})["durations"]["database"] == 240
    api.control("PUT", "/durations", {"profile": "fast", "droplet": 0.3})
    began = time.monotonic()
    api.droplet()
    assert 0.3 <= time.monotonic() - began < 5


def test_the_log_of_calls_shows_whether_anything_was_written(api: Api, store: Store) -> None:
    api.tag("a")
    assert [call["method"] for call in api.control("GET", "/requests")["requests"]] == ["POST"]
    api.control("DELETE", "/requests")
    api.ok("GET", "/v2/tags?page=1")
    (call,) = api.control("GET", "/requests")["requests"]
    assert (call["method"], call["path"], call["query"], call["status"]) == ("GET", "/v2/tags", {"page": "1"}, 200)
    (line,) = store.path.with_name("requests.jsonl").read_text().splitlines()
    assert json.loads(line) == call


def test_a_recording_holds_whole_exchanges_that_conform(
    api: Api, tmp_path: Path, conformance: Conformance, store: Store
) -> None:
    file = tmp_path / "recording.jsonl"
    api.control("PUT", "/recording", {"path": str(file)})
    database = api.database()
    api.ok("DELETE", f"/v2/databases/{database['id']}")
    api.control("DELETE", "/recording")
    api.ok("GET", "/v2/tags")
    exchanges = [json.loads(line) for line in file.read_text().splitlines()]
    assert [each["method"] for each in exchanges] == ["POST", "GET", "DELETE"]
    assert exchanges[1]["response_body"]["database"]["connection"]["password"].startswith("AVNS_")
    assert [conformance.problems_of(each) for each in exchanges] == [[], [], []]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "AVNS_" not in store.path.with_name("requests.jsonl").read_text()


def _restarted(path: Path, room: RecordingRoom, checker: Conformance | None) -> Api:
    api = Api(create_app(Store(path), room, Durations.fast()), checker)
    resume(api.app)
    return api


def test_everything_is_there_after_a_restart(tmp_path: Path, store: Store, checker: Conformance | None) -> None:
    before = Api(create_app(store, RecordingRoom(), Durations.fast()), checker)
    vpc = before.vpc()
    droplet = before.droplet(vpc_uuid=vpc["id"], tags=["k3s_server"], ssh_keys=[before.key()])
    off = before.droplet("off", vpc_uuid=vpc["id"])
    before.ok("POST", f"/v2/droplets/{off['id']}/actions", {"type": "power_off"})
    database, balancer = before.database(private_network_uuid=vpc["id"]), before.load_balancer(vpc_uuid=vpc["id"])
    before.ok("POST", f"/v2/databases/{database['id']}/users", {"name": "u"})
    rule = {"protocol": "tcp", "ports": "22", "sources": {"tags": ["k3s_server"]}}
    before.ok("POST", "/v2/firewalls", {"name": "fw", "tags": ["k3s_server"], "inbound_rules": [rule]})
    before.settle()
    addresses = ("droplets", "databases", "load_balancers", "firewalls", "tags", "vpcs", "projects", "account/keys")
    wanted = {address: before.ok("GET", f"/v2/{address}") for address in addresses}
    shut_down(before.app)

    room = RecordingRoom()
    after = _restarted(tmp_path / "cloud.db", room, checker)
    after.settle()
    assert {address: after.ok("GET", f"/v2/{address}") for address in addresses} == wanted
    assert (room.droplet_is_on(droplet["id"]), room.droplet_is_on(off["id"])) == (True, False)
    assert [user.name for user in room.databases[database["id"]].users] == ["doadmin", "u"]
    assert len(room.balancers[balancer["id"]].targets) == 1
    assert len(room.rules.hosts) == 4
    assert after.droplet("next")["id"] > off["id"]
    shut_down(after.app)


@pytest.mark.parametrize("work", ["create", "destroy", "power_off"])
def test_interrupted_work_is_finished_after_a_restart(
    tmp_path: Path, store: Store, checker: Conformance | None, work: str
) -> None:
    durations = Durations(droplet=60 if work == "create" else 0, droplet_action=60)
    room = RecordingRoom()
    before = Api(create_app(store, room, durations), checker)
    droplet = before.ok("POST", "/v2/droplets", DROPLET)["droplet"] if work == "create" else before.droplet()
    where = f"/v2/droplets/{droplet['id']}"
    if work == "power_off":
        before.ok("POST", f"{where}/actions", {"type": "power_off"})
    if work == "destroy":
        room.failing.add("destroy_droplet")
        before.ok("DELETE", where)
        assert before.control("GET", "/state")["departing"]["names"] == [f"droplet:{droplet['id']}"]
    shut_down(before.app)

    room.failing.clear()
    after = _restarted(tmp_path / "cloud.db", room, checker)
    after.settle()
    if work == "destroy":
        assert after.control("GET", "/state")["departing"]["count"] == 0
        assert not room.droplet_is_on(droplet["id"])
    else:
        shown = after.ok("GET", where)["droplet"]
        assert (shown["status"], shown["locked"]) == ("active" if work == "create" else "off", False)
    assert all(action["status"] == "completed" for action in after.ok("GET", "/v2/actions")["actions"])
    shut_down(after.app)


def test_a_droplet_is_found_by_its_public_address(api: Api, store: Store) -> None:
    droplet = api.droplet()
    found = store.droplet_by_public_ip(address_of(droplet, "public"))
    assert found is not None
    assert found.id == droplet["id"]
    assert store.droplet_by_public_ip("203.0.113.250") is None


def test_many_callers_at_once_get_each_their_own(api: Api) -> None:
    api.control("PUT", "/rate-limit", {"per_minute": 1000})
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            api.ok("POST", "/v2/droplets", {**DROPLET, "name": name})
            api.ok("GET", "/v2/droplets")
        except BaseException as error:
            errors.append(error)

    callers = [threading.Thread(target=work, args=(f"n{number}",)) for number in range(12)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not errors
    api.settle()
    droplets = api.ok("GET", "/v2/droplets")["droplets"]
    assert len({address_of(each, "public") for each in droplets}) == 12
    assert {each["status"] for each in droplets} == {"active"}
