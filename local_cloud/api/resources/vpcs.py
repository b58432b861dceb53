"""VPCs: https://docs.digitalocean.com/reference/api/digitalocean/#tag/VPCs"""

from __future__ import annotations

import re
import time
from ipaddress import IPv4Network

from flask import Blueprint, Response, request

from local_cloud.api.addressing import NoAddressLeft, free_range, range_problem
from local_cloud.api.answers import (
    Json,
    answer,
    conflict,
    forbidden,
    no_content,
    not_found,
    page,
    unprocessable,
)
from local_cloud.api.body import Body
from local_cloud.api.cloud import Cloud, finish_before_answering, the_cloud
from local_cloud.api.records import Database, Droplet, LoadBalancer, Vpc, urn
from local_cloud.api.store import Store, new_uuid, now
from local_cloud.catalogue.regions import REGIONS

routes = Blueprint("vpcs", __name__)

NAME = re.compile(r"[a-zA-Z0-9\-.]+")


def default_vpc(store: Store, region: str) -> Vpc:
    """The region's default VPC, made when first needed, as DigitalOcean does."""
    found = next((vpc for vpc in store.vpcs if vpc.region == region and vpc.default), None)
    if found is not None:
        return found
    vpc = Vpc(new_uuid(), f"default-{region}", "", region, _generated_range(store), True, now())
    store.vpcs.save(vpc)
    return vpc


def _ensure_defaults(store: Store) -> None:
    for region in store.used_regions():
        default_vpc(store, region)


def vpc_for(store: Store, identifier: str, region: str) -> Vpc:
    """The VPC that something in `region` is made in; the region's default one if `identifier` is empty."""
    if not identifier:
        return default_vpc(store, region)
    vpc = store.vpcs.get(identifier)
    if vpc is None:
        raise unprocessable(f"VPC {identifier} does not exist")
    if vpc.region != region:
        raise unprocessable(f"VPC {identifier} is in {vpc.region}: it must be in the same region, {region}")
    return vpc


def members(store: Store, vpc: Vpc) -> list[Droplet | Database | LoadBalancer]:
    everything: list[Droplet | Database | LoadBalancer] = [*store.droplets, *store.load_balancers, *store.databases]
    return [each for each in everything if each.vpc_uuid == vpc.id]


def show_vpc(vpc: Vpc) -> Json:
    return {
        "id": vpc.id,
        "urn": urn(vpc),
        "name": vpc.name,
        "description": vpc.description,
        "region": vpc.region,
        "ip_range": vpc.ip_range,
        "default": vpc.default,
        "created_at": vpc.created_at,
    }


@routes.get("/v2/vpcs")
def list_vpcs() -> Response:
    _ensure_defaults(the_cloud().store)
    return page("vpcs", the_cloud().store.vpcs, show_vpc)


@routes.post("/v2/vpcs")
def create_vpc() -> Response:
    cloud, body = the_cloud(), Body.of_request()
    store = cloud.store
    _ensure_defaults(store)
    name = _name(store, body.required_text("name"), None)
    description = _description(body.text("description", ""))
    region = body.required_text("region")
    if region not in REGIONS:
        raise unprocessable(f"region {region!r} does not exist")
    ip_range = body.text("ip_range", "")
    if ip_range:
        problem = range_problem(ip_range, (IPv4Network(each.ip_range) for each in store.vpcs))
        if problem:
            raise unprocessable(problem)
    # The first VPC of a region becomes its default one, which stays: github.com/digitalocean/godo/issues/337
    first = not any(other.region == region for other in store.vpcs)
    vpc = Vpc(new_uuid(), name, description, region, ip_range or _generated_range(store), first, now())
    store.vpcs.save(vpc)
    finish_before_answering(cloud.work.settle())
    return answer({"vpc": show_vpc(vpc)}, 201)


@routes.get("/v2/vpcs/<vpc_id>")
def get_vpc(vpc_id: str) -> Response:
    return answer({"vpc": show_vpc(_known(vpc_id))})


@routes.put("/v2/vpcs/<vpc_id>")
@routes.patch("/v2/vpcs/<vpc_id>")
def update_vpc(vpc_id: str) -> Response:
    store, vpc, body = the_cloud().store, _known(vpc_id), Body.of_request()
    if request.method == "PUT" or body.has("name"):
        vpc_name = _name(store, body.required_text("name"), vpc)
    else:
        vpc_name = vpc.name
    description = _description(body.text("description", "" if request.method == "PUT" else vpc.description))
    default = body.truth("default", vpc.default)
    if vpc.default and not default:
        raise unprocessable("a default VPC stays so until another one of its region becomes the default")
    if default and not vpc.default:
        for other in store.vpcs:
            if other.region == vpc.region and other.default:
                other.default = False
                store.vpcs.save(other)
    vpc.name, vpc.description, vpc.default = vpc_name, description, default
    store.vpcs.save(vpc)
    return answer({"vpc": show_vpc(vpc)})


@routes.delete("/v2/vpcs/<vpc_id>")
def delete_vpc(vpc_id: str) -> Response:
    cloud, vpc = the_cloud(), _known(vpc_id)
    store = cloud.store
    if vpc.default:
        raise forbidden("Can not delete default VPCs")
    departing = any(departure.vpc_uuid == vpc.id for departure in store.departures)
    if members(store, vpc) or departing or _have_just_left(cloud, vpc):
        raise conflict("Can not delete VPC with members")
    store.vpcs.delete(vpc.id)
    for address in store.released:
        if address.network == vpc.id:
            store.released.delete(address.id)
    finish_before_answering(cloud.work.settle())
    return no_content()


@routes.get("/v2/vpcs/<vpc_id>/members")
def list_members(vpc_id: str) -> Response:
    store, vpc = the_cloud().store, _known(vpc_id)
    kind = request.args.get("resource_type", "")
    found = [each for each in members(store, vpc) if not kind or urn(each).split(":")[1] == kind]
    return page("members", found, lambda each: {"name": each.name, "urn": urn(each), "created_at": each.created_at})


def _have_just_left(cloud: Cloud, vpc: Vpc) -> bool:
    """Members count for a while after their own deletion was answered (digitalocean/terraform-provider issue 446)."""
    since = time.time() - cloud.durations.vpc_departure
    return any(each.network == vpc.id and each.released_at > since for each in cloud.store.released)


def _known(vpc_id: str) -> Vpc:
    vpc = the_cloud().store.vpcs.get(vpc_id)
    if vpc is None:
        raise not_found()
    return vpc


def _name(store: Store, name: str, but: Vpc | None) -> str:
    if not NAME.fullmatch(name):
        raise unprocessable("name may only contain alphanumeric characters, dashes, and periods")
    if any(vpc.name == name and vpc is not but for vpc in store.vpcs):
        raise unprocessable("a VPC with the same name already exists in your account")
    return name


def _description(text: str) -> str:
    if len(text) > 255:
        raise unprocessable("description is too long (maximum is 255 characters)")
    return text


def _generated_range(store: Store) -> str:
    try:
        return str(free_range(IPv4Network(vpc.ip_range) for vpc in store.vpcs))
    except NoAddressLeft as error:
        raise unprocessable(str(error)) from None
