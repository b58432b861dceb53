"""Projects, tags and SSH keys: what groups and opens other things."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cloud.api_client import KEY, Api


def _project(api: Api, name: str = "k3s-cluster") -> str:
    return str(api.ok("POST", "/v2/projects", {"name": name, "purpose": "Service or API"})["project"]["id"])


def _urns(api: Api, project: str) -> set[str]:
    return {each["urn"] for each in api.ok("GET", f"/v2/projects/{project}/resources")["resources"]}


def test_new_things_go_to_the_default_project(api: Api) -> None:
    droplet, balancer, database = api.droplet(), api.load_balancer(), api.database()
    expected = {f"do:droplet:{droplet['id']}", f"do:loadbalancer:{balancer['id']}", f"do:dbaas:{database['id']}"}
    assert _urns(api, "default") == expected
    default = api.ok("GET", "/v2/projects/default")["project"]["id"]
    assert {balancer["project_id"], database["project_id"]} == {default}


def test_or_to_the_one_they_name(api: Api) -> None:
    project = _project(api)
    database, balancer = api.database(project_id=project), api.load_balancer(project_id=project)
    assert _urns(api, project) == {f"do:dbaas:{database['id']}", f"do:loadbalancer:{balancer['id']}"}
    assert database["project_id"] == project


def test_things_are_in_one_project_at_a_time_and_leave_it_when_gone(api: Api) -> None:
    project, droplet = _project(api), api.droplet()
    urn = f"do:droplet:{droplet['id']}"
    statuses = [
        api.ok("POST", f"/v2/projects/{project}/resources", {"resources": [urn]})["resources"][0]["status"]
        for _ in range(2)
    ]
    assert statuses == ["assigned", "already_assigned"]
    assert (_urns(api, project), _urns(api, "default")) == ({urn}, set())
    assert "with resources" in api.refused(412, "DELETE", f"/v2/projects/{project}")
    api.ok("DELETE", f"/v2/droplets/{droplet['id']}")
    api.ok("DELETE", f"/v2/projects/{project}")


def test_what_a_project_can_not_hold_is_refused(api: Api) -> None:
    where = f"/v2/projects/{_project(api)}/resources"
    api.refused(404, "POST", where, {"resources": ["do:droplet:1"]})
    api.refused(400, "POST", where, {"resources": ["do:firewall:1"]})


def test_project_rules(api: Api) -> None:
    project = _project(api)
    api.refused(409, "POST", "/v2/projects", {"name": "k3s-cluster", "purpose": "x"})
    api.refused(422, "POST", "/v2/projects", {"name": "other"})
    api.refused(422, "POST", "/v2/projects", {"name": "o", "purpose": "x", "environment": "Playground"})
    api.refused(422, "PUT", f"/v2/projects/{project}", {"name": "k3s-cluster"})
    default = api.ok("GET", "/v2/projects/default")["project"]["id"]
    assert "default project" in api.refused(412, "DELETE", f"/v2/projects/{default}")
    api.ok("PATCH", f"/v2/projects/{project}", {"is_default": True})
    assert api.ok("GET", "/v2/projects/default")["project"]["id"] == project
    assert api.ok("GET", f"/v2/projects/{default}")["project"]["is_default"] is False
    api.ok("DELETE", f"/v2/projects/{default}")


def test_a_purpose_of_ones_own_is_kept_as_other(api: Api) -> None:
    made = api.ok("POST", "/v2/projects", {"name": "p", "purpose": "Kubernetes"})["project"]
    assert made["purpose"] == "Other: Kubernetes"


def test_tags_are_made_by_use_counted_and_taken_off(api: Api) -> None:
    droplet = api.droplet(tags=["K3s_server", "k3s_server"])
    assert droplet["tags"] == ["K3s_server"]
    tag = api.ok("GET", "/v2/tags/k3s_SERVER")["tag"]
    assert (tag["name"], tag["resources"]["count"]) == ("K3s_server", 1)
    assert tag["resources"]["last_tagged_uri"].endswith(f"/v2/droplets/{droplet['id']}")
    api.ok("DELETE", "/v2/tags/K3s_server")
    assert api.ok("GET", f"/v2/droplets/{droplet['id']}")["droplet"]["tags"] == []
    api.refused(404, "GET", "/v2/tags/K3s_server")


def test_making_a_tag_again_changes_nothing(api: Api) -> None:
    for _ in range(2):
        api.tag("a")
    assert api.ok("GET", "/v2/tags")["meta"]["total"] == 1
    assert "invalid" in api.refused(422, "POST", "/v2/tags", {"name": "a b"})


def test_databases_are_tagged_as_the_official_client_does_it(api: Api) -> None:
    database = api.database()
    api.tag("a")
    body = {"resources": [{"resource_id": database["id"], "resource_type": "database"}]}
    headers = {"Authorization": "Bearer dop_v1_" + "5" * 64}
    assert api.app.test_client().post("/v2/tags/a/resources", json=body, headers=headers).status_code == 204
    assert api.ok("GET", f"/v2/databases/{database['id']}")["database"]["tags"] == ["a"]


def test_tagging_what_does_not_exist_is_refused(api: Api) -> None:
    api.tag("a")
    body = {"resources": [{"resource_id": "1", "resource_type": "droplet"}]}
    api.refused(404, "POST", "/v2/tags/a/resources", body)


def test_a_key_is_found_by_number_and_fingerprint(api: Api, tmp_path: Path) -> None:
    number = api.key()
    file = tmp_path / "key.pub"
    file.write_text(KEY)
    command = ["ssh-keygen", "-l", "-E", "md5", "-f", str(file)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    fingerprint = shown.split()[1].removeprefix("MD5:")
    assert api.ok("GET", f"/v2/account/keys/{fingerprint}")["ssh_key"]["id"] == number
    assert api.droplet(ssh_keys=[fingerprint])


def test_a_key_is_used_once_and_must_be_one(api: Api) -> None:
    api.key()
    assert "already in use" in api.refused(422, "POST", "/v2/account/keys", {"name": "other", "public_key": KEY})
    for wrong in ("ssh-rsa", "ssh-rsa AAAA", KEY.replace("ssh-ed25519", "ssh-rsa"), "not a key"):
        body = {"name": "n", "public_key": wrong}
        assert "Key invalid" in api.refused(422, "POST", "/v2/account/keys", body)


def test_retired_images_are_listed_nowhere_and_still_known(api: Api) -> None:
    listed = {image["slug"] for image in api.ok("GET", "/v2/images?type=distribution&per_page=200")["images"]}
    assert "ubuntu-24-04-x64" in listed
    assert "ubuntu-20-04-x64" not in listed
    assert api.ok("GET", "/v2/images/ubuntu-20-04-x64")["image"]["status"] == "retired"
    assert api.ok("GET", "/v2/images?private=true")["images"] == []
