"""Tokens with custom scopes: what each operation needs, against DigitalOcean's description, and what a refusal says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from local_cloud.api import scopes
from local_cloud.api.control import KEY_HEADER
from local_cloud.api.scopes import FIELDS, OPERATIONS, operation_of
from tests.cloud.api_client import CONTROL_KEY, Api
from tests.cloud.openapi import MISSING, find_specification

SCOPED = "dop_v1_scoped"
REQUIRES = re.compile(r"Requires (.*?) sc(?:ope|poe)s?")
NAMED = re.compile(r"`([a-z0-9_]+:[a-z_]+)`")


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    specification = find_specification()
    if specification is None:
        pytest.skip(MISSING)
    plain: dict[str, Any] = json.loads(specification.read_text())
    return plain


def served(app: Flask) -> set[str]:
    return {
        operation_of(method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/v2/")
    }


def described(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            if method in ("get", "post", "put", "patch", "delete"):
                # Ours is the same path with any project.
                yield operation_of(method.upper(), path.replace("/projects/default", "/projects/{id}")), operation


def test_every_operation_that_is_served_has_its_scopes(app: Flask) -> None:
    assert served(app) - set(OPERATIONS) == set()
    assert set(OPERATIONS) - served(app) == set()


def test_operations_need_what_the_description_says(description: dict[str, Any]) -> None:
    compared = 0
    for name, operation in described(description):
        # `api:read` and `api:write` are what full tokens have (docs.digitalocean.com/reference/api/scopes).
        told = [
            {scope for scope in entry["bearer_auth"] if not scope.startswith("api:")} for entry in operation["security"]
        ]
        assert [set(each) for each in OPERATIONS[name]] == told, name
        compared += 1
    assert compared > 90


def test_fields_need_what_the_description_says(description: dict[str, Any]) -> None:
    told: dict[str, dict[str, set[str]]] = {}
    for name, operation in described(description):
        for field, needed in _fields(description, operation.get("requestBody", {}), set()):
            if scopes.VIEW_CREDENTIALS not in needed:
                told.setdefault(name, {}).setdefault(field, set()).update(needed)
    assert told == {name: {field: set(each) for field, each in fields.items()} for name, fields in FIELDS.items()}


def _fields(whole: dict[str, Any], node: Any, seen: set[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The fields of a body that need scopes, wherever `allOf` and references put them; not those inside of fields."""
    if isinstance(node, list):
        for each in node:
            yield from _fields(whole, each, seen)
    elif isinstance(node, dict):
        if "$ref" in node:
            yield from _fields(whole, _referred(whole, node["$ref"]), seen)
        for key, value in node.items():
            if key == "properties":
                for field, schema in value.items():
                    for text in _descriptions(whole, schema):
                        for found in REQUIRES.findall(text):
                            yield field, tuple(NAMED.findall(found))
            elif key in ("content", "application/json", "schema", "allOf", "oneOf", "anyOf"):
                yield from _fields(whole, value, seen)


def _descriptions(whole: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        yield from _descriptions(whole, _referred(whole, schema["$ref"]))
    for part in schema.get("allOf", ()):
        yield from _descriptions(whole, part)
    if not schema.get("readOnly"):
        yield str(schema.get("description", ""))


def _referred(whole: dict[str, Any], reference: str) -> Any:
    node: Any = whole
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


class Scoped:
    """The API, asked with a token that has these scopes."""

    def __init__(self, api: Api, *given: str) -> None:
        self.api = api
        api.control("PUT", "/tokens", {"token": SCOPED, "scopes": list(given)})

    def status(self, method: str, path: str, body: Any = None) -> int:
        return self.call(method, path, body).status_code

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self.api.call(method, path, body, headers={"Authorization": f"Bearer {SCOPED}"})


def test_a_call_without_its_scope_is_refused_in_digitalocean_s_words_and_does_nothing(api: Api) -> None:
    scoped = Scoped(api, "tag:read")
    refused = scoped.call("POST", "/v2/tags", {"name": "a"})
    assert (refused.status_code, refused.get_json()["id"]) == (403, "forbidden")
    assert refused.get_json()["message"] == "You are not authorized to perform this operation"
    assert scoped.call("GET", "/v2/tags").get_json()["tags"] == []
    assert scoped.call("GET", "/v1/oauth/token/info").get_json()["scopes"] == ["tag:read"]
    assert scoped.status("GET", "/v2/nowhere") == 404
    assert Scoped(api, "tag:create").status("POST", "/v2/tags", {"name": "a"}) == 201


def test_what_a_body_names_needs_its_own_scopes(api: Api) -> None:
    droplet = {"name": "a", "region": "fra1", "size": "s-1vcpu-2gb", "image": "ubuntu-24-04-x64"}
    vpc, key = api.vpc()["id"], api.key()
    least = ("droplet:create", "image:read")
    assert Scoped(api, "droplet:create").status("POST", "/v2/droplets", droplet) == 403
    assert Scoped(api, *least).status("POST", "/v2/droplets", droplet) == 202
    besides = {"tags": (["c"], "tag:create"), "vpc_uuid": (vpc, "vpc:read"), "ssh_keys": ([key], "ssh_key:read")}
    for field, (value, scope) in besides.items():
        assert Scoped(api, *least).status("POST", "/v2/droplets", {**droplet, field: value}) == 403
        assert Scoped(api, *least, scope).status("POST", "/v2/droplets", {**droplet, field: value}) == 202
    rule = {"protocol": "tcp", "ports": "22", "sources": {"tags": ["b"]}}
    firewall = {"name": "servers", "inbound_rules": [rule]}
    api.tag("b")
    assert Scoped(api, "firewall:create", "tag:read").status("POST", "/v2/firewalls", firewall) == 403
    assert Scoped(api, "firewall:create", "tag:read", "tag:create").status("POST", "/v2/firewalls", firewall) == 202


def test_a_resource_is_moved_and_tagged_with_the_right_to_see_or_change_it(api: Api) -> None:
    droplet = api.droplet()["id"]
    api.tag("a")
    move = ("POST", "/v2/projects/default/resources", {"resources": [f"do:droplet:{droplet}"]})
    assert Scoped(api, "project:assign_resource").status(*move) == 403
    assert Scoped(api, "project:assign_resource", "droplet:read").status(*move) == 200
    assert Scoped(api, "project:update", "droplet:read").status(*move) == 200
    tagged = {"resources": [{"resource_id": str(droplet), "resource_type": "droplet"}]}
    assert Scoped(api, "tag:create", "droplet:read").status("POST", "/v2/tags/a/resources", tagged) == 403
    assert Scoped(api, "tag:create", "droplet:update").status("POST", "/v2/tags/a/resources", tagged) == 204
    assert Scoped(api, "droplet:read").status("GET", "/v2/droplets?tag_name=a") == 403
    assert Scoped(api, "droplet:read", "tag:read").status("GET", "/v2/droplets?tag_name=a") == 200


def test_a_record_is_made_with_either_of_two_scopes(api: Api) -> None:
    api.ok("POST", "/v2/domains", {"name": "example.com"})
    for number, scope in enumerate(("domain:create", "domain:update")):
        record = {"type": "A", "name": f"k3s-{number}", "data": "192.0.2.1"}
        assert Scoped(api, scope).status("POST", "/v2/domains/example.com/records", record) == 201
    assert Scoped(api, "domain:read").status("POST", "/v2/domains/example.com/records", record) == 403


def test_passwords_are_left_out_without_their_scope(api: Api) -> None:
    made = api.database()
    path = f"/v2/databases/{made['id']}"
    api.ok("POST", f"{path}/users", {"name": "k3s"})
    passwords = [user["password"] for user in api.ok("GET", f"{path}/users")["users"]]
    scoped = Scoped(api, "database:read", "database:create")
    answers = [
        scoped.call("GET", path),
        scoped.call("GET", "/v2/databases"),
        scoped.call("GET", f"{path}/users"),
        scoped.call("GET", f"{path}/users/k3s"),
        scoped.call("POST", f"{path}/users", {"name": "other"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 201]
    assert not any("password" in answer.text for answer in answers)
    assert not any(password in answer.text for answer in answers for password in passwords)
    sees = Scoped(api, "database:read", scopes.VIEW_CREDENTIALS)
    assert sees.call("GET", path).get_json()["database"]["connection"] == made["connection"]


@pytest.mark.parametrize(("given", "reads", "writes"), [("api:read", 200, 403), ("api:write", 200, 201)])
def test_the_newer_words_for_reading_and_for_everything(api: Api, given: str, reads: int, writes: int) -> None:
    scoped = Scoped(api, given)
    assert scoped.status("GET", "/v2/vpcs") == reads
    assert scoped.status("POST", "/v2/tags", {"name": "a"}) == writes


def test_words_that_are_no_scope_are_refused(api: Api) -> None:
    for wrong in ("admin", "droplet", "droplet:*"):
        given = {"token": SCOPED, "scopes": [wrong]}
        answer = api.call("PUT", "/_local/tokens", given, {KEY_HEADER: CONTROL_KEY})
        assert answer.status_code == 422
        assert wrong in answer.get_json()["message"]
