"""The private network of a cluster, and the tags by which DigitalOcean finds its droplets."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_digitalocean as digitalocean


@dataclass(frozen=True)
class NetworkArgs:
    name_prefix: str
    region: pulumi.Input[str]
    vpc_cidr: str
    tags: tuple[str, ...]


class Network(pulumi.ComponentResource):
    """A VPC and the cluster's tags. Output: `vpc_id`."""

    vpc_id: pulumi.Output[str]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("k3s:cloud:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        vpc = digitalocean.Vpc(
            f"{name}-vpc",
            name=f"{args.name_prefix}-vpc-01",
            region=args.region,
            ip_range=args.vpc_cidr,
            opts=child,
        )
        self.tags = {tag: digitalocean.Tag(tag, name=tag, opts=child) for tag in args.tags}
        self.vpc_id = vpc.id
        self.register_outputs({"vpc_id": self.vpc_id})
