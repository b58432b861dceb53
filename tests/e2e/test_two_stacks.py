"""Two stacks in one account at the same time, what is there already, and a person's own kubeconfig."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.stack import LOCAL, Stack, rented, rented_with_prefix, run
from tests.unit.test_kubeconfig_merge import FOREIGN

pytestmark = pytest.mark.thorough

DOMAIN = "pair.example.com"
API_NAME = f"k3s.{DOMAIN}"
VPC, PROJECT = "e2e-there-vpc", "e2e-there-project"


def api(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What a person does in DigitalOcean's control panel."""
    call = (
        "curl --silent --show-error --fail-with-body --request \"$1\" --header 'Content-Type: application/json' "
        '--header @<(echo "Authorization: Bearer $DIGITALOCEAN_TOKEN") ${3:+--data "$3"} "$DIGITALOCEAN_API_URL$2"'
    )
    text = run(LOCAL, "bash", "-c", call, "api", method, path, json.dumps(body) if body else "").stdout
    return json.loads(text) if text else None


@dataclass
class Pair:
    """`new` makes all it needs, `joined` uses what is there: a VPC, a project, and a reserved address."""

    new: Stack
    joined: Stack
    kubeconfig: Path
    vpc_id: str
    project_id: str
    address: str

    def both(self, act: Callable[[Stack], object]) -> None:
        """At the same time, as two people would; the first failure is raised when both have ended."""
        with ThreadPoolExecutor() as people:
            for done in [people.submit(act, stack) for stack in (self.new, self.joined)]:
                done.result()

    def kubectl(self, context: str, *arguments: str) -> str:
        """As a person who chose the context with kubectx: with their own kubeconfig."""
        own = f"KUBECONFIG={self.kubeconfig}"
        return run(*(LOCAL, "env", own, "kubectl", "--context", context, "--request-timeout=10s", *arguments)).stdout


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    home = tmp_path_factory.mktemp("home")
    kubeconfig = home / ".kube" / "config"
    kubeconfig.parent.mkdir()
    kubeconfig.write_text(FOREIGN)
    vpc = api("POST", "/v2/vpcs", {"name": VPC, "region": "fra1", "ip_range": "10.32.0.0/24"})["vpc"]["id"]
    project = api("POST", "/v2/projects", {"name": PROJECT, "purpose": "Service or API"})["project"]["id"]
    address = api("POST", "/v2/reserved_ips", {"region": "fra1"})["reserved_ip"]["ip"]
    api("POST", "/v2/domains", {"name": DOMAIN})
    both = {"topology": "single-node", "kubeconfigMerge": "true"}
    own = {"namePrefix": "e2e-new", "vpcCidr": "10.31.0.0/24", "reservedIp": "auto", "apiDomain": API_NAME}
    there = {"namePrefix": "e2e-joined", "vpcId": vpc, "projectName": PROJECT, "reservedIp": address}
    found = Pair(
        Stack("e2e-new", {**both, **own}), Stack("e2e-joined", {**both, **there}), kubeconfig, vpc, project, address
    )
    with pytest.MonkeyPatch.context() as person:
        person.setenv("HOME", str(home))
        try:
            found.new.init()
            found.joined.init()
            found.both(lambda stack: stack.up())
            yield found
        finally:
            for stack in (found.new, found.joined):
                stack.pulumi("cancel", "--yes", check=False)
                stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
                stack.remove()
            api("DELETE", f"/v2/domains/{DOMAIN}")
            api("DELETE", f"/v2/reserved_ips/{address}")
            api("DELETE", f"/v2/projects/{project}")
            api("DELETE", f"/v2/vpcs/{vpc}")


def test_both_contexts_are_in_the_person_s_kubeconfig_and_work(pair: Pair) -> None:
    config = yaml.safe_load(pair.kubeconfig.read_text())
    names = [context["name"] for context in config["contexts"]]
    assert names[:3] == ["work", "home", "lab"]
    assert sorted(names[3:]) == ["e2e-joined", "e2e-new"]
    assert config["current-context"] == "work"
    for stack in (pair.new, pair.joined):
        (server,) = stack.outputs()["servers"]
        assert server["name"] in pair.kubectl(stack.name, "get", "nodes")


def test_the_api_answers_by_its_name(pair: Pair) -> None:
    outputs = pair.new.outputs()
    assert outputs["apiEndpoint"] == f"https://{API_NAME}:6443"
    assert rented()["domain_records"] == [API_NAME]
    assert f"https://{API_NAME}:6443" in pair.kubectl("e2e-new", "cluster-info")
    seen = run(LOCAL, "--as", "outsider", "getent", "ahostsv4", API_NAME).stdout
    assert outputs["apiAddress"] in seen


def test_what_was_there_is_joined(pair: Pair) -> None:
    outputs = pair.joined.outputs()
    (server,) = outputs["servers"]
    assert server["privateAddress"].startswith("10.32.0.")
    assert outputs["apiEndpoint"] == f"https://{pair.address}:6443"
    held = [each["urn"] for each in api("GET", f"/v2/projects/{pair.project_id}/resources")["resources"]]
    assert len([urn for urn in held if urn.startswith("do:droplet:")]) == 1
    assert not {"e2e-joined-vpc-01", "e2e-joined-cluster"} & set(rented_with_prefix("e2e-joined"))


def test_nothing_changes_after_up(pair: Pair) -> None:
    pair.both(lambda stack: stack.preview("--expect-no-changes"))


def test_another_vpc_is_refused(pair: Pair) -> None:
    pair.joined.configure(vpcId="")
    done = pair.joined.up(check=False)
    pair.joined.configure()
    assert done.returncode != 0
    assert f"vpcId cannot change from `{pair.vpc_id}` to the stack's own VPC" in done.stdout


@pytest.mark.parametrize("which", ["new", "joined"])
def test_the_address_survives_a_rebuild(pair: Pair, which: str) -> None:
    stack: Stack = getattr(pair, which)
    before = stack.outputs()
    (lost,) = before["servers"]
    (droplet,) = (each for each in api("GET", "/v2/droplets?per_page=200")["droplets"] if each["name"] == lost["name"])
    api("DELETE", f"/v2/droplets/{droplet['id']}")
    stack.up("--refresh")
    after = stack.outputs()
    assert (after["apiEndpoint"], after["apiAddress"]) == (before["apiEndpoint"], before["apiAddress"])
    (rebuilt,) = after["servers"]
    assert rebuilt["publicAddress"] != lost["publicAddress"]
    assert rebuilt["name"] in pair.kubectl(stack.name, "get", "nodes")


def test_a_context_of_somebody_else_stops_the_plan_and_stays(pair: Pair) -> None:
    text = pair.kubeconfig.read_text()
    # Nothing of ours marks the context now.
    pair.kubeconfig.write_text(text.replace("owner: k3s-digitalocean/e2e-new", "owner: somebody/else"))
    done = pair.new.preview(check=False)
    pair.kubeconfig.write_text(text)
    assert done.returncode != 0
    assert "kubeconfigMerge: e2e-new cannot be merged into" in done.stdout
    assert "Traceback" not in done.stdout


def test_destroy_leaves_what_was_there(pair: Pair) -> None:
    pair.both(lambda stack: stack.destroy())
    assert pair.kubeconfig.read_text() == FOREIGN
    # kubectl keeps a cache of its own beside it.
    assert {path.name for path in pair.kubeconfig.parent.glob("config*")} == {
        *("config", "config.before-e2e-new", "config.before-e2e-joined")
    }
    assert rented_with_prefix("e2e-new") == rented_with_prefix("e2e-joined") == []
    left = rented()
    assert left["reserved_ips"] == [pair.address]
    assert VPC in left["vpcs"]
    assert PROJECT in left["projects"]
    assert "domain_records" not in left
