"""What the kinds of DigitalOcean resources share."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from local_cloud.pulumi_plugins.digitalocean.client import Client, segment
from local_cloud.pulumi_plugins.provider.properties import ListOf, Property, Text, optional
from local_cloud.pulumi_plugins.provider.resource import Function, Resource

#: Gives the account that the configuration names; it is known only after Configure.
GetClient = Callable[[], Client]

#: https://docs.digitalocean.com/reference/api/reference/tags/
TAG = re.compile(r"[a-zA-Z0-9:\-_]{1,255}")


class CloudResource(Resource):
    """A resource of the configured account."""

    def __init__(self, get_client: GetClient) -> None:
        self.get_client = get_client

    @property
    def client(self) -> Client:
        return self.get_client()


class CloudFunction(Function):
    """A function that asks the configured account."""

    def __init__(self, get_client: GetClient) -> None:
        self.get_client = get_client

    @property
    def client(self) -> Client:
        return self.get_client()


def tag_rule(tag: Any) -> str | None:
    """What is wrong with a tag's name, or None."""
    if isinstance(tag, str) and not TAG.fullmatch(tag):
        return f"tag '{tag}': letters, digits, colons, dashes and underscores only, at most 255"
    return None


def tags_rule(tags: Any) -> str | None:
    """What is wrong with one of several tags, or None."""
    return next((reason for tag in tags if (reason := tag_rule(tag))), None) if isinstance(tags, list) else None


def tags_property() -> Property:
    """Tags: a set whose names differ by more than case."""
    return optional(ListOf(Text(fold=True), ordered=False), rule=tags_rule)


def set_tags(client: Client, kind: str, id_: str, old: Iterable[str], new: Iterable[str]) -> None:
    """Tag and untag a resource (`kind` is the API's `resource_type`) so that its tags go from `old` to `new`."""
    resources = {"resources": [{"resource_id": id_, "resource_type": kind}]}
    for tag in sorted(set(old) - set(new)):
        client.delete_if_there(f"/v2/tags/{segment(tag)}/resources", resources)
    for tag in sorted(set(new) - set(old)):
        client.post("/v2/tags", {"name": tag})
        client.post(f"/v2/tags/{segment(tag)}/resources", resources)


def lower(text: str) -> str:
    """Slugs of regions and sizes are lower case in the state."""
    return text.lower()


def without_empty(body: dict[str, Any], keep: Collection[str] = ()) -> dict[str, Any]:
    """A request's body without the parts that are not set, as Go's `omitempty` leaves them out."""
    return {key: value for key, value in body.items() if key in keep or value not in (None, "", [], {})}
