"""What is shown of an error in a dynamic provider: the message if it was written for people, else the traceback."""

from __future__ import annotations

import traceback

import pulumi
import pytest
from pulumi.dynamic import Config, ConfigureRequest

from k3s_cluster.account.provider import AccountProvider
from k3s_cluster.dynamic_provider import DynamicProvider
from k3s_cluster.over_ssh.connection import NodeError


@pytest.mark.parametrize("kind", [DynamicProvider, AccountProvider])
@pytest.mark.parametrize(
    ("error", "shown"),
    [(NodeError("SSH does not answer"), "SSH does not answer"), (pulumi.RunError("no such token"), "no such token")],
)
def test_an_error_for_people_is_its_message_alone(
    monkeypatch: pytest.MonkeyPatch, kind: type[DynamicProvider], error: Exception, shown: str
) -> None:
    assert as_pulumi_shows(monkeypatch, kind, error) == shown


def test_a_fault_of_the_program_is_shown_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = as_pulumi_shows(monkeypatch, DynamicProvider, KeyError("name"))
    assert "Traceback" in shown
    assert "in as_pulumi_shows" in shown


def as_pulumi_shows(monkeypatch: pytest.MonkeyPatch, kind: type[DynamicProvider], error: Exception) -> str:
    """What Pulumi's provider process makes of `error`, once it has configured a provider of that kind."""
    monkeypatch.setattr(traceback, "format_exc", traceback.format_exc)
    kind().configure(ConfigureRequest(Config({}, "project")))
    try:
        raise error
    except type(error):
        return traceback.format_exc()
