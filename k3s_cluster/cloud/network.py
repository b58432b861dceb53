"""The private network of a cluster, its own or one that is there, and the tags by which its droplets are found."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_digitalocean as digitalocean

from k3s_cluster.cloud.deletion import VpcDeletion


@dataclass(frozen=True)
class NetworkArgs:
    """`vpc_id` is that of a VPC that is there already; without it, one with the range `vpc_cidr` is made."""

    name_prefix: str
    region: pulumi.Input[str]
    vpc_cidr: str
    vpc_id: str | None
    tags: tuple[str, ...]


class Network(pulumi.ComponentResource):
    """A VPC and the cluster's tags. Outputs: `vpc_id`, `vpc_range`."""

    vpc_id: pulumi.Output[str]
    vpc_range: pulumi.Output[str]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("k3s:cloud:Network", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        if args.vpc_id:
            there = digitalocean.get_vpc_output(id=args.vpc_id, opts=pulumi.InvokeOutputOptions(parent=self))
            in_region = pulumi.Output.all(there.id, there.region, args.region).apply(lambda told: _in_region(*told))
            self.vpc_id, self.vpc_range = in_region, there.ip_range
        else:
            vpc = digitalocean.Vpc(
                f"{name}-vpc",
                name=f"{args.name_prefix}-vpc-01",
                region=args.region,
                ip_range=args.vpc_cidr,
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
            deletion = VpcDeletion(f"{name}-vpc-deletion", vpc.id, child)
            self.vpc_id, self.vpc_range = deletion.target, pulumi.Output.from_input(args.vpc_cidr)
        self.tags = {tag: digitalocean.Tag(tag, name=tag, opts=child) for tag in args.tags}
        self.register_outputs({"vpc_id": self.vpc_id})


def _in_region(vpc_id: str, its_region: str, region: str) -> str:
    """The id; RunError for a VPC elsewhere, which the API would refuse only when droplets are made."""
    if its_region != region:
        raise pulumi.RunError(f"vpcId: `{vpc_id}` is in {its_region}, and region is `{region}`; they must be the same.")
    return vpc_id
