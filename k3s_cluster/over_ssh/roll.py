"""How many nodes are changed at a time, and when no more may be.

Pulumi orders servers by their dependencies; agents depend on no other agent, so that they can be made side by side, and
take turns here when they are changed. All nodes of a run are handled by one process: these are its memory. A program
may have several clusters, told apart by the private key that their nodes are logged in to with.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from k3s_cluster.over_ssh.connection import NodeError
from k3s_cluster.over_ssh.progress import Progress

_turn = threading.Condition()
_changing: defaultdict[str, set[str]] = defaultdict(set)
_failed: defaultdict[str, list[str]] = defaultdict(list)
_going: set[str] = set()
_made: dict[tuple[str, str], str] = {}


@contextmanager
def turn(cluster: str, name: str, at_a_time: int, progress: Progress) -> Iterator[None]:
    """Wait until fewer than `at_a_time` other agents are being changed. NodeError if one has failed: the roll stops."""
    with _turn:
        while len(_changing[cluster]) >= at_a_time and not _failed[cluster]:
            progress("waiting for other agents")
            _turn.wait(timeout=1)
        if _failed[cluster]:
            failed = _failed[cluster][0]
            raise NodeError(f"{name} was left as it is, because {failed} failed; `pulumi up` continues from there")
        _changing[cluster].add(name)
    try:
        yield
    except BaseException:
        with _turn:
            _failed[cluster].append(name)
        raise
    finally:
        with _turn:
            _changing[cluster].discard(name)
            _turn.notify_all()


def cluster_is_going(cluster: str) -> None:
    """From now on its nodes go without a drain: their whole cluster goes."""
    _going.add(cluster)


def whole_cluster_goes(cluster: str) -> bool:
    """True once the cluster's kubeconfig, which nothing outlives, is being deleted in this run."""
    return cluster in _going


def node_was_made(cluster: str, name: str, droplet_id: str) -> None:
    """From now on the node of this name is this droplet's."""
    _made[cluster, name] = droplet_id


def is_another_droplet_s(cluster: str, name: str, droplet_id: str) -> bool:
    """True if this run made a node of that name on another droplet: the old one's is gone with it."""
    return _made.get((cluster, name), droplet_id) != droplet_id
