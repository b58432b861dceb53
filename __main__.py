"""K3s on DigitalOcean: the stack's config becomes a cluster, and the cluster's outputs the stack's."""

import pulumi

from k3s_cluster import K3sCluster
from k3s_cluster.account.check import check_account
from k3s_cluster.stack_config import stack_credentials, stack_settings

settings = stack_settings()
is_new = check_account(settings, stack_credentials())
cluster = K3sCluster("k3s", settings, is_new=is_new)
for name, value in cluster.outputs.items():
    pulumi.export(name, value)
