"""digitalocean.Vpc: https://docs.digitalocean.com/reference/api/reference/vpcs/"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, ClassVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource, without_empty
from local_cloud.pulumi_plugins.digitalocean.client import ApiError
from local_cloud.pulumi_plugins.provider.properties import (
    Flag,
    Properties,
    Text,
    computed,
    filled,
    named,
    not_empty,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Call, State

#: Members leave a VPC some time after their own deletion has been answered.
DELETE_SECONDS = 120


def cidr_rule(value: Any) -> str | None:
    try:
        ip_network(value, strict=False)
    except ValueError:
        return f"'{value}' is no address range in CIDR notation"
    return None


def description_rule(value: str) -> str | None:
    return "must have at most 255 characters" if len(value) > 255 else None


def go_time(text: str) -> str:
    """A time as Go prints it, which is what the official plugin keeps."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


class Vpc(CloudResource):
    pulumi_type = "digitalocean:index/vpc:Vpc"
    properties: ClassVar[Properties] = {
        "name": named(),
        "region": required(Text(), replace=True, rule=not_empty),
        "description": optional(Text(), rule=description_rule),
        "ipRange": filled(Text(), replace=True, rule=cidr_rule),
        "vpcUrn": computed(Text()),
        "default": computed(Flag()),
        "createdAt": computed(Text()),
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        body = without_empty(
            {
                "name": inputs["name"],
                "region": inputs["region"],
                "description": inputs.get("description"),
                "ip_range": inputs.get("ipRange"),
            }
        )
        # The API chooses free ranges, and two at the same time could be given the same.
        with call.locks.hold(f"vpc/{inputs['region']}"):
            return self.client.post("/v2/vpcs", body)["vpc"]["id"], {}

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        answer = self.client.find(f"/v2/vpcs/{id_}")
        if answer is None:
            return None
        vpc = answer["vpc"]
        return {
            "name": vpc["name"],
            "region": vpc["region"],
            "description": vpc.get("description", ""),
            "ipRange": vpc["ip_range"],
            "vpcUrn": vpc["urn"],
            "default": vpc["default"],
            "createdAt": go_time(vpc["created_at"]),
        }

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if changed:
            body = {
                "name": new["name"],
                "description": new.get("description", ""),
                "default": old.get("default", False),
            }
            self.client.put(f"/v2/vpcs/{id_}", body)

    def delete(self, call: Call, id_: str, state: State) -> None:
        def gone() -> bool | None:
            try:
                self.client.delete_if_there(f"/v2/vpcs/{id_}")
            except ApiError as error:
                if error.status in (403, 409):
                    return None
                raise
            return True

        call.wait_until(f"the members of VPC {state.get('name', id_)} to be gone", gone, DELETE_SECONDS)
