"""Two small clusters in one program: each setting is one of README's, and what is left out has README's default."""

import pulumi

from k3s_cluster import ClusterSettings, K3sCluster

# Names in the account begin with the cluster's name, and ranges of VPCs must not overlap.
RANGES = {"blue": "10.40.0.0/24", "green": "10.41.0.0/24"}

for name, vpc_range in RANGES.items():
    settings = ClusterSettings.of(
        name,
        {"topology": "single-node", "vpcCidr": vpc_range, "kubeconfigPath": "{stack}.kubeconfig.yaml"},
    )
    cluster = K3sCluster(name, settings)
    pulumi.export(name, cluster.outputs["apiEndpoint"])
