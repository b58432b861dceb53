"""Reserved IPs and their actions: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Reserved-IPs

Not in the part of the OpenAPI description that the tests know: written after the reference and godo's
`reserved_ips.go`.
"""

from __future__ import annotations

import time
from ipaddress import IPv4Address

from flask import Blueprint, Response

from local_cloud.api.answers import Json, answer, no_content, not_found, page, unprocessable, url
from local_cloud.api.body import Body
from local_cloud.api.cloud import Cloud, finish_before_answering, new_reserved_address, the_cloud
from local_cloud.api.records import Action, ReleasedAddress, ReservedIp
from local_cloud.api.resources.actions import show_action
from local_cloud.api.resources.droplets import known_droplet, show_droplet
from local_cloud.api.resources.projects import project_for
from local_cloud.api.resources.regions import show_region
from local_cloud.api.store import now
from local_cloud.catalogue.regions import REGIONS

routes = Blueprint("reserved_ips", __name__)


def show_reserved_ip(reserved: ReservedIp) -> Json:
    store = the_cloud().store
    droplet = None if reserved.droplet_id is None else store.droplets.get(reserved.droplet_id)
    return {
        "ip": reserved.id,
        "region": show_region(REGIONS[reserved.region]),
        "region_slug": reserved.region,
        "droplet": None if droplet is None else show_droplet(droplet),
        "locked": any(action.status == "in-progress" for action in _actions_of(reserved)),
        "project_id": reserved.project_id,
    }


@routes.get("/v2/reserved_ips")
def list_reserved_ips() -> Response:
    return page("reserved_ips", the_cloud().store.reserved_ips, show_reserved_ip)


@routes.post("/v2/reserved_ips")
def create_reserved_ip() -> Response:
    """For a region, or at once for a droplet: one of `region` and `droplet_id`."""
    cloud, body = the_cloud(), Body.of_request()
    store = cloud.store
    if body.has("region") == body.has("droplet_id"):
        raise unprocessable("exactly one of region and droplet_id is needed")
    droplet = known_droplet(body.number("droplet_id")) if body.has("droplet_id") else None
    region = droplet.region if droplet else body.required_text("region")
    if region not in REGIONS:
        raise unprocessable(f"region {region!r} does not exist")
    project = project_for(store, body.text("project_id", ""))
    reserved = ReservedIp(new_reserved_address(store), region, None, project.id)
    store.reserved_ips.save(reserved)
    links: Json = {}
    if droplet is not None:
        links = {"actions": [_link(_lead(cloud, reserved, droplet.id, "assign_ip"))]}
    return answer({"reserved_ip": show_reserved_ip(reserved), "links": links}, 202)


@routes.get("/v2/reserved_ips/<address>")
def get_reserved_ip(address: str) -> Response:
    return answer({"reserved_ip": show_reserved_ip(_known(address))})


@routes.delete("/v2/reserved_ips/<address>")
def delete_reserved_ip(address: str) -> Response:
    cloud, reserved = the_cloud(), _known(address)
    cloud.store.reserved_ips.delete(reserved.id)
    cloud.store.released.save(ReleasedAddress(f"reserved/{reserved.id}", reserved.id, "reserved", time.time()))
    finish_before_answering(cloud.work.settle())
    return no_content()


@routes.get("/v2/reserved_ips/<address>/actions")
def list_actions(address: str) -> Response:
    return page("actions", reversed(_actions_of(_known(address))), show_action)


@routes.get("/v2/reserved_ips/<address>/actions/<int:action_id>")
def get_action(address: str, action_id: int) -> Response:
    action = next((each for each in _actions_of(_known(address)) if each.id == action_id), None)
    if action is None:
        raise not_found()
    return answer({"action": show_action(action)})


@routes.post("/v2/reserved_ips/<address>/actions")
def act(address: str) -> Response:
    cloud, reserved, body = the_cloud(), _known(address), Body.of_request()
    kind = body.choice("type", ("assign", "unassign"))
    if kind == "assign":
        droplet = cloud.store.droplets.get(body.number("droplet_id"))
        if droplet is None or droplet.region != reserved.region:
            raise unprocessable(f"there is no such droplet in {reserved.region}")
        return answer({"action": show_action(_lead(cloud, reserved, droplet.id, "assign_ip"))}, 201)
    if reserved.droplet_id is None:
        raise unprocessable("The reserved IP is not assigned to a Droplet.")
    return answer({"action": show_action(_lead(cloud, reserved, None, "unassign_ip"))}, 201)


def _lead(cloud: Cloud, reserved: ReservedIp, droplet_id: int | None, kind: str) -> Action:
    store = cloud.store
    if any(action.status == "in-progress" for action in _actions_of(reserved)):
        raise unprocessable("The reserved IP has a pending event.")
    for other in store.reserved_ips:
        # docs.digitalocean.com/products/networking/reserved-ips/details/limits: one for each droplet.
        if droplet_id is not None and other.droplet_id == droplet_id and other is not reserved:
            raise unprocessable("The Droplet already has a reserved IP.")
    reserved.droplet_id = droplet_id
    store.reserved_ips.save(reserved)
    action = Action(
        store.next_number("action"),
        kind,
        int(IPv4Address(reserved.id)),
        reserved.region,
        now(),
        resource_type="reserved_ip",
        parameters={"ip": reserved.id},
    )
    store.actions.save(action)
    cloud.work.lead_reserved_ip(action)
    return action


def _link(action: Action) -> Json:
    return {"id": action.id, "rel": action.type, "href": url(f"/v2/actions/{action.id}")}


def _actions_of(reserved: ReservedIp) -> list[Action]:
    return [action for action in the_cloud().store.actions if action.parameters.get("ip") == reserved.id]


def _known(address: str) -> ReservedIp:
    reserved = the_cloud().store.reserved_ips.get(address)
    if reserved is None:
        raise not_found()
    return reserved
