"""A token with the scopes that a stack needs, and no other, carries it from its plan to its end: real `pulumi`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from k3s_cluster.account.client import TOKEN_INFO, Credentials
from k3s_cluster.account.database_users import DatabaseUsers
from k3s_cluster.account.scopes import needed_scopes
from k3s_cluster.settings import ClusterSettings, parse_settings
from local_cloud import paths
from local_cloud.api import scopes
from recovery.account import Account
from recovery.leftovers import KINDS
from tests.plugins.cloud_server import CloudServer
from tests.plugins.test_engine import Engine, pytestmark  # noqa: F401 - needs the same
from tests.unit.stack_files import config

SCOPED = "dop_v1_" + "3" * 64
ADDRESS, DOMAIN = "203.0.113.10", "example.com"


@dataclass(frozen=True)
class Plan:
    """A stack's settings, and what they become while it runs."""

    first: dict[str, Any]
    changed: dict[str, Any] = field(default_factory=dict)
    in_what_is_there: bool = False


SINGLE = {"topology": "single-node", "adminCidrs": ["198.51.100.7/32"]}
HA = {"agentCount": 2, "projectEnvironment": "Staging", "healthCheckInterval": 20, "adminCidrs": ["198.51.100.7/32"]}
MANAGED = {
    **HA,
    "datastoreSize": "db-s-1vcpu-2gb",
    "datastorePasswordVersion": 2,
    "datastoreProtect": False,
}
RESIZED = {"serverSize": "s-4vcpu-8gb", "projectEnvironment": "Staging", "adminCidrs": ["198.51.100.8/32"]}
PLANS = {
    "single-node": Plan(SINGLE, RESIZED),
    "pg": Plan({"apiDomain": f"k3s.{DOMAIN}"}, MANAGED),
    "mysql": Plan({"datastoreEngine": "mysql", "datastoreVersion": "8"}, MANAGED),
    "etcd": Plan({"datastoreEngine": "etcd", "serverCount": 3}, HA),
    "own address": Plan({**SINGLE, "reservedIp": "auto", "apiDomain": f"k3s.{DOMAIN}"}, RESIZED),
    "in what is there": Plan({**SINGLE, "projectName": "platform"}, RESIZED, in_what_is_there=True),
}


@dataclass
class Stack:
    """The program with a token that may do what its settings need."""

    engine: Engine
    cloud: CloudServer
    plan: dict[str, Any]

    @property
    def settings(self) -> ClusterSettings:
        return parse_settings(config(**self.plan), stack="dev", folder=self.engine.program)

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.cloud.url, SCOPED, "DIGITALOCEAN_TOKEN")

    def run(self, *command: str) -> list[dict[str, Any]]:
        """What was asked with the token meanwhile."""
        before = len(self.cloud.exchanges())
        self.engine.ok(*command, "--yes", "--skip-preview")
        return self.cloud.exchanges()[before:]

    def configure(self, **changes: Any) -> None:
        self.plan.update(changes)
        file = self.engine.program / "Pulumi.dev.yaml"
        own = {f"k3s-digitalocean:{key}": value for key, value in self.plan.items()}
        file.write_text(yaml.safe_dump({**(yaml.safe_load(file.read_text()) or {}), "config": own}))
        needed = list(needed_scopes(self.settings))
        self.cloud.control("PUT", "/_local/tokens", {"token": SCOPED, "scopes": needed})


@pytest.fixture
def stack(tmp_path: Path, cloud: CloudServer) -> Stack:
    engine = Engine.of_the_product(tmp_path, "nodeless", cloud, SCOPED)
    # The product's own settings and defaults, with this process's Python.
    project = yaml.safe_load((paths.CHECKOUT / "Pulumi.yaml").read_text())
    (engine.program / "Pulumi.yaml").write_text(yaml.safe_dump({**project, "runtime": {"name": "python"}}))
    (engine.program / "kubeconfig").mkdir()
    cloud.call("POST", "/v2/domains", {"name": DOMAIN})
    return Stack(engine, cloud, {})


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_the_scopes_that_a_stack_needs_are_enough_for_all_of_its_life(stack: Stack, plan: Plan) -> None:
    cloud = stack.cloud
    stack.configure(**plan.first, **(_what_is_there(cloud) if plan.in_what_is_there else {}))
    asked = stack.run("up")
    _change_by_hand(cloud, plan)
    stack.configure(**plan.changed)
    asked += stack.run("up", "--refresh")
    _recover(stack)
    asked += stack.run("destroy")

    refused = [f"{one['method']} {one['path']}" for one in asked if one["status"] in (401, 403)]
    assert refused == []
    assert set(needed_scopes(stack.settings)) - set(_named(cloud, asked)) == set()


def _what_is_there(cloud: CloudServer) -> dict[str, Any]:
    project = {"name": "platform", "purpose": "Service or API", "environment": "Production"}
    cloud.call("POST", "/v2/projects", project)
    vpc = cloud.call("POST", "/v2/vpcs", {"name": "shared", "region": "fra1", "ip_range": "10.30.0.0/20"})["vpc"]
    reserved = cloud.call("POST", "/v2/reserved_ips", {"region": "fra1"})["reserved_ip"]
    return {"vpcId": vpc["id"], "reservedIp": reserved["ip"]}


def _change_by_hand(cloud: CloudServer, plan: Plan) -> None:
    """What somebody did in the control panel, which the next run takes back."""
    for key in cloud.call("GET", "/v2/account/keys")["ssh_keys"]:
        cloud.call("PUT", f"/v2/account/keys/{key['id']}", {"name": "renamed"})
    if not plan.in_what_is_there:
        (vpc,) = (each for each in cloud.call("GET", "/v2/vpcs")["vpcs"] if each["name"] == "k3s-vpc-01")
        cloud.call("PATCH", f"/v2/vpcs/{vpc['id']}", {"description": "ours"})
    for droplet in cloud.call("GET", "/v2/droplets")["droplets"][:1]:
        cloud.call("POST", "/v2/tags", {"name": "by-hand"})
        tagged = {"resources": [{"resource_id": str(droplet["id"]), "resource_type": "droplet"}]}
        cloud.call("POST", "/v2/tags/by-hand/resources", tagged)
    for record in cloud.call("GET", f"/v2/domains/{DOMAIN}/records")["domain_records"]:
        cloud.call("PUT", f"/v2/domains/{DOMAIN}/records/{record['id']}", {"type": "A", "data": "192.0.2.99"})


def _recover(stack: Stack) -> None:
    """What `bin/recover` lists, and what a database made of a backup asks for."""
    account = Account(stack.credentials)
    plan = stack.settings
    for kind in KINDS:
        unused = (plan.load_balancer is None and kind.items == "load_balancers") or kind.items == "databases"
        if "{" not in kind.path and not unused:
            account.list(kind.path, kind.items)
    if plan.datastore.engine in ("pg", "mysql"):
        (database,) = account.list("/v2/databases", "databases")
        users = DatabaseUsers(stack.credentials, database["id"])
        assert all(user.password for user in users.all())
        users.delete("nobody")


def _named(cloud: CloudServer, exchanges: list[dict[str, Any]]) -> Iterator[str]:
    """The scopes that these calls need; where one of several will do, all of them."""
    for one in exchanges:
        if one["path"] == TOKEN_INFO or one["path"].startswith("/_local"):
            continue
        rules = cloud.app.url_map.bind("").match(one["path"], one["method"], return_rule=True)
        for alternative in scopes.needed(
            scopes.operation_of(one["method"], rules[0].rule), one["request_body"], one["query"]
        ):
            yield from alternative
        if '"password"' in str(one["response_body"]).replace("'", '"'):
            yield scopes.VIEW_CREDENTIALS
