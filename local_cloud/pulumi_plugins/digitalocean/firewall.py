"""digitalocean.Firewall: https://docs.digitalocean.com/reference/api/reference/firewalls/"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource, tags_property
from local_cloud.pulumi_plugins.provider.properties import (
    Flag,
    ListOf,
    Properties,
    Record,
    Text,
    Whole,
    computed,
    named,
    not_empty,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Call, State

#: Part of a rule's property -> the API's name, with the side (`source` or `destination`) before the first.
PEERS = {
    "Addresses": "addresses",
    "DropletIds": "droplet_ids",
    "LoadBalancerUids": "load_balancer_uids",
    "KubernetesIds": "kubernetes_ids",
    "Tags": "tags",
}


def rule_type(name: str, side: str) -> Record:
    """The type of a rule whose peers are on `side`."""
    return Record(
        name,
        {
            "protocol": required(Text(choices=("tcp", "udp", "icmp"))),
            "portRange": optional(Text(), rule=not_empty, same=same_ports),
            f"{side}Addresses": optional(ListOf(Text(), ordered=False)),
            f"{side}DropletIds": optional(ListOf(Whole(), ordered=False)),
            f"{side}LoadBalancerUids": optional(ListOf(Text(), ordered=False)),
            f"{side}KubernetesIds": optional(ListOf(Text(), ordered=False)),
            f"{side}Tags": tags_property(),
        },
    )


def same_ports(old: str, new: str) -> bool:
    """The API answers `0` for all ports."""
    return {old, new} <= {"0", "all"} or old == new


class Firewall(CloudResource):
    pulumi_type = "digitalocean:index/firewall:Firewall"
    properties: ClassVar[Properties] = {
        "name": named(),
        "dropletIds": optional(ListOf(Whole(), ordered=False)),
        "inboundRules": optional(ListOf(rule_type("FirewallInboundRule", "source"), ordered=False)),
        "outboundRules": optional(ListOf(rule_type("FirewallOutboundRule", "destination"), ordered=False)),
        "tags": tags_property(),
        "createdAt": computed(Text()),
        "pendingChanges": computed(
            ListOf(
                Record(
                    "FirewallPendingChange",
                    {"dropletId": optional(Whole()), "removing": optional(Flag()), "status": optional(Text())},
                )
            )
        ),
        "status": computed(Text()),
    }

    def check(self, inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
        if not inputs.get("inboundRules") and not inputs.get("outboundRules"):
            return [("inboundRules", "at least one rule must be specified")]
        wrong = []
        for key in ("inboundRules", "outboundRules"):
            rules = inputs.get(key)
            for index, rule in enumerate(rules if isinstance(rules, list) else []):
                if isinstance(rule, Mapping) and rule["protocol"] in ("tcp", "udp") and not rule.get("portRange"):
                    wrong.append((f"{key}[{index}].portRange", "is required when the protocol is tcp or udp"))
        return wrong

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        return self.client.post("/v2/firewalls", firewall_body(inputs))["firewall"]["id"], {}

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        answer = self.client.find(f"/v2/firewalls/{id_}")
        return firewall_outputs(answer["firewall"]) if answer else None

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if changed:
            self.client.put(f"/v2/firewalls/{id_}", firewall_body(new))

    def delete(self, call: Call, id_: str, state: State) -> None:
        self.client.delete_if_there(f"/v2/firewalls/{id_}")


def firewall_body(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The request that creates or replaces a firewall."""
    return {
        "name": inputs["name"],
        "droplet_ids": inputs.get("dropletIds", []),
        "inbound_rules": [rule_body(rule, "source", "sources") for rule in inputs.get("inboundRules", [])],
        "outbound_rules": [rule_body(rule, "destination", "destinations") for rule in inputs.get("outboundRules", [])],
        "tags": inputs.get("tags", []),
    }


def rule_body(rule: Mapping[str, Any], side: str, key: str) -> dict[str, Any]:
    peers = {name: rule[side + part] for part, name in PEERS.items() if rule.get(side + part)}
    # "For ICMP rules this parameter will always return 0", says the API's description, and requires it.
    return {"protocol": rule["protocol"], "ports": rule.get("portRange") or "0", key: peers}


def firewall_outputs(firewall: Mapping[str, Any]) -> State:
    """The properties of a firewall as the API describes it."""
    return {
        "name": firewall["name"],
        "status": firewall["status"],
        "createdAt": firewall["created_at"],
        "dropletIds": firewall.get("droplet_ids") or [],
        "tags": firewall.get("tags") or [],
        "inboundRules": [rule_outputs(rule, "source", "sources") for rule in firewall.get("inbound_rules") or []],
        "outboundRules": [
            rule_outputs(rule, "destination", "destinations") for rule in firewall.get("outbound_rules") or []
        ],
        "pendingChanges": [
            {"dropletId": change.get("droplet_id"), "removing": change.get("removing"), "status": change.get("status")}
            for change in firewall.get("pending_changes") or []
        ],
    }


def rule_outputs(rule: Mapping[str, Any], side: str, key: str) -> State:
    """A rule with `all` for all ports; icmp has no ports."""
    peers = rule.get(key) or {}
    outputs: State = {"protocol": rule["protocol"]}
    ports = rule.get("ports", "")
    if rule["protocol"] == "icmp":
        ports = "" if ports == "0" else ports
    elif ports == "0":
        ports = "all"
    if ports:
        outputs["portRange"] = ports
    for part, name in PEERS.items():
        if peers.get(name):
            outputs[side + part] = peers[name]
    return outputs
