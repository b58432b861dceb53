"""A managed database of the product's, without the cluster around it."""

import pulumi

from k3s_cluster.cloud.datastore import Datastore, DatastoreArgs
from k3s_cluster.cloud.network import Network, NetworkArgs
from k3s_cluster.settings import ManagedDatastoreSettings

config = pulumi.Config()
network = Network("k3s", NetworkArgs("k3s", "fra1", "10.10.10.0/24", None, ("k3s_server",)))
settings = ManagedDatastoreSettings("pg", config.get("version") or "16", "db-s-1vcpu-2gb", 1, False, 1)
tag = network.tags["k3s_server"].name
datastore = Datastore("k3s", DatastoreArgs("k3s", "fra1", settings, network.vpc_id, tag))
pulumi.export("version", datastore.version)
