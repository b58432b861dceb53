"""digitalocean.ReservedIp and ReservedIpAssignment: https://docs.digitalocean.com/reference/api/reference/reserved-ips/"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource
from local_cloud.pulumi_plugins.digitalocean.client import ApiError, Client, segment
from local_cloud.pulumi_plugins.provider.properties import (
    Properties,
    Text,
    Whole,
    computed,
    filled,
    not_empty,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Call, ProviderError, State

ACTION_SECONDS = 600


class ReservedIp(CloudResource):
    pulumi_type = "digitalocean:index/reservedIp:ReservedIp"
    properties: ClassVar[Properties] = {
        "dropletId": optional(Whole()),
        "ipAddress": filled(Text()),
        "region": required(Text(), replace=True, rule=not_empty),
        "reservedIpUrn": computed(Text()),
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        return self.client.post("/v2/reserved_ips", {"region": inputs["region"]})["reserved_ip"]["ip"], {}

    def settle(self, call: Call, id_: str, inputs: State) -> None:
        if inputs.get("dropletId"):
            assign(self.client, call, id_, inputs["dropletId"])

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        reserved = find(self.client, id_)
        if reserved is None:
            return None
        droplet = droplet_of(reserved)
        return {
            **({} if droplet is None else {"dropletId": droplet}),
            "ipAddress": reserved["ip"],
            "region": reserved["region"]["slug"],
            "reservedIpUrn": f"do:reservedip:{reserved['ip']}",
        }

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if "dropletId" in changed:
            if new.get("dropletId"):
                assign(self.client, call, id_, new["dropletId"])
            else:
                unassign(self.client, call, id_, old.get("dropletId"))

    def delete(self, call: Call, id_: str, state: State) -> None:
        unassign(self.client, call, id_, state.get("dropletId"))
        self.client.delete(f"/v2/reserved_ips/{segment(id_)}")


class ReservedIpAssignment(CloudResource):
    """That an address of the account leads to a droplet."""

    pulumi_type = "digitalocean:index/reservedIpAssignment:ReservedIpAssignment"
    properties: ClassVar[Properties] = {
        "dropletId": required(Whole(), replace=True),
        "ipAddress": required(Text(), replace=True, rule=not_empty),
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        address, droplet = inputs["ipAddress"], inputs["dropletId"]
        if find(self.client, address) is None:
            raise ProviderError(f"the account has no reserved IP {address}")
        assign(self.client, call, address, droplet)
        return f"{droplet}-{address}", {}

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        reserved = find(self.client, prior["ipAddress"])
        if reserved is None or droplet_of(reserved) != prior["dropletId"]:
            return None
        return {"dropletId": prior["dropletId"], "ipAddress": reserved["ip"]}

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        """Every property makes another assignment."""

    def delete(self, call: Call, id_: str, state: State) -> None:
        unassign(self.client, call, state["ipAddress"], state["dropletId"])

    def imported(self, id_: str) -> tuple[str, State]:
        address, _, droplet = id_.partition(",")
        return f"{droplet}-{address}", {"dropletId": int(droplet), "ipAddress": address}


def find(client: Client, address: str) -> Any | None:
    answer = client.find(f"/v2/reserved_ips/{segment(address)}")
    return None if answer is None else answer["reserved_ip"]


def droplet_of(reserved: Any) -> int | None:
    return int(reserved["droplet"]["id"]) if reserved.get("droplet") else None


def assign(client: Client, call: Call, address: str, droplet: int) -> None:
    """Lead the address to the droplet, from wherever it led."""
    act(client, call, address, {"type": "assign", "droplet_id": int(droplet)})


def unassign(client: Client, call: Call, address: str, droplet: int | None) -> None:
    """Lead the address nowhere, if it still leads to the droplet."""
    reserved = find(client, address)
    if reserved is not None and droplet is not None and droplet_of(reserved) == droplet:
        act(client, call, address, {"type": "unassign"})


def act(client: Client, call: Call, address: str, body: State) -> None:
    """Do something to the address, after what is being done to it, and wait until it is done."""
    actions = f"/v2/reserved_ips/{segment(address)}/actions"

    def begun() -> Any | None:
        try:
            return client.post(actions, body)["action"]
        except ApiError as error:
            if error.status == 422 and "pending event" in str(error):
                return None
            raise

    action = call.wait_until(f"{address} to be free for a change", begun, ACTION_SECONDS)

    def done() -> bool | None:
        status = client.get(f"{actions}/{action['id']}")["action"]["status"]
        if status == "errored":
            raise ProviderError(f"{body['type']} of {address} failed")
        return True if status == "completed" else None

    call.wait_until(f"{address} to be led there", done, ACTION_SECONDS)
