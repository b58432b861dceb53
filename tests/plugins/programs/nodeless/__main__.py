"""The product's whole program where droplets have no machines: nobody goes to them over SSH."""

from typing import Any

import pulumi

from k3s_cluster import K3sCluster, cluster
from k3s_cluster.account.check import check_account
from k3s_cluster.stack_config import stack_credentials, stack_settings


class OverSsh(pulumi.ComponentResource):
    """Stands for what is done on a node."""

    def __init__(self, name: str, args: Any, opts: pulumi.ResourceOptions) -> None:
        super().__init__(f"test:over_ssh:{type(args).__name__}", name, None, opts)
        self.kubeconfig = self.path = self.server_token = pulumi.Output.from_input("")


for kind in ("DatastoreGrants", "Kubeconfig", "Node"):
    setattr(cluster, kind, OverSsh)
settings = stack_settings()
check_account(settings, stack_credentials())
K3sCluster("k3s", settings)
