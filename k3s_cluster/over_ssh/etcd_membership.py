"""What is done about etcd while a server is brought to what it should be (node.py): with its peers, in this order.

`peers` before anything, `keep_quorum` before each stop, `take` before a start, `settle` after it. `props` are the
node's, as node.py has them.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from k3s_cluster.over_ssh import embedded_etcd, etcd_restore, k3s_service, scheduling
from k3s_cluster.over_ssh.connection import OTHER_SERVER_SECONDS, Connection, NodeError, connect, target_of
from k3s_cluster.over_ssh.progress import Progress


def peers(props: dict[str, Any], stack: ExitStack, node: Connection, progress: Progress) -> list[Connection | None]:
    """Connections to the other servers, None for each that does not answer.

    A new cluster's servers boot at the same time, so they are waited for until it is known whether anybody has data.
    """
    found: list[Connection | None] = []
    for peer in props["peers"]:
        try:
            found.append(stack.enter_context(connect(target_of(props, peer), progress, OTHER_SERVER_SECONDS)))
        except NodeError:
            found.append(None)
    if _membership(props, node, found) is None or etcd_restore.is_waiting(node):
        for index, peer in enumerate(props["peers"]):
            if found[index] is None:
                progress(f"waiting for {peer['host']}, which may have the cluster's data")
                try:
                    found[index] = stack.enter_context(connect(target_of(props, peer), progress))
                except NodeError as error:
                    raise NodeError(
                        f"{props['name']} was not started: no server that answers has data of etcd, and {peer['host']} "
                        f"may have it ({error}). Boot that droplet, or, if it is lost, delete it and `pulumi refresh`"
                    ) from None
    return found


def take(props: dict[str, Any], node: Connection, others: list[Connection | None], progress: Progress) -> bool:
    """Tell a server without data to begin the cluster, or to join it. True if it must be (re)started for that."""
    if etcd_restore.is_waiting(node):
        if any(peer is None or embedded_etcd.has_data(peer) for peer in others):
            raise NodeError(
                f"{props['name']} was not made from the backup: another server has data of etcd, or does not answer. A "
                "backup goes into a new cluster only: `pulumi destroy`, and restore again"
            )
        progress("restoring the snapshot")
        etcd_restore.take_up(node)
        node.write_file(embedded_etcd.MEMBERSHIP_PATH, embedded_etcd.BEGINS)
        return True
    if embedded_etcd.has_data(node):
        return False
    told = _membership(props, node, others)
    if told is None:
        raise NodeError(f"{props['name']}: it cannot be told who has the data of etcd")
    if told == embedded_etcd.BEGINS and embedded_etcd.has_begun(props["private_key"]):
        raise NodeError(
            f"{props['name']} was not started: none of the cluster's servers has data of etcd any more, and a new "
            f"etcd would begin empty. Restore a snapshot on this server, {props['host']}, as README says, and "
            "`pulumi up` goes on from there; or give the cluster up with `pulumi destroy`"
        )
    if told == embedded_etcd.BEGINS and props.get("from_backup"):
        raise NodeError(
            f"{props['name']} was not started: the backup's snapshot is not on it (was its droplet lost?), and the "
            "cluster would begin empty. `pulumi destroy`, and `bin/restore` again: the backup is as it was"
        )
    if told != embedded_etcd.BEGINS:
        # The member that this node was before its data was lost: K3s lets no second one of its name join.
        for peer in others:
            if peer is not None and k3s_service.answers(peer):
                if scheduling.get_node(peer, props["name"]) is not None:
                    progress("taking its lost member out of etcd")
                    scheduling.remove(peer, props["name"])
                break
        else:
            hosts = [told["host"] for told, peer in zip(props["peers"], others, strict=True) if _has_data(peer)]
            raise NodeError(
                f"{props['name']} cannot join: the API of no other server answers, so etcd has lost its majority. "
                "Bring servers back; or, if they are lost for good, go on with one that has the data "
                f'({", ".join(hosts)}), as README says under "etcd inside the servers"'
            )
    node.write_file(embedded_etcd.MEMBERSHIP_PATH, told)
    return True


def settle(props: dict[str, Any], node: Connection, progress: Progress) -> None:
    """Wait for the member, and see to it that a server never begins a second cluster: from now on it can only join."""
    embedded_etcd.wait_until_healthy(node, props["name"], progress)
    etcd_restore.finish(node, props["name"])
    told = embedded_etcd.joins(props["api_name"]) if props["peers"] else embedded_etcd.BEGINS
    node.write_file(embedded_etcd.MEMBERSHIP_PATH, told)


def keep_quorum(props: dict[str, Any], node: Connection, others: list[Connection | None], progress: Progress) -> None:
    """Let a running member stop only when the others go on without it."""
    if k3s_service.runs(node, "server") and embedded_etcd.has_data(node):
        answering = [peer for peer in others if peer is not None]
        # The cluster calls a node Ready for some 40 s after it has died; whoever is silent here is not well.
        silent = [told["host"] for told, peer in zip(props["peers"], others, strict=True) if peer is None]
        embedded_etcd.wait_for_quorum_without(node, props["name"], answering, silent, progress)


def _has_data(peer: Connection | None) -> bool:
    return peer is not None and embedded_etcd.has_data(peer)


def _membership(props: dict[str, Any], node: Connection, others: list[Connection | None]) -> str | None:
    data = [None if peer is None else embedded_etcd.has_data(peer) for peer in others]
    return embedded_etcd.membership(embedded_etcd.has_data(node), data, props["api_name"])
