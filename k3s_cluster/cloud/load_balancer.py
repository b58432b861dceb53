"""The address of a highly available cluster's API."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_digitalocean as digitalocean

from k3s_cluster.k3s_config import API_PORT, HEALTH_CHECK_PORT
from k3s_cluster.settings import AccessSettings, LoadBalancerSettings


@dataclass(frozen=True)
class ApiLoadBalancerArgs:
    name_prefix: str
    region: pulumi.Input[str]
    settings: LoadBalancerSettings
    access: AccessSettings
    vpc_id: pulumi.Input[str]
    server_tag: pulumi.Input[str]
    project_id: pulumi.Input[str]


class ApiLoadBalancer(pulumi.ComponentResource):
    """A load balancer that passes TLS on 6443 through to the droplets with the servers' tag.

    Outputs: `ip`, `urn_in_cloud`.
    """

    ip: pulumi.Output[str]

    def __init__(self, name: str, args: ApiLoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("k3s:cloud:ApiLoadBalancer", name, None, opts)
        balancer = digitalocean.LoadBalancer(
            f"{name}-api",
            name=f"{args.name_prefix}-api-loadbalancer",
            region=args.region,
            size_unit=args.settings.nodes,
            vpc_uuid=args.vpc_id,
            # Left out, each update sends the project that it was made in, the default one (`project_id` is Computed:
            # the provider's loadbalancer/resource_loadbalancer.go:644), and so takes it out of ours.
            project_id=args.project_id,
            droplet_tag=args.server_tag,
            forwarding_rules=[
                digitalocean.LoadBalancerForwardingRuleArgs(
                    entry_protocol="https",
                    entry_port=API_PORT,
                    target_protocol="https",
                    target_port=API_PORT,
                    tls_passthrough=True,
                )
            ],
            healthcheck=digitalocean.LoadBalancerHealthcheckArgs(
                protocol="tcp",
                port=HEALTH_CHECK_PORT,
                check_interval_seconds=args.settings.interval,
                healthy_threshold=args.settings.healthy,
                unhealthy_threshold=args.settings.unhealthy,
            ),
            firewall=allow_list(args.access),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Wherever its connections come from: DigitalOcean does not say that they are from the VPC's range.
        firewall = f"{args.name_prefix}-api-loadbalancer"
        digitalocean.Firewall(
            firewall,
            name=firewall,
            tags=[args.server_tag],
            inbound_rules=[
                digitalocean.FirewallInboundRuleArgs(
                    protocol="tcp", port_range=str(port), source_load_balancer_uids=[balancer.id]
                )
                for port in (API_PORT, HEALTH_CHECK_PORT)
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.ip = balancer.ip
        self.urn_in_cloud = balancer.load_balancer_urn
        self.register_outputs({"ip": self.ip})


def allow_list(access: AccessSettings) -> digitalocean.LoadBalancerFirewallArgs:
    """Who may connect. A regional load balancer has an IPv4 address only.

    It is a list even where everyone may: to leave the provider's `firewall` out (Optional and Computed) keeps the list
    of before (github.com/digitalocean/terraform-provider-digitalocean, loadbalancer/resource_loadbalancer.go).
    """
    return digitalocean.LoadBalancerFirewallArgs(
        allows=[f"cidr:{network}" for network in access.admin_cidrs if network.version == 4]
    )
