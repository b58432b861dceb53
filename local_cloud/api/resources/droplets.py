"""Droplets: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Droplets"""

from __future__ import annotations

import re
from ipaddress import IPv4Network

from flask import Blueprint, Response, request

from local_cloud.addresses import PUBLIC, PUBLIC_GATEWAY
from local_cloud.api.answers import Json, answer, no_content, not_found, not_here, page, unprocessable, url
from local_cloud.api.body import Body
from local_cloud.api.cloud import (
    Cloud,
    depart,
    finish_before_answering,
    new_private_address,
    new_public_address,
    the_cloud,
)
from local_cloud.api.network_rules import firewalls_of
from local_cloud.api.records import Action, Droplet, Vpc, urn
from local_cloud.api.resources.account import DROPLET_LIMIT
from local_cloud.api.resources.firewalls import show_firewall
from local_cloud.api.resources.images import show_image
from local_cloud.api.resources.projects import default_project, join, leave
from local_cloud.api.resources.regions import show_region
from local_cloud.api.resources.sizes import show_size
from local_cloud.api.resources.ssh_keys import find_key
from local_cloud.api.resources.tags import ensure_tags
from local_cloud.api.resources.vpcs import vpc_for
from local_cloud.api.store import now
from local_cloud.catalogue.images import IMAGES, Image, find_image
from local_cloud.catalogue.regions import REGIONS
from local_cloud.catalogue.sizes import SIZES

routes = Blueprint("droplets", __name__)

HOST_NAME = re.compile(r"[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]")
#: https://docs.digitalocean.com/products/droplets/how-to/provide-user-data/
MOST_USER_DATA = 64 * 1024
MOST_AT_ONCE = 10


def show_droplet(droplet: Droplet) -> Json:
    size, vpc = SIZES[droplet.size], the_cloud().store.vpcs.get(droplet.vpc_uuid)
    return {
        "id": droplet.id,
        "name": droplet.name,
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": droplet.disk,
        "disk_info": [{"type": "local", "size": {"amount": droplet.disk, "unit": "gib"}}],
        "locked": droplet.locked,
        "status": droplet.status,
        "kernel": None,
        "created_at": droplet.created_at,
        "features": ["private_networking", *(["monitoring"] if droplet.monitoring else [])],
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [],
        "image": show_image(IMAGES[droplet.image]),
        "volume_ids": [],
        "size": show_size(size),
        "size_slug": droplet.size,
        "networks": {"v4": _networks(droplet, vpc), "v6": []},
        "region": show_region(REGIONS[droplet.region]),
        "tags": droplet.tags,
        "vpc_uuid": droplet.vpc_uuid,
    }


def known_droplet(droplet_id: int) -> Droplet:
    droplet = the_cloud().store.droplets.get(droplet_id)
    if droplet is None:
        raise not_found()
    return droplet


def host_name(name: str) -> str:
    """`name` if a droplet may have it. ApiError 422 if not."""
    if not HOST_NAME.fullmatch(name) or len(name) > 255:
        raise unprocessable("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
    return name


@routes.get("/v2/droplets")
def list_droplets() -> Response:
    cloud = the_cloud()
    tag, name = request.args.get("tag_name", ""), request.args.get("name", "")
    found = [] if request.args.get("type") == "gpus" else list(cloud.store.droplets)
    if tag:
        found = [each for each in found if tag.lower() in (carried.lower() for carried in each.tags)]
    if name:
        found = [each for each in found if each.name.lower() == name.lower()]
    for droplet in found:
        cloud.work.observe_power(droplet)
    return page("droplets", found, show_droplet)


@routes.post("/v2/droplets")
def create_droplets() -> Response:
    cloud, body = the_cloud(), Body.of_request()
    several = body.has("names")
    names = [host_name(name) for name in (body.texts("names") if several else [body.required_text("name")])]
    if not 1 <= len(names) <= MOST_AT_ONCE:
        raise unprocessable(f"names must hold 1 to {MOST_AT_ONCE} names")
    if len(cloud.store.droplets) + len(names) > DROPLET_LIMIT:
        raise unprocessable("creating this/these droplet(s) will exceed your droplet limit")
    droplets, links = [], []
    for droplet in _checked(cloud, body, names):
        cloud.store.droplets.save(droplet)
        join(cloud.store, default_project(cloud.store), urn(droplet))
        action = Action(cloud.store.next_number("action"), "create", droplet.id, droplet.region, now())
        cloud.store.actions.save(action)
        cloud.work.create_droplet(droplet.id, action.id)
        droplets.append(show_droplet(droplet))
        links.append({"id": action.id, "rel": "create", "href": url(f"/v2/actions/{action.id}")})
    if several:
        return answer({"droplets": droplets, "links": {"actions": links}}, 202)
    return answer({"droplet": droplets[0], "links": {"actions": links}}, 202)


@routes.get("/v2/droplets/<int:droplet_id>")
def get_droplet(droplet_id: int) -> Response:
    droplet = known_droplet(droplet_id)
    the_cloud().work.observe_power(droplet)
    return answer({"droplet": show_droplet(droplet)})


@routes.delete("/v2/droplets/<int:droplet_id>")
def delete_droplet(droplet_id: int) -> Response:
    _destroy(the_cloud(), known_droplet(droplet_id))
    return no_content()


@routes.delete("/v2/droplets")
def delete_droplets_by_tag() -> Response:
    cloud, name = the_cloud(), request.args.get("tag_name", "")
    if not name:
        raise unprocessable("tag_name is missing: say which droplets to destroy")
    tag = cloud.store.tags.get(name.lower())
    if tag is None:
        raise not_found()
    for droplet in [each for each in cloud.store.droplets if tag.name in each.tags]:
        _destroy(cloud, droplet)
    return no_content()


@routes.get("/v2/droplets/<int:droplet_id>/backups")
def list_backups(droplet_id: int) -> Response:
    known_droplet(droplet_id)
    return page("backups", [], dict)


@routes.get("/v2/droplets/<int:droplet_id>/snapshots")
def list_snapshots(droplet_id: int) -> Response:
    known_droplet(droplet_id)
    return page("snapshots", [], dict)


@routes.get("/v2/droplets/<int:droplet_id>/backups/policy")
def get_backup_policy(droplet_id: int) -> Response:
    known_droplet(droplet_id)
    return answer({"policy": {"droplet_id": droplet_id, "backup_enabled": False, "next_backup_window": None}})


@routes.get("/v2/droplets/<int:droplet_id>/firewalls")
def list_firewalls(droplet_id: int) -> Response:
    droplet = known_droplet(droplet_id)
    return page("firewalls", firewalls_of(droplet, the_cloud().store.firewalls), show_firewall)


def _networks(droplet: Droplet, vpc: Vpc | None) -> list[Json]:
    """Addresses are known once the droplet is made. The netmask of the private one is that of its VPC."""
    if droplet.status == "new" or vpc is None:
        return []
    private = _private_network(vpc)
    return [
        {
            "ip_address": droplet.public_ip,
            "netmask": str(PUBLIC.netmask),
            "gateway": str(PUBLIC_GATEWAY),
            "type": "public",
        },
        {"ip_address": droplet.private_ip, **private, "type": "private"},
    ]


def _private_network(vpc: Vpc) -> Json:
    network = IPv4Network(vpc.ip_range)
    return {"netmask": str(network.netmask), "gateway": str(network.network_address + 1)}


def _checked(cloud: Cloud, body: Body, names: list[str]) -> list[Droplet]:
    """The droplets that the request asks for. Nothing is made unless all of it is right."""
    store = cloud.store
    size = SIZES.get(body.required_text("size"))
    if size is None or not size.available:
        raise unprocessable("You specified an invalid size for Droplet creation.")
    region = REGIONS.get(body.text("region", "nyc3"))
    if region is None or not region.available:
        raise unprocessable("You specified an invalid region for Droplet creation.")
    image = _image(body)
    if size.disk < image.min_disk:
        raise unprocessable(f"The image needs a disk of {image.min_disk} GB: choose a larger size.")
    _refuse_what_is_not_here(body)
    user_data = body.text("user_data", "")
    if len(user_data.encode()) > MOST_USER_DATA:
        raise unprocessable("User data is too long (maximum is 64 KiB).")
    keys = _public_keys(cloud, body)
    vpc = vpc_for(store, body.text("vpc_uuid", ""), region.slug)
    tags = ensure_tags(store, body.texts("tags"))
    monitoring = body.truth("monitoring", False)
    droplets: list[Droplet] = []
    for name in names:
        droplet = Droplet(
            id=store.next_number("droplet"),
            name=name,
            region=region.slug,
            size=size.slug,
            image=image.slug,
            disk=size.disk,
            user_data=user_data,
            ssh_public_keys=keys,
            tags=list(tags),
            vpc_uuid=vpc.id,
            public_ip=new_public_address(store),
            private_ip=new_private_address(store, vpc),
            monitoring=monitoring,
            created_at=now(),
        )
        # Saved at once, so that the next one's addresses are other ones.
        store.droplets.save(droplet)
        droplets.append(droplet)
    return droplets


def _image(body: Body) -> Image:
    given = body.fields.get("image")
    image = find_image(given) if isinstance(given, str | int) and not isinstance(given, bool) and given else None
    if image is None or image.status != "available":
        raise unprocessable("You specified an invalid image for Droplet creation.")
    return image


def _public_keys(cloud: Cloud, body: Body) -> list[str]:
    given = [str(each) for each in body.texts_or_numbers("ssh_keys")]
    found = [find_key(cloud.store, each) for each in given]
    unknown = [each for each, key in zip(given, found, strict=True) if key is None]
    if unknown:
        raise unprocessable(f"{', '.join(unknown)} are invalid key identifiers for Droplet creation.")
    return [key.public_key for key in found if key is not None]


def _refuse_what_is_not_here(body: Body) -> None:
    if body.truth("ipv6", False):
        raise not_here("has an IPv4 network only: it makes no droplet with ipv6")
    if body.truth("backups", False):
        raise not_here("makes no backups of droplets")
    if body.texts("volumes"):
        raise not_here("has no volumes")
    if not body.truth("public_networking", True):
        raise not_here("makes no droplet without a public interface")
    if body.truth("with_droplet_agent", False):
        raise not_here("has no droplet agent: leave with_droplet_agent out")


def _destroy(cloud: Cloud, droplet: Droplet) -> None:
    """Take the droplet out of everything that names it, and its machine down."""
    store = cloud.store
    store.droplets.delete(droplet.id)
    leave(store, urn(droplet))
    for reserved in store.reserved_ips:
        if reserved.droplet_id == droplet.id:
            reserved.droplet_id = None
            store.reserved_ips.save(reserved)
    for firewall in store.firewalls:
        if droplet.id in firewall.droplet_ids:
            firewall.droplet_ids.remove(droplet.id)
            store.firewalls.save(firewall)
    for balancer in store.load_balancers:
        if droplet.id in balancer.droplet_ids:
            balancer.droplet_ids.remove(droplet.id)
            store.load_balancers.save(balancer)
    for database in store.databases:
        kept = [rule for rule in database.rules if not (rule.type == "droplet" and rule.value == str(droplet.id))]
        if len(kept) < len(database.rules):
            database.rules = kept
            store.databases.save(database)
    cloud.work.settle()
    finish_before_answering(cloud.work.destroy(depart(store, "droplet", droplet)), seconds=60.0)
