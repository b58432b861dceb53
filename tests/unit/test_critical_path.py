"""What the table of the critical path makes of a state."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.critical_path import milestones, table

BEGAN = datetime(2026, 12, 1, 11, 0, 0, tzinfo=UTC)


def resource(kind: str, name: str, created: str) -> dict[str, str]:
    return {"type": kind, "urn": f"urn:pulumi:dev::k3s::{kind}::{name}", "created": f"2026-12-01T{created}Z"}


def test_a_milestone_is_the_first_or_the_last_of_its_kind() -> None:
    state = [
        resource("digitalocean:index/droplet:Droplet", "server-0-droplet", "11:00:30.5"),
        resource("digitalocean:index/droplet:Droplet", "agent-0-droplet", "11:00:31"),
        resource("pulumi-python:dynamic/over_ssh:Node", "server-0", "11:01:00.123456789"),
        resource("pulumi-python:dynamic/over_ssh:Node", "server-1", "11:01:20"),
        resource("pulumi-python:dynamic/over_ssh:Node", "agent-0", "11:01:10"),
        resource("pulumi-python:dynamic/over_ssh:Kubeconfig", "kubeconfig", "11:01:25"),
    ]
    found = dict(milestones(state, BEGAN))
    assert found == {
        "all droplets active": 31.0,
        "first server Ready": 60.123456,
        "all servers Ready": 80.0,
        "all agents Ready": 70.0,
        "kubeconfig written, API answers": 85.0,
    }
    assert table({"2 + 1": found}).splitlines()[2] == "| 2 + 1 | 31 s |  | 60 s | 80 s | 70 s | 85 s |  |"
