"""Volumes and snapshots, of which this cloud has none: lists are empty, creation is refused.

https://docs.digitalocean.com/reference/api/digitalocean/#tag/Block-Storage and #tag/Snapshots
"""

from __future__ import annotations

from flask import Blueprint, Response

from local_cloud.api.answers import not_found, not_here, page

routes = Blueprint("volumes", __name__)


@routes.get("/v2/volumes")
def list_volumes() -> Response:
    return page("volumes", [], dict)


@routes.post("/v2/volumes")
def create_volume() -> Response:
    raise not_here("has no volumes")


@routes.delete("/v2/volumes")
def delete_volume_by_name() -> Response:
    raise not_found()


@routes.get("/v2/volumes/<identifier>")
@routes.delete("/v2/volumes/<identifier>")
@routes.get("/v2/snapshots/<identifier>")
@routes.delete("/v2/snapshots/<identifier>")
def no_such_thing(identifier: str) -> Response:
    raise not_found(f"There is no volume or snapshot {identifier}.")


@routes.get("/v2/snapshots")
def list_snapshots() -> Response:
    return page("snapshots", [], dict)
