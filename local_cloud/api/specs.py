"""From records to what the machine room is asked to build. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from local_cloud import machine_room
from local_cloud.api.records import Database, Droplet, LoadBalancer, Vpc
from local_cloud.catalogue.databases import max_connections
from local_cloud.catalogue.sizes import SIZES


def droplet_spec(droplet: Droplet, vpc: Vpc) -> machine_room.DropletSpec:
    size = SIZES[droplet.size]
    return machine_room.DropletSpec(
        id=droplet.id,
        name=droplet.name,
        image=droplet.image,
        vcpus=size.vcpus,
        memory_mib=size.memory,
        disk_gib=droplet.disk,
        region=droplet.region,
        public_ip=IPv4Address(droplet.public_ip),
        private_ip=IPv4Address(droplet.private_ip),
        vpc_range=IPv4Network(vpc.ip_range),
        user_data=droplet.user_data,
        ssh_public_keys=tuple(droplet.ssh_public_keys),
        tags=tuple(droplet.tags),
    )


def database_spec(database: Database, vpc: Vpc) -> machine_room.DatabaseSpec:
    return machine_room.DatabaseSpec(
        id=database.id,
        name=database.name,
        engine=database.engine,
        version=database.version,
        host=database.host,
        private_host=database.private_host,
        port=database.port,
        public_ip=IPv4Address(database.public_ip),
        private_ip=IPv4Address(database.private_ip),
        vpc_range=IPv4Network(vpc.ip_range),
        max_connections=max_connections(database.engine, database.size),
        users=tuple(machine_room.DatabaseUserSpec(user.name, user.password) for user in database.users),
        databases=tuple(database.databases),
        copy=machine_room.DatabaseCopy(database.copied_from, database.copied_backup) if database.copied_from else None,
    )


def targets_of(balancer: LoadBalancer, droplets: Iterable[Droplet]) -> list[Droplet]:
    """The droplets that a load balancer sends to: those it names or that carry its tag, in its VPC."""
    return [
        droplet
        for droplet in droplets
        if droplet.vpc_uuid == balancer.vpc_uuid
        and (balancer.tag in droplet.tags if balancer.tag else droplet.id in balancer.droplet_ids)
    ]


def load_balancer_spec(balancer: LoadBalancer, vpc: Vpc, droplets: Iterable[Droplet]) -> machine_room.LoadBalancerSpec:
    check = balancer.health_check
    return machine_room.LoadBalancerSpec(
        id=balancer.id,
        name=balancer.name,
        public_ip=IPv4Address(balancer.public_ip),
        private_ip=IPv4Address(balancer.private_ip),
        vpc_range=IPv4Network(vpc.ip_range),
        rules=tuple(
            machine_room.ForwardingRule(rule.entry_port, rule.target_port) for rule in balancer.forwarding_rules
        ),
        health_check=machine_room.HealthCheck(
            protocol=check.protocol,
            port=check.port,
            path=None if check.protocol == "tcp" else check.path,
            interval_seconds=check.check_interval_seconds,
            timeout_seconds=check.response_timeout_seconds,
            healthy_threshold=check.healthy_threshold,
            unhealthy_threshold=check.unhealthy_threshold,
        ),
        targets=tuple(IPv4Address(droplet.private_ip) for droplet in targets_of(balancer, droplets)),
    )
