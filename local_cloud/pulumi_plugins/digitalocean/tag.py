"""digitalocean.Tag: https://docs.digitalocean.com/reference/api/reference/tags/"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource, tag_rule
from local_cloud.pulumi_plugins.digitalocean.client import segment
from local_cloud.pulumi_plugins.provider.properties import Properties, Property, Source, Text, Whole, computed
from local_cloud.pulumi_plugins.provider.resource import Call, State

#: Property -> the API's name for that kind of resource.
COUNTS = {
    "dropletsCount": "droplets",
    "imagesCount": "images",
    "volumesCount": "volumes",
    "volumeSnapshotsCount": "volume_snapshots",
    "databasesCount": "databases",
}


class Tag(CloudResource):
    """Its id is its name."""

    pulumi_type = "digitalocean:index/tag:Tag"
    properties: ClassVar[Properties] = {
        "name": Property(Text(), Source.OPTIONAL, autoname=True, replace=True, rule=tag_rule),
        "totalResourceCount": computed(Whole()),
        **{key: computed(Whole()) for key in COUNTS},
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        return self.client.post("/v2/tags", {"name": inputs["name"]})["tag"]["name"], {}

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        answer = self.client.find(f"/v2/tags/{segment(id_)}")
        return tag_outputs(answer["tag"]) if answer else None

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        """Its name is all it has."""

    def delete(self, call: Call, id_: str, state: State) -> None:
        self.client.delete(f"/v2/tags/{segment(id_)}")


def tag_outputs(tag: State) -> State:
    """The properties of a tag as the API describes it."""
    resources = tag.get("resources") or {}
    counts = {key: (resources.get(name) or {}).get("count", 0) for key, name in COUNTS.items()}
    return {"name": tag["name"], "totalResourceCount": resources.get("count", 0), **counts}
