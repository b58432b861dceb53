"""An account as the tests' plans find it: what DigitalOcean sells, and VPCs, a droplet and keys of others."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

from k3s_cluster.account.facts import (
    Account,
    DatabaseOffer,
    Droplet,
    Image,
    Region,
    ReservedAddress,
    Size,
    SshKey,
    Vpc,
)

HERE = ("fra1", "ams3")
LAYOUTS = {1: ("db-s-1vcpu-1gb", "db-s-1vcpu-2gb"), 2: ("db-s-1vcpu-2gb",), 3: ("db-s-1vcpu-2gb",)}
FINGERPRINT = "3b:16:bf:e4:8b:00:8b:b8:59:8c:a9:d3:f0:19:45:fa"

ACCOUNT = Account(
    scopes=("read", "write"),
    droplet_limit=10,
    regions=(Region("fra1", True), Region("ams3", True), Region("ams2", False), Region("nyc3", True)),
    sizes=(
        Size("s-1vcpu-2gb", True, HERE, 2048, 50, 12.0),
        Size("s-2vcpu-4gb", True, HERE, 4096, 80, 24.0),
        Size("s-2vcpu-4gb-amd", True, HERE, 4096, 80, 28.0),
        Size("s-4vcpu-8gb", True, HERE, 8192, 160, 48.0),
        Size("c-2", True, ("nyc3",), 4096, 25, 42.0),
        Size("s-1vcpu-512mb-10gb", True, HERE, 512, 10, 4.0),
        Size("4gb", False, (), 4096, 60, 40.0),
    ),
    images={
        "ubuntu-24-04-x64": Image("ubuntu-24-04-x64", "available", (*HERE, "nyc3"), 7),
        "ubuntu-20-04-x64": Image("ubuntu-20-04-x64", "retired", HERE, 7),
        "debian-13-x64": Image("debian-13-x64", "available", ("nyc3",), 7),
        "large-x64": Image("large-x64", "available", HERE, 60),
        "ubuntu-24-40-x64": None,
    },
    distributions=(
        Image("ubuntu-24-04-x64", "available", (*HERE, "nyc3"), 7),
        Image("ubuntu-22-04-x64", "available", HERE, 7),
        Image("debian-12-x64", "available", HERE, 7),
        Image("debian-13-x64", "available", ("nyc3",), 7),
    ),
    vpcs=(
        Vpc("vpc-of-fra1", "default-fra1", "fra1", IPv4Network("10.20.0.0/20")),
        Vpc("vpc-of-nyc3", "default-nyc3", "nyc3", IPv4Network("10.10.11.0/24")),
    ),
    droplets=(Droplet("other", "s-1vcpu-2gb", "ubuntu-24-04-x64", ("web",), 12.0),),
    load_balancers=(),
    databases=(),
    database_offers={
        "pg": DatabaseOffer(HERE, ("15", "16", "17"), LAYOUTS),
        "redis": DatabaseOffer(HERE, ("7",), LAYOUTS),
    },
    ssh_keys=(SshKey("laptop", FINGERPRINT), SshKey("twice", "aa:bb"), SshKey("twice", "cc:dd")),
    projects=("k3s-cluster", "platform"),
    reserved_addresses=(ReservedAddress("192.0.2.7", "fra1"), ReservedAddress("192.0.2.8", "nyc3")),
)


def with_cluster(
    account: Account = ACCOUNT, servers: int = 2, agents: int = 1, image: str = "ubuntu-24-04-x64"
) -> Account:
    """The account with droplets of the reference stack in it."""
    made = [
        *(Droplet(f"k3s-server-{n:04x}", "s-2vcpu-4gb", image, ("k3s_server",), 24.0) for n in range(servers)),
        *(Droplet(f"k3s-agent-{n:04x}", "s-1vcpu-2gb", image, ("k3s_agent",), 12.0) for n in range(agents)),
    ]
    return replace(account, droplets=(*(account.droplets or ()), *made))
