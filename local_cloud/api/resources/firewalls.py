"""Cloud firewalls: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Firewalls"""

from __future__ import annotations

import re
from ipaddress import IPv6Network
from typing import Literal, TypeVar

from flask import Blueprint, Response

from local_cloud.api.answers import Json, answer, conflict, no_content, not_found, page, unprocessable
from local_cloud.api.body import Body
from local_cloud.api.cloud import finish_before_answering, the_cloud
from local_cloud.api.network_rules import ipv4_network, port_range
from local_cloud.api.records import Firewall, FirewallPeers, FirewallRule
from local_cloud.api.resources.tags import require_tags
from local_cloud.api.store import Store, new_uuid, now

routes = Blueprint("firewalls", __name__)

Item = TypeVar("Item", int, str)

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.\-]+")
#: Each firewall has at most 50 rules, 10 droplets by id and 5 tags, and each rule 1,000 sources or destinations:
#: https://docs.digitalocean.com/products/networking/firewalls/details/limits/
MOST_RULES, MOST_DROPLETS, MOST_TAGS, MOST_ENTRIES = 50, 10, 5, 1000


def show_firewall(firewall: Firewall) -> Json:
    pending = []
    if firewall.status == "waiting":
        ids = [droplet.id for droplet in the_cloud().store.droplets if droplet.id in firewall.droplet_ids]
        pending = [{"droplet_id": each, "removing": False, "status": "waiting"} for each in ids]
    return {
        "id": firewall.id,
        "name": firewall.name,
        "status": firewall.status,
        "created_at": firewall.created_at,
        "pending_changes": pending,
        "inbound_rules": [_show_rule(rule, "sources") for rule in firewall.inbound],
        "outbound_rules": [_show_rule(rule, "destinations") for rule in firewall.outbound],
        "droplet_ids": firewall.droplet_ids,
        "tags": firewall.tags,
    }


@routes.get("/v2/firewalls")
def list_firewalls() -> Response:
    return page("firewalls", the_cloud().store.firewalls, show_firewall)


@routes.post("/v2/firewalls")
def create_firewall() -> Response:
    store = the_cloud().store
    firewall = Firewall(new_uuid(), "", now(), [], [], [], [])
    _fill(store, firewall, Body.of_request())
    _changed(firewall)
    return answer({"firewall": show_firewall(firewall)}, 202)


@routes.get("/v2/firewalls/<firewall_id>")
def get_firewall(firewall_id: str) -> Response:
    return answer({"firewall": show_firewall(_known(firewall_id))})


@routes.put("/v2/firewalls/<firewall_id>")
def update_firewall(firewall_id: str) -> Response:
    firewall = _known(firewall_id)
    _fill(the_cloud().store, firewall, Body.of_request())
    _changed(firewall)
    return answer({"firewall": show_firewall(firewall)})


@routes.delete("/v2/firewalls/<firewall_id>")
def delete_firewall(firewall_id: str) -> Response:
    cloud, firewall = the_cloud(), _known(firewall_id)
    cloud.store.firewalls.delete(firewall.id)
    finish_before_answering(cloud.work.settle())
    return no_content()


@routes.post("/v2/firewalls/<firewall_id>/droplets")
def add_droplets(firewall_id: str) -> Response:
    firewall = _known(firewall_id)
    ids = _droplet_ids(the_cloud().store, Body.of_request())
    firewall.droplet_ids = _at_most(MOST_DROPLETS, "droplets", [*firewall.droplet_ids, *ids])
    _changed(firewall)
    return no_content()


@routes.delete("/v2/firewalls/<firewall_id>/droplets")
def remove_droplets(firewall_id: str) -> Response:
    firewall, ids = _known(firewall_id), Body.of_request().numbers("droplet_ids")
    firewall.droplet_ids = [each for each in firewall.droplet_ids if each not in ids]
    _changed(firewall)
    return no_content()


@routes.post("/v2/firewalls/<firewall_id>/tags")
def add_tags(firewall_id: str) -> Response:
    firewall = _known(firewall_id)
    tags = require_tags(the_cloud().store, Body.of_request().texts("tags"))
    firewall.tags = _at_most(MOST_TAGS, "tags", [*firewall.tags, *tags])
    _changed(firewall)
    return no_content()


@routes.delete("/v2/firewalls/<firewall_id>/tags")
def remove_tags(firewall_id: str) -> Response:
    firewall, tags = _known(firewall_id), Body.of_request().texts("tags")
    firewall.tags = [each for each in firewall.tags if each not in tags]
    _changed(firewall)
    return no_content()


@routes.post("/v2/firewalls/<firewall_id>/rules")
def add_rules(firewall_id: str) -> Response:
    firewall, inbound, outbound = _known(firewall_id), *_rules(Body.of_request())
    if len(firewall.inbound) + len(firewall.outbound) + len(inbound) + len(outbound) > MOST_RULES:
        raise unprocessable(f"a firewall may have at most {MOST_RULES} rules")
    firewall.inbound += [rule for rule in inbound if rule not in firewall.inbound]
    firewall.outbound += [rule for rule in outbound if rule not in firewall.outbound]
    _changed(firewall)
    return no_content()


@routes.delete("/v2/firewalls/<firewall_id>/rules")
def remove_rules(firewall_id: str) -> Response:
    firewall, inbound, outbound = _known(firewall_id), *_rules(Body.of_request())
    firewall.inbound = [rule for rule in firewall.inbound if rule not in inbound]
    firewall.outbound = [rule for rule in firewall.outbound if rule not in outbound]
    _changed(firewall)
    return no_content()


def _known(firewall_id: str) -> Firewall:
    firewall = the_cloud().store.firewalls.get(firewall_id)
    if firewall is None:
        raise not_found()
    return firewall


def _changed(firewall: Firewall) -> None:
    cloud = the_cloud()
    firewall.status = "waiting"
    cloud.store.firewalls.save(firewall)
    finish_before_answering(cloud.work.settle())


def _fill(store: Store, firewall: Firewall, body: Body) -> None:
    """Make the firewall what the request says; nothing changes unless all of it is right."""
    name = body.required_text("name")
    if not NAME.fullmatch(name):
        raise unprocessable("name must start with a letter or number and hold only letters, numbers, . and -")
    if any(other.name == name and other.id != firewall.id for other in store.firewalls):
        raise conflict("duplicate name")
    inbound, outbound = _rules(body)
    if not inbound and not outbound:
        raise unprocessable("a firewall must have at least one rule")
    droplet_ids = _at_most(MOST_DROPLETS, "droplets", _droplet_ids(store, body))
    tags = _at_most(MOST_TAGS, "tags", require_tags(store, body.texts("tags")))
    firewall.name, firewall.inbound, firewall.outbound = name, inbound, outbound
    firewall.droplet_ids, firewall.tags = droplet_ids, tags


def _droplet_ids(store: Store, body: Body) -> list[int]:
    ids = body.numbers("droplet_ids")
    for each in ids:
        if each not in store.droplets:
            raise unprocessable(f"could not find droplet {each}")
    return ids


def _at_most(most: int, what: str, items: list[Item]) -> list[Item]:
    unique = list(dict.fromkeys(items))
    if len(unique) > most:
        raise unprocessable(f"a firewall may have at most {most} {what}")
    return unique


def _rules(body: Body) -> tuple[list[FirewallRule], list[FirewallRule]]:
    inbound = [_rule(each, "sources") for each in body.objects("inbound_rules")]
    outbound = [_rule(each, "destinations") for each in body.objects("outbound_rules")]
    if len(inbound) + len(outbound) > MOST_RULES:
        raise unprocessable(f"a firewall may have at most {MOST_RULES} rules")
    return inbound, outbound


def _rule(body: Body, side: str) -> FirewallRule:
    store = the_cloud().store
    protocol: Literal["tcp", "udp", "icmp"] = body.choice("protocol", ("tcp", "udp", "icmp"))
    ports = "" if protocol == "icmp" else body.required_text("ports")
    try:
        if port_range(ports) is None and protocol != "icmp":
            ports = "0"
    except ValueError:
        raise unprocessable(f"ports {ports!r} must be a port, a range such as 8000-9000, or all") from None
    peers = body.object(side)
    addresses = peers.texts("addresses")
    for address in addresses:
        _check_address(address)
    if peers.fields.get("kubernetes_ids"):
        raise unprocessable("kubernetes_ids: the local cloud has no Kubernetes clusters of DigitalOcean's")
    found = FirewallPeers(
        addresses=addresses,
        tags=require_tags(store, peers.texts("tags")),
        droplet_ids=_droplet_ids(store, peers),
        load_balancer_uids=peers.texts("load_balancer_uids"),
    )
    entries = [*found.addresses, *found.tags, *found.droplet_ids, *found.load_balancer_uids]
    if not entries:
        raise unprocessable(f"a rule must have {side}")
    if len(entries) > MOST_ENTRIES:
        raise unprocessable(f"a rule may have at most {MOST_ENTRIES} {side}")
    for each in found.load_balancer_uids:
        if each not in store.load_balancers:
            raise unprocessable(f"could not find load balancer {each}")
    return FirewallRule(protocol, ports, found)


def _check_address(address: str) -> None:
    try:
        if ipv4_network(address) is None:
            IPv6Network(address, strict=False)
    except ValueError:
        raise unprocessable(f"{address!r} is neither an IP address nor a CIDR") from None


def _show_rule(rule: FirewallRule, side: str) -> Json:
    peers = {name: value for name, value in vars(rule.peers).items() if value}
    return {"protocol": rule.protocol, "ports": rule.ports or "0", side: peers}
