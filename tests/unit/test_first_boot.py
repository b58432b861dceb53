"""Waiting for cloud-init: what a person reads meanwhile, and when it is over."""

from __future__ import annotations

from typing import cast

import pytest

from cloud_init import FIRST_BOOT_SCRIPT, FIRST_BOOT_SETTINGS
from k3s_cluster.over_ssh import first_boot
from k3s_cluster.over_ssh.connection import Connection, NodeError, SshTarget
from k3s_cluster.over_ssh.first_boot import wait_for_first_boot


class _Droplet:
    """Answers `cloud-init status` with each of `statuses` in turn, the last one for ever."""

    def __init__(self, *statuses: str) -> None:
        self.target = SshTarget(host="203.0.113.7", private_key="", host_key="")
        self._statuses = list(statuses)
        self.ran: list[str] = []
        self.written: dict[str, str] = {}

    def attempt(self, *command: str) -> tuple[int, str, str]:
        if command[0] == "tail":
            return 0, "the end of its log", ""
        assert command == ("cloud-init", "status", "--format", "json")
        return 0, self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0], ""

    def write_file(self, path: str, text: str, mode: str) -> bool:
        assert mode == "0644"
        self.written[path] = text
        return True

    def run(self, *command: str, timeout: float) -> str:
        self.ran.append(command[0])
        return ""


def _wait(droplet: _Droplet) -> list[str]:
    said: list[str] = []
    wait_for_first_boot(cast("Connection", droplet), "agent", "v1.36.5+k3s1", said.append)
    return said


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_boot, "POLL_SECONDS", 0)


@pytest.mark.parametrize("end", ["done", "disabled"])
def test_it_says_what_it_waits_for_until_cloud_init_has_ended(end: str) -> None:
    droplet = _Droplet("", '{"status": "not started"}', '{"status": "running"}', f'{{"status": "{end}"}}')
    assert _wait(droplet) == ["waiting for cloud-init"] * 3
    assert droplet.ran == []


@pytest.mark.parametrize("status", ["error", "error - done", "error - running"])
def test_the_script_of_a_first_boot_that_failed_is_run_again(status: str) -> None:
    droplet = _Droplet(f'{{"status": "{status}"}}')
    assert _wait(droplet) == ["repeating the first boot's script"]
    assert droplet.ran == [FIRST_BOOT_SCRIPT]
    # The release in the user data may be one that does not exist, and the setting is another one by now.
    assert droplet.written == {FIRST_BOOT_SETTINGS: "K3S_ROLE=agent\nK3S_VERSION=v1.36.5+k3s1\n"}


def test_one_that_does_not_end_is_an_error_with_the_end_of_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_boot, "FIRST_BOOT_DEADLINE_SECONDS", 0.01)
    with pytest.raises(NodeError, match=r"first boot of 203\.0\.113\.7 took over 0\.01 s.*\nthe end of its log"):
        _wait(_Droplet('{"status": "running"}'))
