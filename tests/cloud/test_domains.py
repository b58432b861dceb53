"""Domains, and the names in them that the cloud's resolver answers for."""

from __future__ import annotations

from tests.cloud.api_client import Api, RecordingRoom


def names(room: RecordingRoom) -> dict[str, str]:
    return {name: str(address) for name, address in room.domains.items()}


def test_a_record_is_answered_for_while_it_is_there(api: Api, room: RecordingRoom) -> None:
    assert api.ok("POST", "/v2/domains", {"name": "example.com"})["domain"]["name"] == "example.com"
    records = "/v2/domains/example.com/records"
    asked = {"type": "A", "name": "k3s", "data": "192.0.2.200", "ttl": 60}
    record = api.ok("POST", records, asked)["domain_record"]
    assert {key: record[key] for key in asked} == asked
    assert names(room) == {"k3s.example.com": "192.0.2.200"}
    api.ok("PUT", f"{records}/{record['id']}", {"type": "A", "data": "192.0.2.201"})
    assert names(room) == {"k3s.example.com": "192.0.2.201"}
    assert api.ok("GET", f"{records}/{record['id']}")["domain_record"]["ttl"] == 60
    assert api.ok("GET", f"{records}?name=k3s.example.com")["meta"]["total"] == 1
    assert "k3s 60 IN A 192.0.2.201" in api.ok("GET", "/v2/domains/example.com")["domain"]["zone_file"]
    api.ok("DELETE", f"{records}/{record['id']}")
    assert names(room) == {}


def test_a_domain_takes_its_records_with_it(api: Api, room: RecordingRoom) -> None:
    api.ok("POST", "/v2/domains", {"name": "example.com", "ip_address": "192.0.2.200"})
    assert names(room) == {"example.com": "192.0.2.200"}
    api.ok("DELETE", "/v2/domains/example.com")
    assert names(room) == {}
    api.refused(404, "GET", "/v2/domains/example.com/records")


def test_what_is_refused(api: Api) -> None:
    api.refused(422, "POST", "/v2/domains", {"name": "not a domain"})
    api.ok("POST", "/v2/domains", {"name": "example.com"})
    api.refused(422, "POST", "/v2/domains", {"name": "example.com"})
    records = "/v2/domains/example.com/records"
    for wrong in (
        {"type": "A", "name": "k3s", "data": "nowhere"},
        {"type": "A", "name": "k 3 s", "data": "192.0.2.200"},
        {"type": "A", "name": "k3s", "data": "192.0.2.200", "ttl": 1},
        {"type": "CNAME", "name": "k3s", "data": "other.example.com."},
        {"type": "AAAA", "name": "k3s", "data": "2001:db8::1"},
    ):
        api.refused(422, "POST", records, wrong)
    api.ok("POST", records, {"type": "A", "name": "k3s", "data": "192.0.2.200"})
    api.refused(422, "POST", records, {"type": "A", "name": "k3s", "data": "192.0.2.201"})
