"""The droplets: one for each node, ready to be told what to do over SSH."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_digitalocean as digitalocean
import pulumi_random as random

from cloud_init import HostKey, user_data
from k3s_cluster.cloud.machine_name import MachineName
from k3s_cluster.k3s_config import Role
from k3s_cluster.over_ssh.key_pair import SshKeyPair

NODE_PASSWORD_LENGTH = 32


@dataclass(frozen=True)
class MachineArgs:
    """One droplet. `firewalls` are what must stand before it does.

    `kind` is the middle of its name: the role, or the agent pool. `replaceable` says that a new image or size makes a
    new droplet, which is there before the old one goes; otherwise a new size changes the droplet in place.
    """

    role: Role
    kind: str
    replaceable: bool
    name_prefix: str
    region: pulumi.Input[str]
    image: str
    size: str
    k3s_version: str
    vpc_id: pulumi.Input[str]
    tag: pulumi.Input[str]
    ssh_keys: Sequence[pulumi.Input[str]]
    public_keys: tuple[str, ...]
    firewalls: Sequence[pulumi.Resource]


class Machine(pulumi.ComponentResource):
    """A droplet whose name ends in a random id of its own, and whose SSH host key the stack knows.

    Outputs: `name`, `droplet_id`, `urn_in_cloud`, `public_ip`, `private_ip`, `size`, `host_key`, and the secret
    `node_password`, by which the cluster knows the node again when its droplet was rebuilt.
    """

    def __init__(self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("k3s:cloud:Machine", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # Old and new are in the cluster at the same time, so a replacement needs a name of its own.
        keepers = {"image": args.image, "size": args.size} if args.replaceable else None
        own_name = MachineName(f"{name}-name", f"{args.name_prefix}-{args.kind}-", keepers, child)
        password = random.RandomPassword(f"{name}-password", length=NODE_PASSWORD_LENGTH, special=False, opts=child)
        host_key = SshKeyPair(f"{name}-host-key", opts=child)
        first_boot = pulumi.Output.all(host_key.private_key, host_key.public_key).apply(
            lambda key: user_data(args.role, args.k3s_version, HostKey(key[0], key[1]), args.public_keys)
        )
        secret_first_boot: pulumi.Output[str] = pulumi.Output.secret(first_boot)
        droplet = digitalocean.Droplet(
            f"{name}-droplet",
            name=own_name.name,
            region=args.region,
            image=args.image,
            size=args.size,
            # A disk that never grows keeps every other size open to the droplet.
            resize_disk=False,
            vpc_uuid=args.vpc_id,
            tags=[args.tag],
            ssh_keys=list(args.ssh_keys),
            user_data=secret_first_boot,
            # What is told at first boot only: a later change of it must never replace a droplet.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(args.firewalls),
                ignore_changes=["userData", "sshKeys"],
                replace_on_changes=["size"] if args.replaceable else [],
            ),
        )
        self.name = droplet.name
        self.droplet_id = droplet.id
        self.urn_in_cloud = droplet.droplet_urn
        self.public_ip = droplet.ipv4_address
        self.private_ip = droplet.ipv4_address_private
        self.size = droplet.size
        self.host_key = host_key.public_key
        self.node_password = password.result
        self.register_outputs(
            {"name": self.name, "public_ip": self.public_ip, "private_ip": self.private_ip, "size": self.size}
        )
