"""What a change of a node does to the K3s that runs there, and what is left for the next run where it ends half way."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from k3s_cluster.k3s_config import CONFIG_PATH
from k3s_cluster.over_ssh import k3s_service, node, scheduling
from k3s_cluster.over_ssh.connection import NodeError

NOW, NEXT, NEVER_RELEASED = "v1.36.4+k3s1", "v1.36.5+k3s1", "v1.36.99+k3s1"


class Machine:
    """A droplet's files, and what its K3s read of them when it was started last; its binary, and what runs."""

    def __init__(self) -> None:
        self.installed = self.runs = NOW
        self.drains = 0
        self.files = {CONFIG_PATH: "old"}
        self.read_at_start = dict(self.files)
        self.restarts = 0
        self.breaks = False

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read_file(self, path: str) -> str | None:
        return self.files.get(path)

    def write_file(self, path: str, text: str, mode: str = "0600") -> bool:
        changed = self.files.get(path) != text
        self.files[path] = text
        return changed

    def attempt(self, *command: str, stdin: str = "", timeout: float = 60) -> tuple[int, str, str]:
        if command[:2] == ("test", "-e"):
            return int(command[2] not in self.files), "", ""
        return 0, f"k3s version {self.installed} (x)", ""

    def run(self, *command: str, stdin: str = "", timeout: float = 60) -> str:
        if command[:2] == ("rm", "-f"):
            self.files.pop(command[2], None)
        if command[0] == "env":
            version = command[1].partition("=")[2]
            if version == NEVER_RELEASED:
                raise NodeError("the installer said 404")
            self.installed = version
        if command[:2] == ("systemctl", "restart"):
            if self.breaks:
                raise NodeError("the connection broke")
            self.restarts += 1
            self.runs = self.installed
            self.read_at_start = dict(self.files)
        if command[:4] == ("k3s", "kubectl", "get", "node"):
            return json.dumps({"status": {"nodeInfo": {"kubeletVersion": self.runs}}})
        return "ActiveState=active\nNRestarts=0\nJob=\n" if command[:2] == ("systemctl", "show") else ""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()

    def drain(*_: object) -> float:
        machine.drains += 1
        return 1.0

    monkeypatch.setattr(node, "_drain_for_upgrade", drain)
    monkeypatch.setattr(node, "tell", lambda *_: None)
    monkeypatch.setattr(node, "reach", lambda *_: machine)
    monkeypatch.setattr(node, "connect", lambda *_: machine)
    monkeypatch.setattr(node, "wait_for_first_boot", lambda *_: None)
    monkeypatch.setattr(node, "progress_of", lambda _urn: lambda _text: None)
    monkeypatch.setattr(k3s_service, "wait_until_ready", lambda *_: None)
    for step in ("mark", "uncordon"):
        monkeypatch.setattr(scheduling, step, lambda *_: None)
    monkeypatch.setattr(node.reboot, "required_for", lambda _node: None)
    return machine


def told(config: str, version: str = NOW) -> dict[str, Any]:
    return {
        **{"urn": "u", "role": "server", "name": "server-0", "droplet_id": "7", "host": "203.0.113.5", "host_key": ""},
        **{
            "private_key": "",
            "node_password": "p",
            "authorized_keys": [],
            "k3s_version": version,
            "config": config,
            "files": {},
        },
        **{"datastore_ca": None, "labels": {}, "taints": [], "api_name": "k3s-api.internal", "server_addresses": []},
        **{"peers": [], "drain_timeout": 10, "at_a_time": 1, "health_check": None, "etcd_member": False, "fixed": {}},
    }


def bring_to(config: str, version: str = NOW) -> None:
    node.NodeProvider().update("server-0", told("old"), told(config, version))


def test_what_is_as_it_should_be_is_not_restarted(machine: Machine) -> None:
    bring_to("old")
    assert machine.restarts == 0


def test_a_change_is_one_restart(machine: Machine) -> None:
    bring_to("new")
    bring_to("new")
    assert machine.restarts == 1
    assert machine.read_at_start[CONFIG_PATH] == "new"


def test_a_restart_that_a_run_did_not_come_to_is_done_by_the_next(machine: Machine) -> None:
    machine.breaks = True
    with pytest.raises(NodeError, match="the connection broke"):
        bring_to("new")
    machine.breaks = False
    # A refresh in between reads files that are right, and must not take the node for one that is.
    assert machine.files[CONFIG_PATH] == "new"
    assert node.NodeProvider().read("server-0", told("old")).outs["ready"] is False
    bring_to("new")
    assert machine.restarts == 1
    assert machine.read_at_start[CONFIG_PATH] == "new"
    assert node.NodeProvider().read("server-0", told("new")).outs["ready"] is True
    bring_to("new")
    assert machine.restarts == 1


def test_an_upgrade_is_a_drain_and_one_restart(machine: Machine) -> None:
    bring_to("new", NEXT)
    assert (machine.runs, machine.drains, machine.restarts) == (NEXT, 1, 1)
    bring_to("new", NEXT)
    assert (machine.drains, machine.restarts) == (1, 1)


def test_a_version_that_was_never_released_leaves_the_node_as_it_was(machine: Machine) -> None:
    with pytest.raises(NodeError, match="404"):
        bring_to("new", NEVER_RELEASED)
    assert (machine.runs, machine.drains, machine.restarts) == (NOW, 0, 0)
    assert machine.files[CONFIG_PATH] == "old"
    assert node.NodeProvider().read("server-0", told("old")).outs["ready"] is True
    bring_to("old")
    assert machine.restarts == 0


def test_an_upgrade_that_ended_before_its_restart_drains_in_the_next_run(machine: Machine) -> None:
    machine.breaks = True
    with pytest.raises(NodeError, match="the connection broke"):
        bring_to("old", NEXT)
    machine.breaks = False
    assert (machine.installed, machine.runs, machine.drains) == (NEXT, NOW, 1)
    bring_to("old", NEXT)
    assert (machine.runs, machine.drains, machine.restarts) == (NEXT, 2, 1)


def test_a_server_is_not_taken_back_from_a_version_that_it_may_have_run(machine: Machine) -> None:
    machine.breaks = True
    with pytest.raises(NodeError, match="the connection broke"):
        bring_to("old", NEXT)
    with pytest.raises(NodeError, match=f"server-0 has K3s {re.escape(NEXT)} on it: .* cannot go back"):
        bring_to("old", NOW)
    assert machine.installed == NEXT


def test_a_drain_that_fails_leaves_the_release_that_runs_installed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocked(*_: object) -> float:
        raise NodeError("a PodDisruptionBudget holds pods")

    monkeypatch.setattr(node, "_drain_for_upgrade", blocked)
    with pytest.raises(NodeError, match="PodDisruptionBudget"):
        bring_to("new", NEXT)
    assert (machine.installed, machine.runs, machine.restarts) == (NOW, NOW, 0)
    assert node.NodeProvider().read("server-0", told("old")).outs["ready"] is True
    bring_to("old")
    assert machine.restarts == 0


def test_what_a_first_server_has_begun_with_cannot_change_although_it_never_was_ready(machine: Machine) -> None:
    machine.files[CONFIG_PATH] = "cluster-cidr: 10.50.0.0/16\n"
    machine.files["/etc/rancher/k3s/k3s.yaml"] = ""
    another = {**told("new"), "fixed": {"cluster-cidr": "10.60.0.0/16"}}
    with pytest.raises(NodeError, match=r"has begun its cluster with `10\.50\.0\.0/16` for "):
        node.NodeProvider().create(another)
    assert machine.files[CONFIG_PATH] == "cluster-cidr: 10.50.0.0/16\n"
    # One that never began may still become anything.
    del machine.files["/etc/rancher/k3s/k3s.yaml"]
    node.NodeProvider().create(another)
    assert machine.files[CONFIG_PATH] == "new"
