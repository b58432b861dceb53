"""What people reach the API by: an address that outlives its droplet, and a name in DNS."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_digitalocean as digitalocean

from k3s_cluster.account.domains import domain_of

#: Seconds. Short, because the name follows the address of a cluster that was built anew (the API allows 30 and more).
RECORD_TTL = 60


@dataclass(frozen=True)
class ReservedAddressArgs:
    """`address` is `auto`, for a new one, or one that the account has reserved."""

    region: pulumi.Input[str]
    address: str
    droplet_id: pulumi.Input[str]


class ReservedAddress(pulumi.ComponentResource):
    """A reserved IPv4 address that leads to a droplet, and to the next one when that is replaced. Output: `ip`.

    An address that the account had before stays reserved when the stack goes.
    """

    ip: pulumi.Output[str]

    def __init__(self, name: str, args: ReservedAddressArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("k3s:cloud:ReservedAddress", name, None, opts)
        droplet = pulumi.Output.from_input(args.droplet_id).apply(int)
        if args.address == "auto":
            reserved = digitalocean.ReservedIp(
                f"{name}-address", region=args.region, droplet_id=droplet, opts=pulumi.ResourceOptions(parent=self)
            )
            self.ip = reserved.ip_address
        else:
            assignment = digitalocean.ReservedIpAssignment(
                f"{name}-assignment",
                ip_address=args.address,
                droplet_id=droplet,
                # An address leads to one droplet: taking it from the old one afterwards would take it from the new one.
                opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
            )
            self.ip = assignment.ip_address
        self.register_outputs({"ip": self.ip})


@dataclass(frozen=True)
class ApiNameArgs:
    name: str
    address: pulumi.Input[str]


class ApiName(pulumi.ComponentResource):
    """The API's name in DNS: an A record, if the account keeps the domain. Output: `is_kept`, whether it does."""

    is_kept: bool

    def __init__(self, name: str, args: ApiNameArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("k3s:cloud:ApiName", name, None, opts)
        # Asked at once, not as an output: the plan must show whether there will be a record.
        kept = digitalocean.get_domains(opts=pulumi.InvokeOptions(parent=self)).domains
        domain = domain_of(args.name, (entry.name for entry in kept))
        self.is_kept = domain is not None
        if domain is None:
            pulumi.log.info(
                f"apiDomain: the account keeps no domain that `{args.name}` is in; point that name at the address in "
                "the output apiAddress yourself.",
                self,
            )
        else:
            digitalocean.DnsRecord(
                f"{name}-record",
                domain=domain,
                type="A",
                name=args.name.removesuffix(domain).rstrip(".") or "@",
                value=args.address,
                ttl=RECORD_TTL,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({"domain": domain})
