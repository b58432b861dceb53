"""digitalocean.SshKey: https://docs.digitalocean.com/reference/api/reference/ssh-keys/"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource
from local_cloud.pulumi_plugins.provider.properties import Properties, Text, computed, named, not_empty, required
from local_cloud.pulumi_plugins.provider.resource import Call, State


def same_key(old: str, new: str) -> bool:
    """White space around a key means nothing."""
    return old.strip() == new.strip()


class SshKey(CloudResource):
    pulumi_type = "digitalocean:index/sshKey:SshKey"
    properties: ClassVar[Properties] = {
        "name": named(),
        "publicKey": required(Text(), replace=True, rule=not_empty, same=same_key),
        "fingerprint": computed(Text()),
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        body = {"name": inputs["name"], "public_key": inputs["publicKey"]}
        return str(self.client.post("/v2/account/keys", body)["ssh_key"]["id"]), {}

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        answer = self.client.find(f"/v2/account/keys/{id_}")
        if answer is None:
            return None
        key = answer["ssh_key"]
        return {"name": key["name"], "publicKey": key["public_key"], "fingerprint": key["fingerprint"]}

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if "name" in changed:
            self.client.put(f"/v2/account/keys/{id_}", {"name": new["name"]})

    def delete(self, call: Call, id_: str, state: State) -> None:
        self.client.delete(f"/v2/account/keys/{id_}")
