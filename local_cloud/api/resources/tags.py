"""Tags: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Tags

A tag is one however its letters are cased. Droplets and databases carry tags here; images and volumes are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from flask import Blueprint, Response

from local_cloud.api.answers import Json, answer, no_content, not_found, page, unprocessable, url
from local_cloud.api.body import Body
from local_cloud.api.cloud import finish_before_answering, the_cloud
from local_cloud.api.records import Database, Droplet, Tag
from local_cloud.api.store import Store

routes = Blueprint("tags", __name__)

NAME = re.compile(r"[a-zA-Z0-9_\-:]{1,255}")


def ensure_tags(store: Store, names: Iterable[str]) -> list[str]:
    """Make the tags that are missing; gives each name as it was first written. ApiError 422 for a bad name."""
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if not NAME.fullmatch(name):
            raise unprocessable(
                f"Tag {name!r} is invalid: tags may only contain letters, numbers, colons, dashes, and underscores,"
                " and have at most 255 characters"
            )
    found = []
    for name in wanted:
        tag = store.tags.get(name.lower()) or Tag(name.lower(), name)
        store.tags.save(tag)
        found.append(tag.name)
    return list(dict.fromkeys(found))


def require_tags(store: Store, names: Iterable[str]) -> list[str]:
    """The tags with these names as they were first written. ApiError 422 if one does not exist."""
    found = []
    for name in names:
        tag = store.tags.get(name.lower())
        if tag is None:
            raise unprocessable(f"could not find tag {name!r}: create it first")
        found.append(tag.name)
    return list(dict.fromkeys(found))


def show_tag(tag: Tag) -> Json:
    store = the_cloud().store
    droplets = [url(f"/v2/droplets/{each.id}") for each in store.droplets if tag.name in each.tags]
    databases = [url(f"/v2/databases/{each.id}") for each in store.databases if tag.name in each.tags]
    none: list[str] = []
    return {
        "name": tag.name,
        "resources": {
            **_counted([*droplets, *databases]),
            "droplets": _counted(droplets),
            "images": _counted(none),
            "volumes": _counted(none),
            "volume_snapshots": _counted(none),
            "databases": _counted(databases),
        },
    }


@routes.get("/v2/tags")
def list_tags() -> Response:
    return page("tags", the_cloud().store.tags, show_tag)


@routes.post("/v2/tags")
def create_tag() -> Response:
    store = the_cloud().store
    (name,) = ensure_tags(store, [Body.of_request().required_text("name")])
    tag = _known(name)
    return answer({"tag": show_tag(tag)}, 201)


@routes.get("/v2/tags/<name>")
def get_tag(name: str) -> Response:
    return answer({"tag": show_tag(_known(name))})


@routes.delete("/v2/tags/<name>")
def delete_tag(name: str) -> Response:
    cloud, tag = the_cloud(), _known(name)
    store = cloud.store
    for droplet in store.droplets:
        if tag.name in droplet.tags:
            droplet.tags.remove(tag.name)
            store.droplets.save(droplet)
    for database in store.databases:
        if tag.name in database.tags:
            database.tags.remove(tag.name)
            store.databases.save(database)
    for firewall in store.firewalls:
        if tag.name in firewall.tags:
            firewall.tags.remove(tag.name)
            store.firewalls.save(firewall)
    store.tags.delete(tag.id)
    finish_before_answering(cloud.work.settle())
    return no_content()


@routes.post("/v2/tags/<name>/resources")
def tag_resources(name: str) -> Response:
    tag = _known(name)
    for resource in _resources_of_request():
        if tag.name not in resource.tags:
            resource.tags.append(tag.name)
            _save(resource)
    finish_before_answering(the_cloud().work.settle())
    return no_content()


@routes.delete("/v2/tags/<name>/resources")
def untag_resources(name: str) -> Response:
    tag = _known(name)
    for resource in _resources_of_request():
        if tag.name in resource.tags:
            resource.tags.remove(tag.name)
            _save(resource)
    finish_before_answering(the_cloud().work.settle())
    return no_content()


def _known(name: str) -> Tag:
    tag = the_cloud().store.tags.get(name.lower())
    if tag is None:
        raise not_found()
    return tag


def _resources_of_request() -> list[Droplet | Database]:
    """What the request names. `database` is not in the API reference's list, but the official clients send it."""
    store, found = the_cloud().store, []
    for entry in Body.of_request().objects("resources"):
        kind = entry.choice("resource_type", ("droplet", "image", "volume", "volume_snapshot", "database"))
        identifier = entry.required_text("resource_id")
        resource: Droplet | Database | None = None
        if kind == "droplet" and identifier.isdigit():
            resource = store.droplets.get(int(identifier))
        elif kind == "database":
            resource = store.databases.get(identifier)
        if resource is None:
            raise not_found(f"There is no {kind} {identifier}.")
        found.append(resource)
    return found


def _save(resource: Droplet | Database) -> None:
    store = the_cloud().store
    if isinstance(resource, Droplet):
        store.droplets.save(resource)
    else:
        store.databases.save(resource)


def _counted(uris: list[str]) -> Json:
    return {"count": len(uris), **({"last_tagged_uri": uris[-1]} if uris else {})}
