"""Every path of the description is answered, and so that the answer conforms."""

from __future__ import annotations

import pytest

from tests.cloud.api_client import KEY, Api, load_balancer_request
from tests.cloud.openapi import Conformance

RULES = {
    "inbound_rules": [{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["0.0.0.0/0", "::/0"]}}],
    "outbound_rules": [{"protocol": "udp", "ports": "all", "destinations": {"addresses": ["0.0.0.0/0"]}}],
}
NOBODY = "11111111-1111-4111-8111-111111111111"


def test_every_documented_call_is_answered(api: Api, conformance: Conformance) -> None:
    """A walk over all of the API with real resources: whatever it answers must conform (the client checks)."""
    for address in ("/account", "/regions", "/sizes", "/images", "/databases/options", "/projects", "/snapshots"):
        api.ok("GET", f"/v2{address}")
    key = api.ok("POST", "/v2/account/keys", {"name": "key", "public_key": KEY})["ssh_key"]
    api.ok("PUT", f"/v2/account/keys/{key['id']}", {"name": "other"})
    vpc = api.vpc()
    api.ok("PUT", f"/v2/vpcs/{vpc['id']}", {"name": "vpc-2", "description": "text"})
    api.ok("PATCH", f"/v2/vpcs/{vpc['id']}", {"name": "vpc-1"})
    api.tag("k3s_server")
    droplet = api.droplet(vpc_uuid=vpc["id"], tags=["k3s_server"], ssh_keys=[key["id"]])
    number = droplet["id"]
    database = api.database(version="16", private_network_uuid=vpc["id"], tags=["k3s_server"])
    balancer = api.load_balancer(vpc_uuid=vpc["id"], tag="k3s_server")
    named = api.load_balancer(name="by-id", vpc_uuid=vpc["id"], droplet_ids=[number])
    firewall = api.ok("POST", "/v2/firewalls", {"name": "fw", "tags": ["k3s_server"], **RULES})["firewall"]
    project = api.ok("POST", "/v2/projects", {"name": "p", "purpose": "Service or API"})["project"]
    whole = {"name": "p", "description": "d", "purpose": "x", "environment": "Staging", "is_default": False}

    for address in ("/account/keys", "/actions", "/databases", "/droplets", "/firewalls", "/load_balancers"):
        api.ok("GET", f"/v2{address}")
    for address in ("/projects", "/tags", "/volumes", "/vpcs", "/projects/default", "/projects/default/resources"):
        api.ok("GET", f"/v2{address}")
    api.ok("GET", f"/v2/account/keys/{key['id']}")
    api.ok("GET", "/v2/images/ubuntu-24-04-x64")
    api.ok("GET", f"/v2/vpcs/{vpc['id']}")
    assert api.ok("GET", f"/v2/vpcs/{vpc['id']}/members")["meta"]["total"] == 4
    api.ok("GET", "/v2/tags/k3s_server")

    for part in ("", "/backups", "/backups/policy", "/actions", "/firewalls"):
        api.ok("GET", f"/v2/droplets/{number}{part}")
    action = api.ok("POST", f"/v2/droplets/{number}/actions", {"type": "reboot"})["action"]
    api.ok("GET", f"/v2/droplets/{number}/actions/{action['id']}")
    api.ok("GET", f"/v2/actions/{action['id']}")

    wall = f"/v2/firewalls/{firewall['id']}"
    api.ok("GET", wall)
    api.ok("PUT", wall, {"name": "fw-2", **RULES})
    more = {"inbound_rules": [{"protocol": "tcp", "ports": "8000-9000", "sources": {"tags": ["k3s_server"]}}]}
    for part, body in (("droplets", {"droplet_ids": [number]}), ("tags", {"tags": ["k3s_server"]}), ("rules", more)):
        api.ok("POST", f"{wall}/{part}", body)
        api.ok("DELETE", f"{wall}/{part}", body)

    lb = f"/v2/load_balancers/{balancer['id']}"
    api.ok("GET", lb)
    api.ok("PUT", lb, load_balancer_request(vpc_uuid=vpc["id"]))
    second = {"entry_protocol": "tcp", "entry_port": 80, "target_protocol": "tcp", "target_port": 80}
    for method in ("POST", "DELETE"):
        api.ok(method, f"{lb}/forwarding_rules", {"forwarding_rules": [second]})
        api.ok(method, f"/v2/load_balancers/{named['id']}/droplets", {"droplet_ids": [number]})
    api.refused(422, "DELETE", f"{lb}/cache")

    db = f"/v2/databases/{database['id']}"
    for part in ("", "/config", "/ca", "/firewall", "/backups", "/users", "/users/doadmin", "/dbs", "/dbs/defaultdb"):
        api.ok("GET", f"{db}{part}")
    api.ok("GET", f"{db}/pools")
    api.ok("PUT", f"{db}/firewall", {"rules": [{"type": "tag", "value": "k3s_server"}]})
    api.ok("PUT", f"{db}/maintenance", {"day": "tuesday", "hour": "14:00"})
    api.ok("POST", f"{db}/users", {"name": "user"})
    api.ok("PUT", f"{db}/users/user", {"settings": {}})
    api.ok("POST", f"{db}/users/user/reset_auth", {})
    api.ok("DELETE", f"{db}/users/user")
    api.ok("POST", f"{db}/dbs", {"name": "k3s"})
    api.ok("DELETE", f"{db}/dbs/k3s")
    api.ok("PUT", f"{db}/resize", {"size": "db-s-1vcpu-2gb", "num_nodes": 1})
    api.settle()
    api.ok("PUT", f"{db}/upgrade", {"version": "17"})
    api.settle()
    assert api.ok("GET", db)["database"]["version"] == "17"
    api.refused(422, "PATCH", f"{db}/config", {"config": {"jit": True}})
    pool = {"name": "pool", "mode": "transaction", "size": 10, "db": "defaultdb"}
    api.refused(422, "POST", f"{db}/pools", pool)
    for method in ("GET", "PUT", "DELETE"):
        api.refused(404, method, f"{db}/pools/pool")

    where = f"/v2/projects/{project['id']}"
    api.ok("GET", where)
    api.ok("PUT", where, whole)
    api.ok("PATCH", where, {"description": "other"})
    moved = {"resources": [f"do:droplet:{number}", f"do:dbaas:{database['id']}"]}
    api.ok("POST", f"{where}/resources", moved)
    api.ok("GET", f"{where}/resources")
    api.ok("POST", "/v2/projects/default/resources", moved)
    api.ok("PATCH", "/v2/projects/default", {"description": "mine"})
    api.ok("PUT", "/v2/projects/default", {**whole, "name": "first", "is_default": True})
    api.ok("DELETE", where)

    resource = {"resources": [{"resource_id": str(number), "resource_type": "droplet"}]}
    for method in ("DELETE", "POST"):
        api.ok(method, "/v2/tags/k3s_server/resources", resource)

    api.refused(422, "POST", "/v2/images", {"name": "i", "url": "https://example.com/i", "region": "fra1"})
    for method in ("PUT", "DELETE"):
        api.refused(403, method, f"/v2/images/{droplet['image']['id']}")
        api.refused(404, method, "/v2/images/1")
    api.refused(422, "POST", "/v2/volumes", {"name": "v", "region": "fra1", "size_gigabytes": 10})
    api.refused(404, "DELETE", "/v2/volumes?name=v&region=fra1")
    for method in ("GET", "DELETE"):
        api.refused(404, method, f"/v2/volumes/{NOBODY}")
        api.refused(404, method, "/v2/snapshots/1")

    for address in (wall, lb, f"/v2/load_balancers/{named['id']}", db, f"/v2/droplets/{number}"):
        api.ok("DELETE", address)
        api.refused(404, "GET", address)
    api.ok("DELETE", "/v2/tags/k3s_server")
    api.ok("DELETE", f"/v2/account/keys/{key['id']}")
    api.ok("DELETE", f"/v2/vpcs/{vpc['id']}")
    api.refused(404, "DELETE", "/v2/droplets?tag_name=k3s_server")

    never_called = {operation.name for operation in conformance.operations} - api.seen
    assert not never_called


def test_a_missing_thing_is_404_everywhere(api: Api, conformance: Conformance) -> None:
    """Whatever a path names, if it does not exist, the answer is 404 with the documented body."""
    for operation in conformance.operations:
        if "404" not in operation.statuses or "{" not in operation.template:
            continue
        path = operation.template.replace("{droplet_id}", "1").replace("{action_id}", "1").replace("{image_id}", "1")
        for name in ("tag_id", "username", "database_name", "pool_name"):
            path = path.replace(f"{{{name}}}", "nothing")
        for name in ("database_cluster_uuid", "firewall_id", "lb_id", "project_id", "vpc_id", "volume_id"):
            path = path.replace(f"{{{name}}}", NOBODY)
        path = path.replace("{ssh_key_identifier}", "1").replace("{snapshot_id}", "1")
        response = api.call(operation.method.upper(), path, {} if operation.method != "get" else None)
        assert response.status_code == 404, operation.name
        assert response.get_json()["id"] == "not_found"


def test_the_checker_notices_what_is_wrong(conformance: Conformance) -> None:
    """The other tests mean something only if a wrong answer is caught."""
    tag = {"tag": {"name": "a", "resources": {"count": 0}}}
    assert not conformance.problems("GET", "/v2/tags/a", {}, None, 200, tag)
    for wrong in ({"tag": {"name": 1}}, {"tag": {"name": "a b"}}, {"tag": {"name": "a", "resources": {"count": -1}}}):
        assert conformance.problems("GET", "/v2/tags/a", {}, None, 200, wrong)
    assert conformance.problems("GET", "/v2/tags/a", {}, None, 202, tag)
    assert conformance.problems("GET", "/v2/nowhere", {}, None, 200, {})
    assert conformance.problems("GET", "/v2/tags", {"per_page": "201"}, None, 200, {"tags": [], "meta": {"total": 0}})
    assert conformance.problems("POST", "/v2/tags", {}, {"name": 3}, 201, tag)


@pytest.mark.parametrize("status", [401, 404, 422, 429, 500])
def test_an_error_without_a_message_does_not_conform(conformance: Conformance, status: int) -> None:
    assert conformance.problems("GET", "/v2/droplets/1", {}, None, status, {"id": "not_found"})
