"""Several clusters in one program: no two resources may have one URN, and the first cluster's never change."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pulumi
from pulumi.runtime import mocks

from k3s_cluster.cluster import K3sCluster
from k3s_cluster.settings import ClusterSettings
from tests.unit.test_program import Cloud


class Listing(Cloud):
    """Lists every resource by what tells it apart in a URN besides its parents' types."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[tuple[str, str]] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.listed.append((args.typ, args.name))
        return super().new_resource(args)


def clusters(*names: str) -> list[tuple[str, str]]:
    asyncio.set_event_loop(asyncio.new_event_loop())
    cloud = Listing()
    mocks.set_mocks(cloud, project="own", stack="dev")

    @pulumi.runtime.test
    def program() -> pulumi.Output[None]:
        made = [K3sCluster(name, ClusterSettings.of(name, {"kubeconfigPath": f"{name}.yaml"})) for name in names]
        return pulumi.Output.all(*(cluster.outputs["apiEndpoint"] for cluster in made)).apply(lambda _: None)

    program()
    return cloud.listed


def test_two_clusters_share_no_name() -> None:
    listed = clusters("blue", "green")
    assert [what for what, times in Counter(listed).items() if times > 1] == []
    # Nothing hides behind the other: each has as much as it has alone.
    assert len(listed) == 2 * len(clusters("blue"))


def test_the_project_s_own_cluster_keeps_the_names_it_has_had_from_the_beginning() -> None:
    names = {name for _, name in clusters("k3s")}
    assert {"server-token", "agent-token", "kubeconfig", "datastore-grants", "server-0", "server-0-droplet"} <= names
    assert {"k3s-vpc", "k3s-datastore-cluster", "k3s-load-balancer-api", "k3s-key-pair", "agent-0-name"} <= names
