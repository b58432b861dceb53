"""How many agents are changed at a time, and what a failure does to those that wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from k3s_cluster.over_ssh import roll
from k3s_cluster.over_ssh.connection import NodeError


@pytest.fixture(autouse=True)
def a_new_run() -> Iterator[None]:
    yield
    roll._failed.clear()
    roll._going.clear()
    roll._made.clear()


def silent(_text: str) -> None:
    return


def test_no_more_than_allowed_are_changed_at_a_time() -> None:
    now, most, lock = 0, 0, threading.Lock()

    def change(name: str) -> None:
        nonlocal now, most
        with roll.turn("blue", name, 2, silent):
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.05)
            with lock:
                now -= 1

    agents = [threading.Thread(target=change, args=(f"agent-{index}",)) for index in range(6)]
    for agent in agents:
        agent.start()
    for agent in agents:
        agent.join(timeout=10)
    assert most == 2
    assert now == 0


def test_a_failure_stops_those_that_wait() -> None:
    with pytest.raises(ValueError, match="broken"), roll.turn("blue", "agent-0", 1, silent):
        raise ValueError("broken")
    with (
        pytest.raises(NodeError, match="agent-1 was left as it is, because agent-0 failed"),
        roll.turn("blue", "agent-1", 1, silent),
    ):
        pytest.fail("agent-1 was touched")


def test_a_cluster_goes_only_when_it_is_said() -> None:
    assert not roll.whole_cluster_goes("blue")
    roll.cluster_is_going("blue")
    assert roll.whole_cluster_goes("blue")


def test_a_rebuilt_node_is_no_longer_its_old_droplet_s() -> None:
    assert not roll.is_another_droplet_s("blue", "server-1", "1")
    roll.node_was_made("blue", "server-1", "2")
    assert roll.is_another_droplet_s("blue", "server-1", "1")
    assert not roll.is_another_droplet_s("blue", "server-1", "2")
    assert not roll.is_another_droplet_s("green", "server-1", "1")


def test_what_one_cluster_does_is_nothing_to_another() -> None:
    with pytest.raises(ValueError, match="broken"), roll.turn("blue", "agent-0", 1, silent):
        raise ValueError("broken")
    roll.cluster_is_going("blue")
    touched = []
    with roll.turn("green", "agent-0", 1, silent):
        touched.append("agent-0")
    assert touched == ["agent-0"]
    assert not roll.whole_cluster_goes("green")
