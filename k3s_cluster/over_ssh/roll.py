"""How many nodes are changed at a time, and when no more may be.

Pulumi orders servers by their dependencies; agents depend on no other agent, so that they can be made side by side, and
take turns here when they are changed. All nodes of a run are handled by one process: these are its memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from k3s_cluster.over_ssh.connection import NodeError
from k3s_cluster.over_ssh.progress import Progress

_turn = threading.Condition()
_changing: set[str] = set()
_failed: list[str] = []
_going = threading.Event()


@contextmanager
def turn(name: str, at_a_time: int, progress: Progress) -> Iterator[None]:
    """Wait until fewer than `at_a_time` other agents are being changed. NodeError if one has failed: the roll stops."""
    with _turn:
        while len(_changing) >= at_a_time and not _failed:
            progress("waiting for other agents")
            _turn.wait(timeout=1)
        if _failed:
            raise NodeError(f"{name} was left as it is, because {_failed[0]} failed; `pulumi up` continues from there")
        _changing.add(name)
    try:
        yield
    except BaseException:
        with _turn:
            _failed.append(name)
        raise
    finally:
        with _turn:
            _changing.discard(name)
            _turn.notify_all()


def cluster_is_going() -> None:
    """From now on nodes go without a drain: their whole cluster goes."""
    _going.set()


def whole_cluster_goes() -> bool:
    """True once the cluster's kubeconfig, which nothing outlives, is being deleted in this run."""
    return _going.is_set()
