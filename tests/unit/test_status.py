"""`bin/status`: what is a problem, and what is shown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from k3s_cluster.status import stack_state
from k3s_cluster.status.render import duration, screen
from k3s_cluster.status.report import (
    ApiReport,
    BalancerReport,
    CertificateReport,
    DatastoreReport,
    DriftReport,
    NodeReport,
    Report,
)

SERVER = NodeReport("k3s-server-1a2b", "server", "203.0.113.5", "active", True, True, True, "v1.36.4+k3s1", 7200.0)
WELL = Report(
    stack="fra1",
    wanted_version="v1.36.4+k3s1",
    api=ApiReport("https://203.0.113.3:6443", None),
    nodes=(SERVER,),
    load_balancer=BalancerReport("203.0.113.3", "active"),
    datastore=DatastoreReport("pg", "online", None),
    certificates=(CertificateReport("API", 364.0), CertificateReport("kubeconfig", 364.0)),
)


def test_a_cluster_that_is_well_has_no_problem() -> None:
    assert WELL.problems == ()
    assert screen(WELL, colour=False).endswith("All is well.")
    assert WELL.as_json()["healthy"] is True


SICK: dict[str, tuple[Report, str]] = {
    "API": (replace(WELL, api=ApiReport("https://a", "etcd failed")), "the API at https://a is not ready: etcd failed"),
    "not Ready": (replace(WELL, nodes=(replace(SERVER, ready=False),)), "k3s-server-1a2b is not Ready"),
    "cordoned": (
        replace(WELL, nodes=(replace(SERVER, cordoned=True),)),
        "k3s-server-1a2b is cordoned, and takes no new pods: `kubectl uncordon k3s-server-1a2b`",
    ),
    "off": (replace(WELL, nodes=(replace(SERVER, droplet="off", answers_ssh=False),)), "k3s-server-1a2b is off"),
    "silent": (replace(WELL, nodes=(replace(SERVER, answers_ssh=False),)), "k3s-server-1a2b does not answer SSH"),
    "droplet gone": (replace(WELL, nodes=(replace(SERVER, droplet="gone"),)), "has no droplet any more"),
    "outside": (replace(WELL, nodes=(replace(SERVER, known=False, ready=None),)), "is not in the cluster"),
    "load balancer": (replace(WELL, load_balancer=BalancerReport("a", "errored")), "the load balancer is errored"),
    "database": (replace(WELL, datastore=DatastoreReport("pg", "online", "silence")), "does not answer: silence"),
    "database in work": (replace(WELL, datastore=DatastoreReport("pg", "resizing", None)), "datastore is resizing"),
    "certificate": (replace(WELL, certificates=(CertificateReport("API", 3.2),)), "API certificate ends in 3 days"),
    "drift": (replace(WELL, drift=DriftReport(True, "look")), "the stack has drifted: look"),
    "no word on drift": (replace(WELL, drift=DriftReport(None, "silence")), "not known whether the stack has drifted"),
}


@pytest.mark.parametrize(("report", "problem"), SICK.values(), ids=SICK.keys())
def test_what_is_not_well_is_said(report: Report, problem: str) -> None:
    (said,) = report.problems
    assert problem in said
    assert problem in screen(report, colour=False)
    assert report.as_json()["healthy"] is False


def test_an_open_upgrade_is_shown_and_is_no_problem() -> None:
    behind = replace(WELL, wanted_version="v1.36.5+k3s1")
    assert behind.problems == ()
    assert "v1.36.5+k3s1 is asked for; `pulumi up` upgrades k3s-server-1a2b (v1.36.4+k3s1)" in screen(
        behind, colour=False
    )


def test_without_a_wanted_version_there_is_no_upgrade() -> None:
    unknown = replace(WELL, wanted_version=None)
    assert unknown.upgrades == ()
    assert "upgrades       unknown" in screen(unknown, colour=False)


def test_what_nobody_knows_is_not_called_well_known() -> None:
    unknown = replace(WELL, nodes=(replace(SERVER, known=None, ready=None, version=None, age=None),))
    shown = screen(unknown, colour=False)
    assert "unknown" in shown
    assert "none open" not in shown


def test_colour_only_where_it_is_asked_for() -> None:
    assert "\033[" in screen(WELL, colour=True)
    assert "\033[" not in screen(WELL, colour=False)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(5, "5 s"), (119, "1 min"), (7200, "2 h"), (86400 * 2.9, "2 d"), (86400 * 400, "400 d")]
)
def test_ages(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def secret(text: str) -> dict[str, str]:
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps(text)}


def test_an_export_is_read_without_what_is_on_its_way_out() -> None:
    droplet = {
        "type": "digitalocean:index/droplet:Droplet",
        "id": "7",
        "outputs": {"name": "k3s-server-1a2b", "ipv4Address": "203.0.113.5", "tags": ["k3s_server"]},
    }
    node = {
        "type": "pulumi-python:dynamic/over_ssh:Node",
        "id": "k3s-server-1a2b",
        "outputs": {"droplet_id": "7", "host_key": "ssh-ed25519 AAAA", "private_key": secret("KEY")},
    }
    old = {**droplet, "id": "6", "delete": True}
    state = stack_state.read({"deployment": {"resources": [old, droplet, node]}})
    (known,) = state.nodes
    assert (known.name, known.role, known.droplet_id, known.host_key) == (
        *("k3s-server-1a2b", "server", "7"),
        "ssh-ed25519 AAAA",
    )
    assert (state.private_key, state.kubeconfig, state.database) == ("KEY", None, None)


def test_an_empty_stack_has_nothing() -> None:
    assert stack_state.read({"deployment": {}}).nodes == ()
