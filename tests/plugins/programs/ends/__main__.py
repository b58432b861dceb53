"""A network and a project of the product's, with droplets that nobody has to boot."""

import pulumi
import pulumi_digitalocean as digitalocean

from k3s_cluster.cloud.network import Network, NetworkArgs
from k3s_cluster.cloud.project import Project, ProjectArgs

network = Network("k3s", NetworkArgs("k3s", "fra1", "10.10.10.0/24", None, ()))
droplets = [
    digitalocean.Droplet(
        name, name=name, image="ubuntu-24-04-x64", size="s-1vcpu-2gb", region="fra1", vpc_uuid=network.vpc_id
    )
    for name in (pulumi.Config().get("droplets") or "one,two").split(",")
]
Project("k3s", ProjectArgs(None, "k3s", "Development")).hold([droplet.droplet_urn for droplet in droplets])
pulumi.export("vpc", network.vpc_id)
