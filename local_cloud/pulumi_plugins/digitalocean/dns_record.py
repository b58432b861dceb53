"""digitalocean.DnsRecord: https://docs.digitalocean.com/reference/api/reference/domain-records/"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource, without_empty
from local_cloud.pulumi_plugins.digitalocean.client import segment
from local_cloud.pulumi_plugins.provider.properties import (
    Properties,
    Text,
    Whole,
    computed,
    filled,
    named,
    not_empty,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Call, State

TYPES = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "TXT", "SRV", "SOA")


class DnsRecord(CloudResource):
    pulumi_type = "digitalocean:index/dnsRecord:DnsRecord"
    properties: ClassVar[Properties] = {
        "domain": required(Text(), replace=True, rule=not_empty),
        "type": required(Text(choices=TYPES), replace=True),
        "name": named(),
        "value": required(Text(), rule=not_empty),
        "port": optional(Whole(0, 65535)),
        "priority": optional(Whole(0, 65535)),
        "weight": optional(Whole(0, 65535)),
        "ttl": filled(Whole(1)),
        "flags": optional(Whole(0, 255)),
        "tag": optional(Text(choices=("issue", "issuewild", "iodef"))),
        "fqdn": computed(Text()),
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        answer = self.client.post(records(inputs["domain"]), body_of(inputs))
        return str(answer["domain_record"]["id"]), {}

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        answer = self.client.find(f"{records(prior['domain'])}/{id_}")
        return None if answer is None else outputs_of(prior["domain"], answer["domain_record"])

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if changed:
            self.client.put(f"{records(new['domain'])}/{id_}", body_of(new))

    def delete(self, call: Call, id_: str, state: State) -> None:
        self.client.delete_if_there(f"{records(state['domain'])}/{id_}")

    def imported(self, id_: str) -> tuple[str, State]:
        domain, _, number = id_.partition(",")
        return number, {"domain": domain}


def records(domain: str) -> str:
    return f"/v2/domains/{segment(domain)}/records"


def body_of(inputs: State) -> State:
    optional_parts = {key: inputs.get(key) for key in ("priority", "port", "ttl", "weight", "flags", "tag")}
    return without_empty({"type": inputs["type"], "name": inputs["name"], "data": inputs["value"], **optional_parts})


def outputs_of(domain: str, record: Any) -> State:
    given = {key: record[key] for key in ("port", "priority", "weight", "ttl", "flags", "tag") if record.get(key)}
    name = record["name"]
    return {
        "domain": domain,
        "type": record["type"],
        "name": name,
        "value": record["data"],
        "fqdn": domain if name == "@" else f"{name}.{domain}",
        **given,
    }
