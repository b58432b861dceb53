"""A client of the API for tests: every request it sends and every answer it gets is checked against the description."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Flask
from werkzeug.test import TestResponse

from local_cloud.api.app import settle
from local_cloud.api.control import KEY_HEADER
from local_cloud.api.no_machines import NoMachines
from local_cloud.machine_room import (
    DatabaseFacts,
    DatabaseSpec,
    DropletSpec,
    HostRules,
    LoadBalancerSpec,
    MachineRoomError,
    NetworkRules,
)
from tests.cloud.openapi import Conformance

TOKEN = "dop_v1_" + "5" * 64
CONTROL_KEY = "control-key"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl person@example"


class RecordingRoom(NoMachines):
    """A machine room that remembers what it was asked for, and fails or waits where a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, object]] = []
        self.failing: set[str] = set()
        self.gates: dict[str, threading.Event] = {}
        self.rules = NetworkRules()
        self.domains: dict[str, IPv4Address] = {}
        self.databases: dict[str, DatabaseSpec] = {}
        self.balancers: dict[str, LoadBalancerSpec] = {}

    def _called(self, what: str, subject: object) -> None:
        self.calls.append((what, subject))
        if what in self.gates:
            assert self.gates[what].wait(10)
        if what in self.failing:
            raise MachineRoomError(f"{what} broke")

    def count(self, what: str) -> int:
        return sum(1 for call, _ in self.calls if call == what)

    def rules_of(self, public_ip: str) -> HostRules:
        return next(host for host in self.rules.hosts if str(host.public_ip) == public_ip)

    def start_droplet(self, spec: DropletSpec) -> None:
        self._called("start_droplet", spec)
        super().start_droplet(spec)

    def await_droplet(self, droplet_id: int) -> None:
        self._called("await_droplet", droplet_id)

    def power_off_droplet(self, droplet_id: int) -> None:
        self._called("power_off_droplet", droplet_id)
        super().power_off_droplet(droplet_id)

    def reboot_droplet(self, droplet_id: int) -> None:
        self._called("reboot_droplet", droplet_id)

    def destroy_droplet(self, droplet_id: int) -> None:
        self._called("destroy_droplet", droplet_id)
        NoMachines.power_off_droplet(self, droplet_id)

    def ensure_database(self, spec: DatabaseSpec) -> DatabaseFacts:
        self._called("ensure_database", spec)
        self.databases[spec.id] = spec
        return super().ensure_database(spec)

    def back_up_database(self, database_id: str, backup: str) -> int:
        self._called("back_up_database", (database_id, backup))
        return super().back_up_database(database_id, backup)

    def drop_database_backup(self, database_id: str, backup: str) -> None:
        self._called("drop_database_backup", (database_id, backup))

    def destroy_database(self, database_id: str) -> None:
        self._called("destroy_database", database_id)
        self.databases.pop(database_id, None)

    def ensure_load_balancer(self, spec: LoadBalancerSpec) -> None:
        self._called("ensure_load_balancer", spec)
        self.balancers[spec.id] = spec

    def destroy_load_balancer(self, load_balancer_id: str) -> None:
        self._called("destroy_load_balancer", load_balancer_id)
        self.balancers.pop(load_balancer_id, None)

    def serve_domains(self, names: Mapping[str, IPv4Address]) -> None:
        self._called("serve_domains", names)
        self.domains = dict(names)

    def apply_network(self, rules: NetworkRules) -> None:
        self._called("apply_network", rules)
        self.rules = rules


class Api:
    """Calls the app as a program with a token would; raises AssertionError if anything does not conform."""

    def __init__(self, app: Flask, conformance: Conformance | None) -> None:
        self.app, self._conformance = app, conformance
        self._client = app.test_client()
        self.seen: set[str] = set()

    def call(
        self, method: str, address: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        sent = {"Authorization": f"Bearer {TOKEN}"} if headers is None else dict(headers)
        response = self._client.open(address, method=method, json=body, headers=sent)
        parts = urlsplit(address)
        if self._conformance is not None and parts.path.startswith("/v2/"):
            operation = self._conformance.operation(method, parts.path)
            if operation is not None:
                self.seen.add(operation.name)
            problems = self._conformance.problems(
                method,
                parts.path,
                dict(parse_qsl(parts.query)),
                body,
                response.status_code,
                response.get_json(silent=True) if response.data else None,
                check_request=response.status_code < 400,
            )
            assert not problems, "\n".join(problems)
        return response

    def ok(self, method: str, address: str, body: Any = None) -> Any:
        """The answer's body; fails unless the call succeeds."""
        response = self.call(method, address, body)
        assert response.status_code < 300, f"{method} {address}: {response.status_code} {response.text}"
        return response.get_json() if response.data else None

    def refused(self, status: int, method: str, address: str, body: Any = None) -> str:
        """The message of a refusal; fails unless the call is refused with `status`."""
        response = self.call(method, address, body)
        assert response.status_code == status, f"{method} {address}: {response.status_code} {response.text}"
        return str(response.get_json()["message"])

    def control(self, method: str, address: str, body: Any = None) -> Any:
        response = self.call(method, f"/_local{address}", body, headers={KEY_HEADER: CONTROL_KEY})
        assert response.status_code < 300, f"{method} {address}: {response.status_code} {response.text}"
        return response.get_json() if response.data else None

    def settle(self) -> None:
        assert settle(self.app, 10), "work is still under way after 10 s"

    def key(self) -> int:
        return int(self.ok("POST", "/v2/account/keys", {"name": "key", "public_key": KEY})["ssh_key"]["id"])

    def vpc(self, **changes: Any) -> Any:
        body = {"name": "k3s-vpc-01", "region": "fra1", "ip_range": "10.10.10.0/24", **changes}
        return self.ok("POST", "/v2/vpcs", {name: value for name, value in body.items() if value is not None})["vpc"]

    def droplet(self, name: str = "node-1", **changes: Any) -> Any:
        """A droplet that is made, as it is once active."""
        body = {
            "name": name,
            "region": "fra1",
            "size": "s-2vcpu-4gb",
            "image": "ubuntu-24-04-x64",
            **changes,
        }
        made = self.ok("POST", "/v2/droplets", body)["droplet"]
        self.settle()
        return self.ok("GET", f"/v2/droplets/{made['id']}")["droplet"]

    def database(self, **changes: Any) -> Any:
        body = {
            "name": "k3s-ext-datastore",
            "engine": "pg",
            "version": "17",
            "size": "db-s-1vcpu-1gb",
            "region": "fra1",
            "num_nodes": 1,
            **changes,
        }
        made = self.ok("POST", "/v2/databases", body)["database"]
        self.settle()
        return self.ok("GET", f"/v2/databases/{made['id']}")["database"]

    def load_balancer(self, **changes: Any) -> Any:
        made = self.ok("POST", "/v2/load_balancers", load_balancer_request(**changes))["load_balancer"]
        self.settle()
        return self.ok("GET", f"/v2/load_balancers/{made['id']}")["load_balancer"]

    def tag(self, name: str) -> None:
        self.ok("POST", "/v2/tags", {"name": name})


def load_balancer_request(**changes: Any) -> dict[str, Any]:
    targets = {} if "droplet_ids" in changes else {"tag": "k3s_server"}
    return {
        "name": "k3s-api-loadbalancer",
        "region": "fra1",
        "size": "lb-small",
        **targets,
        "forwarding_rules": [
            {
                "entry_protocol": "https",
                "entry_port": 6443,
                "target_protocol": "https",
                "target_port": 6443,
                "tls_passthrough": True,
            }
        ],
        "health_check": {
            "protocol": "tcp",
            "port": 6443,
            "check_interval_seconds": 10,
            "response_timeout_seconds": 5,
            "healthy_threshold": 5,
            "unhealthy_threshold": 3,
        },
        **changes,
    }


def address_of(droplet: Any, kind: str) -> str:
    return str(next(each["ip_address"] for each in droplet["networks"]["v4"] if each["type"] == kind))
