"""Who may reach the droplets: the stack's SSH key, and a firewall for each role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_digitalocean as digitalocean

from k3s_cluster.k3s_config import API_PORT, HEALTH_CHECK_PORT
from k3s_cluster.over_ssh.key_pair import SshKeyPair
from k3s_cluster.settings import ClusterSettings, EmbeddedEtcdSettings

EVERYONE = ("0.0.0.0/0", "::/0")
#: docs.k3s.io/installation/requirements ("Inbound Rules for K3s Nodes").
#: UDP between nodes, by Flannel's backend; WireGuard takes one for IPv4 and one for IPv6. K3s's own default is vxlan.
FLANNEL_PORTS = {"vxlan": "8472", "wireguard-native": "51820-51821"}
KUBELET_PORT = 10250
ETCD_PORTS = "2379-2380"


@dataclass(frozen=True)
class AccessArgs:
    settings: ClusterSettings
    vpc_range: pulumi.Input[str]
    server_tag: pulumi.Input[str]
    agent_tag: pulumi.Input[str]


class Access(pulumi.ComponentResource):
    """The key that `pulumi up` logs in with, and the firewalls, which stand before any droplet does.

    Outputs: `private_key` (secret), `ssh_keys` (fingerprints of what droplets are created with), `authorized_keys` (all
    public keys that nodes let in).
    """

    private_key: pulumi.Output[str]
    ssh_keys: list[pulumi.Input[str]]
    authorized_keys: list[pulumi.Input[str]]

    def __init__(self, name: str, args: AccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("k3s:cloud:Access", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings
        pair = SshKeyPair(f"{name}-key-pair", opts=child)
        key = digitalocean.SshKey(
            f"{name}-ssh-key", name=f"{settings.name_prefix}-{settings.stack}", public_key=pair.public_key, opts=child
        )
        self.firewalls = [
            _firewall(
                f"{settings.name_prefix}-servers",
                args.server_tag,
                server_rules(settings, args.vpc_range, args.server_tag),
                child,
            ),
            _firewall(
                f"{settings.name_prefix}-agents", args.agent_tag, node_rules(settings, args.vpc_range, "agents"), child
            ),
        ]
        self.private_key = pulumi.Output.secret(pair.private_key)
        of_account = [account_key(entry, child) for entry in settings.access.account_keys]
        self.ssh_keys = [key.fingerprint, *(fingerprint for fingerprint, _ in of_account)]
        self.authorized_keys = [pair.public_key, *(key for _, key in of_account), *settings.access.public_keys]
        self.register_outputs(
            {"private_key": self.private_key, "ssh_keys": self.ssh_keys, "authorized_keys": self.authorized_keys}
        )


def account_key(entry: str, opts: pulumi.ResourceOptions) -> tuple[pulumi.Input[str], pulumi.Input[str]]:
    """Fingerprint and text of a key of the account, which is given by name or by that fingerprint (MD5, as there)."""
    octets = entry.split(":")
    invoke = pulumi.InvokeOutputOptions(parent=opts.parent)
    if len(octets) == 16 and all(len(octet) == 2 for octet in octets):
        only = digitalocean.GetSshKeysFilterArgs(key="fingerprint", values=[entry])
        return entry, digitalocean.get_ssh_keys_output(filters=[only], opts=invoke).ssh_keys[0].public_key
    found = digitalocean.get_ssh_key_output(name=entry, opts=invoke)
    return found.fingerprint, found.public_key


def node_rules(
    settings: ClusterSettings, vpc_range: pulumi.Input[str], own: Literal["servers", "agents"]
) -> tuple[digitalocean.FirewallInboundRuleArgs, ...]:
    """What may come in to every node: SSH for administrators, K3s's own traffic inside the VPC, ingress for all.

    What the stack adds for `own` comes after it.
    """
    administrators = tuple(str(network) for network in settings.access.admin_cidrs)
    vpc = (vpc_range,)
    rules = [
        _inbound("tcp", "22", administrators),
        _inbound("udp", FLANNEL_PORTS.get(settings.flannel_backend, FLANNEL_PORTS["vxlan"]), vpc),
        _inbound("tcp", str(KUBELET_PORT), vpc),
        _inbound("icmp", None, vpc),
    ]
    if settings.serves_ingress:
        rules += [_inbound("tcp", "80", EVERYONE), _inbound("tcp", "443", EVERYONE)]
    for rule in settings.access.inbound:
        if rule.nodes in ("all", own):
            rules.append(_inbound(rule.protocol, rule.port_range, tuple(map(str, rule.sources))))
    return tuple(rules)


def server_rules(
    settings: ClusterSettings, vpc_range: pulumi.Input[str], server_tag: pulumi.Input[str]
) -> tuple[digitalocean.FirewallInboundRuleArgs, ...]:
    """The same for servers, and the API: from the VPC, or for administrators.

    The load balancer has a firewall of its own. etcd's members reach each other, and nobody else reaches them.
    """
    single = settings.load_balancer is None
    administrators = tuple(str(network) for network in settings.access.admin_cidrs)
    sources = (vpc_range, *(administrators if single else ()))
    rules = [*node_rules(settings, vpc_range, "servers"), _inbound("tcp", str(API_PORT), sources)]
    if not single:
        rules.append(_inbound("tcp", str(HEALTH_CHECK_PORT), (vpc_range,)))
    if isinstance(settings.datastore, EmbeddedEtcdSettings):
        rules.append(
            digitalocean.FirewallInboundRuleArgs(protocol="tcp", port_range=ETCD_PORTS, source_tags=[server_tag])
        )
    return tuple(rules)


def _inbound(
    protocol: str, ports: str | None, sources: Sequence[pulumi.Input[str]]
) -> digitalocean.FirewallInboundRuleArgs:
    return digitalocean.FirewallInboundRuleArgs(protocol=protocol, port_range=ports, source_addresses=list(sources))


def _firewall(
    name: str,
    tag: pulumi.Input[str],
    inbound: Sequence[digitalocean.FirewallInboundRuleArgs],
    opts: pulumi.ResourceOptions,
) -> digitalocean.Firewall:
    outbound = [
        digitalocean.FirewallOutboundRuleArgs(
            protocol=protocol,
            port_range=None if protocol == "icmp" else "all",
            destination_addresses=list(EVERYONE),
        )
        for protocol in ("tcp", "udp", "icmp")
    ]
    return digitalocean.Firewall(
        name, name=name, tags=[tag], inbound_rules=list(inbound), outbound_rules=outbound, opts=opts
    )
