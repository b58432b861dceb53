"""Droplet actions: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Droplet-Actions"""

from __future__ import annotations

from flask import Blueprint, Response, request

from local_cloud.api.answers import answer, not_found, not_here, page, unprocessable
from local_cloud.api.body import Body
from local_cloud.api.cloud import Cloud, the_cloud
from local_cloud.api.records import Action, Droplet
from local_cloud.api.resources.actions import show_action
from local_cloud.api.resources.droplets import host_name, known_droplet
from local_cloud.api.store import now
from local_cloud.catalogue.sizes import SIZES

routes = Blueprint("droplet_actions", __name__)

POWER = ("power_on", "power_off", "shutdown", "reboot", "power_cycle")
#: What DigitalOcean can do to a droplet and this cloud can not.
NOT_HERE = {
    "enable_backups": "makes no backups of droplets",
    "disable_backups": "makes no backups of droplets",
    "change_backup_policy": "makes no backups of droplets",
    "restore": "makes no backups of droplets",
    "snapshot": "makes no snapshots",
    "rebuild": "does not rebuild droplets: destroy it and create another one",
    "enable_ipv6": "has an IPv4 network only",
    "password_reset": "gives root no password: use an SSH key",
    "change_kernel": "boots droplets with the kernel of the machine it runs on",
}


@routes.get("/v2/droplets/<int:droplet_id>/actions")
def list_actions(droplet_id: int) -> Response:
    known_droplet(droplet_id)
    mine = [action for action in the_cloud().store.actions if action.resource_id == droplet_id]
    return page("actions", reversed(mine), show_action)


@routes.get("/v2/droplets/<int:droplet_id>/actions/<int:action_id>")
def get_action(droplet_id: int, action_id: int) -> Response:
    known_droplet(droplet_id)
    action = the_cloud().store.actions.get(action_id)
    if action is None or action.resource_id != droplet_id:
        raise not_found()
    return answer({"action": show_action(action)})


@routes.post("/v2/droplets/<int:droplet_id>/actions")
def act(droplet_id: int) -> Response:
    cloud, droplet, body = the_cloud(), known_droplet(droplet_id), Body.of_request()
    return answer({"action": show_action(_begin(cloud, droplet, body))}, 201)


@routes.post("/v2/droplets/actions")
def act_by_tag() -> Response:
    cloud, tag, body = the_cloud(), request.args.get("tag_name", ""), Body.of_request()
    droplets = [droplet for droplet in cloud.store.droplets if tag and tag in droplet.tags]
    return answer({"actions": [show_action(_begin(cloud, droplet, body)) for droplet in droplets]}, 201)


def _begin(cloud: Cloud, droplet: Droplet, body: Body) -> Action:
    kind = body.required_text("type")
    if kind in NOT_HERE:
        raise not_here(NOT_HERE[kind])
    if kind == "enable_private_networking":
        raise unprocessable("Droplet already has private networking enabled.")
    if kind not in (*POWER, "resize", "rename"):
        raise unprocessable(f"{kind} is not a droplet action")
    if droplet.locked:
        raise unprocessable("Droplet already has a pending event.")
    cloud.work.observe_power(droplet)
    if kind == "power_on" and droplet.status == "active":
        raise unprocessable("Droplet is already powered on.")
    if kind in ("power_off", "shutdown") and droplet.status == "off":
        raise unprocessable("Droplet is already powered off.")
    if kind == "reboot" and droplet.status == "off":
        raise unprocessable("Droplet is off: power it on first.")
    parameters = _parameters(kind, droplet, body)
    action = Action(cloud.store.next_number("action"), kind, droplet.id, droplet.region, now(), parameters=parameters)
    droplet.locked = True
    cloud.store.droplets.save(droplet)
    cloud.store.actions.save(action)
    cloud.work.act_on_droplet(action)
    return action


def _parameters(kind: str, droplet: Droplet, body: Body) -> dict[str, str]:
    if kind == "rename":
        return {"name": host_name(body.required_text("name"))}
    if kind != "resize":
        return {}
    if droplet.status != "off":
        raise unprocessable("Droplet must be powered off before it can be resized.")
    size, disk = SIZES.get(body.required_text("size")), body.truth("disk", False)
    if size is None or not size.available:
        raise unprocessable("You specified an invalid size for Droplet resize.")
    if size.slug == droplet.size:
        raise unprocessable("This Droplet is already this size.")
    if size.disk < droplet.disk:
        raise unprocessable("A droplet's disk can not shrink: choose a size whose disk is at least as large.")
    return {"size": size.slug, "disk": "true" if disk else "false"}
