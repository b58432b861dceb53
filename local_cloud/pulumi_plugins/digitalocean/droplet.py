"""digitalocean.Droplet: https://docs.digitalocean.com/reference/api/reference/droplets/"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource, lower, set_tags, tags_property, without_empty
from local_cloud.pulumi_plugins.digitalocean.client import ApiError
from local_cloud.pulumi_plugins.provider.properties import (
    Flag,
    ListOf,
    Number,
    Properties,
    Record,
    Text,
    Whole,
    computed,
    filled,
    named,
    not_empty,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Call, ProviderError, State

#: The official plugin's limits in seconds.
CREATE_SECONDS = 60 * 60
UPDATE_SECONDS = 60 * 60
DELETE_SECONDS = 60
#: So seldom do we ask why a new droplet is not there yet, in looks at the droplet itself.
LOOKS_PER_ACTION_CHECK = 10

BACKUP_POLICY = Record(
    "DropletBackupPolicy",
    {
        "plan": optional(Text(choices=("daily", "weekly"))),
        "weekday": optional(Text(choices=("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))),
        "hour": optional(Whole(0, 20)),
    },
)


def digest(user_data: str) -> str:
    """User data in the state: Terraform keeps only its SHA-1, in hexadecimal."""
    return hashlib.sha1(user_data.encode(), usedforsecurity=False).hexdigest()


def number_or_text(text: str) -> int | str:
    """Images and SSH keys are ids where they look like one, else slugs and fingerprints."""
    return int(text) if text.isdigit() else text


class Droplet(CloudResource):
    pulumi_type = "digitalocean:index/droplet:Droplet"
    properties: ClassVar[Properties] = {
        "image": required(Text(), replace=True, rule=not_empty),
        "name": named(),
        "region": filled(Text(), replace=True, rule=not_empty, stored=lower),
        "size": required(Text(), rule=not_empty, stored=lower),
        "backups": optional(Flag(), default=False),
        "backupPolicy": optional(BACKUP_POLICY),
        "dropletAgent": optional(Flag(), replace=True),
        "gracefulShutdown": optional(Flag(), default=False),
        "ipv6": optional(Flag(), default=False),
        "ipv6Address": filled(Text()),
        "monitoring": optional(Flag(), replace=True, default=False),
        "privateNetworking": filled(Flag()),
        "publicNetworking": filled(Flag(), replace=True),
        "resizeDisk": optional(Flag(), default=True),
        "sshKeys": optional(ListOf(Text(), ordered=False), replace=True),
        "tags": tags_property(),
        "userData": optional(Text(), replace=True, rule=not_empty, stored=digest),
        "volumeIds": filled(ListOf(Text(), ordered=False)),
        "vpcUuid": filled(Text(), replace=True, rule=not_empty),
        "createdAt": computed(Text()),
        "disk": computed(Whole()),
        "dropletUrn": computed(Text()),
        "ipv4Address": computed(Text()),
        "ipv4AddressPrivate": computed(Text()),
        "locked": computed(Flag()),
        "memory": computed(Whole()),
        "priceHourly": computed(Number()),
        "priceMonthly": computed(Number()),
        "status": computed(Text()),
        "vcpus": computed(Whole()),
    }

    def check(self, inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
        if inputs.get("backupPolicy") and inputs.get("backups") is False:
            return [("backupPolicy", "can only be set when backups are enabled")]
        return []

    def also_replaces(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Collection[str]:
        return ["ipv6"] if state.get("ipv6") and not inputs.get("ipv6") else []

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        droplet = self.client.post("/v2/droplets", create_body(inputs))["droplet"]
        return str(droplet["id"]), {"dropletUrn": f"do:droplet:{droplet['id']}"}

    def settle(self, call: Call, id_: str, inputs: State) -> None:
        looks = 0

        def look(droplet: State | None) -> bool:
            nonlocal looks
            looks += 1
            # One that did not start is off, which the official plugin takes for a failure at once: "unexpected state"
            # (terraform-provider-digitalocean v2.99.1, digitalocean/droplet/resource_droplet.go:448).
            if looks % LOOKS_PER_ACTION_CHECK == 0 or (droplet and droplet["status"] == "off"):
                self.refuse_errored(id_, inputs["name"])
            return bool(droplet and not droplet["locked"] and droplet["status"] != "new")

        # Any other droplet that is off was active before; it is not new.
        self.wait_for(call, id_, f"droplet {inputs['name']} to become active", look, CREATE_SECONDS)

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        answer = self.client.find(f"/v2/droplets/{id_}")
        if answer is None:
            return None
        droplet = answer["droplet"]
        state = droplet_outputs(droplet)
        if not prior:
            image = droplet["image"]
            state |= {"image": image.get("slug") or str(image["id"]), "resizeDisk": True, "gracefulShutdown": False}
        return state

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if "volumeIds" in changed:
            raise ProviderError("attaching and detaching volumes is not stood in for: change volumeIds back")
        if "size" in changed:
            self.resize(call, id_, new)
        if "name" in changed:
            self.act(id_, "rename", name=new["name"])
            self.wait_for(
                call, id_, "the droplet's new name", lambda droplet: bool(droplet and droplet["name"] == new["name"])
            )
        if "backups" in changed or "backupPolicy" in changed:
            self.change_backups(call, id_, new, changed)
        if "ipv6" in changed and new.get("ipv6"):
            self.act(id_, "enable_ipv6")
            self.wait_for(
                call, id_, "IPv6 to be on", lambda droplet: bool(droplet and "ipv6" in droplet.get("features", []))
            )
        if "tags" in changed:
            set_tags(self.client, "droplet", id_, old.get("tags") or [], new.get("tags") or [])

    def delete(self, call: Call, id_: str, state: State) -> None:
        name = state.get("name", id_)
        path = f"/v2/droplets/{id_}"

        def unlocked(droplet: State | None) -> bool:
            return droplet is None or not droplet["locked"]

        self.wait_for(call, id_, f"droplet {name} to be unlocked", unlocked, DELETE_SECONDS)
        if state.get("gracefulShutdown") and self.client.find(path):
            self.act(id_, "shutdown")
            self.wait_for(
                call,
                id_,
                f"droplet {name} to shut down",
                lambda droplet: droplet is None or droplet["status"] == "off",
                DELETE_SECONDS,
            )
        self.client.delete_if_there(path)
        self.wait_for(call, id_, f"droplet {name} to be gone", lambda droplet: droplet is None, DELETE_SECONDS)

    def resize(self, call: Call, id_: str, new: State) -> None:
        """Off, resize, on; after a failed resize the droplet is switched on again."""
        try:
            self.act(id_, "power_off")
        except ApiError as error:
            if "already powered off" not in str(error):
                raise
        self.wait_for_status(call, id_, "off")
        try:
            action = self.act(id_, "resize", size=new["size"], disk=new.get("resizeDisk", True))
            self.wait_for_action(call, action, f"droplet {new['name']} to be resized to {new['size']}")
        finally:
            self.act(id_, "power_on")
        self.wait_for_status(call, id_, "active")

    def change_backups(self, call: Call, id_: str, new: State, changed: Collection[str]) -> None:
        policy = {"backup_policy": new["backupPolicy"]} if new.get("backupPolicy") else {}
        if "backups" in changed:
            action = (
                self.act(id_, "enable_backups", **policy) if new.get("backups") else self.act(id_, "disable_backups")
            )
            self.wait_for_action(call, action, "the backups to change")
        if "backupPolicy" in changed and policy:
            self.wait_for_action(call, self.act(id_, "change_backup_policy", **policy), "the backup policy to change")

    def act(self, id_: str, kind: str, **parameters: Any) -> State:
        """Start an action of the droplet."""
        action: State = self.client.post(f"/v2/droplets/{id_}/actions", {"type": kind, **parameters})["action"]
        return action

    def wait_for_action(self, call: Call, action: State, what: str) -> None:
        def done() -> bool | None:
            status = self.client.get(f"/v2/actions/{action['id']}")["action"]["status"]
            if status == "errored":
                raise ProviderError(f"DigitalOcean's action {action['id']} errored while waiting for {what}")
            return True if status == "completed" else None

        call.wait_until(what, done, UPDATE_SECONDS)

    def wait_for_status(self, call: Call, id_: str, status: str) -> None:
        def look(droplet: State | None) -> bool:
            if droplet is None:
                raise ProviderError(f"droplet {id_} is gone")
            return not droplet["locked"] and droplet["status"] == status

        self.wait_for(call, id_, f"the droplet to be {status}", look)

    def wait_for(
        self, call: Call, id_: str, what: str, look: Callable[[State | None], bool], seconds: float = UPDATE_SECONDS
    ) -> None:
        """Look at the droplet (None if it is not there) until `look` is content."""

        def probe() -> bool | None:
            answer = self.client.find(f"/v2/droplets/{id_}")
            return True if look(answer["droplet"] if answer else None) else None

        call.wait_until(what, probe, seconds)

    def refuse_errored(self, id_: str, name: str) -> None:
        """Raise if the droplet's creation has failed for good."""
        answer = self.client.find(f"/v2/droplets/{id_}/actions")
        for action in (answer or {}).get("actions", []):
            if action["type"] == "create" and action["status"] == "errored":
                raise ProviderError(
                    f"droplet {name} ({id_}) did not start: DigitalOcean's action {action['id']} errored. Its console "
                    "says why (on the local cloud: bin/local-cloud status). Then let `pulumi up --replace` with the "
                    "droplet's URN make another, or `pulumi destroy` remove it"
                )


def create_body(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The request that creates a droplet."""
    body = {
        "name": inputs["name"],
        "region": inputs.get("region"),
        "size": inputs["size"],
        "image": number_or_text(inputs["image"]),
        "ssh_keys": [number_or_text(key) for key in inputs.get("sshKeys", [])],
        "backups": inputs.get("backups", False),
        "backup_policy": inputs.get("backupPolicy"),
        "ipv6": inputs.get("ipv6", False),
        "monitoring": inputs.get("monitoring", False),
        "user_data": inputs.get("userData"),
        "vpc_uuid": inputs.get("vpcUuid"),
        "with_droplet_agent": inputs.get("dropletAgent"),
        "public_networking": False if inputs.get("publicNetworking") is False else None,
        "volumes": inputs.get("volumeIds"),
        "tags": inputs.get("tags"),
    }
    return without_empty(body)


def address(droplet: Mapping[str, Any], version: str, kind: str) -> str:
    """The droplet's first address of that kind (`public` or `private`), or an empty text."""
    networks = (droplet.get("networks") or {}).get(version) or []
    return next((network["ip_address"] for network in networks if network["type"] == kind), "")


def droplet_outputs(droplet: Mapping[str, Any]) -> State:
    """The properties of a droplet as the API describes it. The image is left out: slugs move on to newer images."""
    features = droplet.get("features") or []
    size = droplet.get("size") or {}
    public = address(droplet, "v4", "public")
    return {
        "name": droplet["name"],
        "dropletUrn": f"do:droplet:{droplet['id']}",
        "region": droplet["region"]["slug"],
        "size": droplet["size_slug"],
        "priceHourly": size.get("price_hourly"),
        "priceMonthly": size.get("price_monthly"),
        "disk": droplet["disk"],
        "vcpus": droplet["vcpus"],
        "memory": droplet["memory"],
        "status": droplet["status"],
        "locked": droplet["locked"],
        "createdAt": droplet["created_at"],
        "vpcUuid": droplet.get("vpc_uuid", ""),
        "ipv4Address": public,
        "ipv4AddressPrivate": address(droplet, "v4", "private"),
        "ipv6Address": address(droplet, "v6", "public").lower(),
        "publicNetworking": public != "",
        "backups": "backups" in features,
        "ipv6": "ipv6" in features,
        "privateNetworking": "private_networking" in features,
        "monitoring": "monitoring" in features,
        "volumeIds": droplet.get("volume_ids") or [],
        "tags": droplet.get("tags") or [],
    }
