"""One of each kind of resource that the local cloud has, wired to each other as a cluster's are."""

import pulumi
import pulumi_digitalocean as digitalocean
import pulumi_random as random

config = pulumi.Config()
size = config.get("size") or "s-1vcpu-2gb"
tags = config.get_object("tags") or []
label = config.get("label") or "first"

node = random.RandomId("node", byte_length=2)
password = random.RandomPassword("password", length=24, special=False)
vpc = digitalocean.Vpc("vpc", name="everything-vpc", region="fra1", ip_range="10.20.30.0/24", description=label)
tag = digitalocean.Tag("server", name="everything_server")
key = digitalocean.SshKey(
    "key",
    name=f"everything-{label}",
    public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEiR8CLqQqx+I3zSGKoXmfNwMs5J0wk9Raw/hLjTpD0r",
)
droplet = digitalocean.Droplet(
    "droplet",
    name=node.hex.apply(lambda digits: f"everything-{digits}"),
    region="fra1",
    size=size,
    image="ubuntu-24-04-x64",
    vpc_uuid=vpc.id,
    ssh_keys=[key.fingerprint],
    tags=[tag.id, *tags],
    user_data=pulumi.Output.secret("#cloud-config\n"),
)
automatic = digitalocean.Droplet("automatic", region="fra1", size="s-1vcpu-1gb", image="ubuntu-24-04-x64")
firewall = digitalocean.Firewall(
    "firewall",
    name="everything-firewall",
    tags=[tag.id],
    inbound_rules=[
        {"protocol": "tcp", "port_range": "22", "source_addresses": ["0.0.0.0/0", "::/0"]},
        {"protocol": "tcp", "port_range": "1-65535", "source_tags": [tag.id]},
        {"protocol": "icmp", "source_addresses": ["10.20.30.0/24"]},
    ],
    outbound_rules=[
        {"protocol": "tcp", "port_range": "all", "destination_addresses": ["0.0.0.0/0"]},
        {"protocol": "udp", "port_range": "all", "destination_addresses": ["0.0.0.0/0"]},
    ],
)
balancer = digitalocean.LoadBalancer(
    "balancer",
    name="everything-balancer",
    region="fra1",
    size_unit=1,
    vpc_uuid=vpc.id,
    droplet_tag=tag.name,
    forwarding_rules=[
        {
            "entry_protocol": "https",
            "entry_port": 6443,
            "target_protocol": "https",
            "target_port": 6443,
            "tls_passthrough": True,
        }
    ],
    healthcheck={"protocol": "tcp", "port": 6443, "check_interval_seconds": config.get_int("interval") or 10},
)
cluster = digitalocean.DatabaseCluster(
    "cluster",
    name="everything-db",
    engine="pg",
    version="17",
    size="db-s-1vcpu-1gb",
    region="fra1",
    node_count=1,
    private_network_uuid=vpc.id,
    tags=[tag.id],
    maintenance_windows=[{"day": "sunday", "hour": "03:00"}],
)
user = digitalocean.DatabaseUser("user", cluster_id=cluster.id, name="k3s_default_user")
database = digitalocean.DatabaseDb("database", cluster_id=cluster.id, name="kubernetes")
trusted = digitalocean.DatabaseFirewall("trusted", cluster_id=cluster.id, rules=[{"type": "tag", "value": tag.name}])
project = digitalocean.Project("project", name="everything", environment="Development", description=label)
members = digitalocean.ProjectResources(
    "members",
    project=project.id,
    resources=[droplet.droplet_urn, cluster.cluster_urn, balancer.load_balancer_urn],
)

pulumi.export("dropletAddress", droplet.ipv4_address)
pulumi.export("dropletName", droplet.name)
pulumi.export("automaticName", automatic.name)
pulumi.export("balancerAddress", balancer.ip)
pulumi.export("databasePassword", user.password)
pulumi.export("databaseUri", cluster.uri)
pulumi.export("password", password.result)
pulumi.export("userData", droplet.user_data)
pulumi.export("ca", digitalocean.get_database_ca_output(cluster_id=cluster.id).certificate)
pulumi.export("region", digitalocean.get_region_output(slug=droplet.region).name)
