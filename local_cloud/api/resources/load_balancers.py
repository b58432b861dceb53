"""Load balancers: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Load-Balancers

Regional, external ones that forward TCP: `tcp`, and `https` that is passed through. What needs a load balancer that
reads HTTP or ends TLS is refused.
"""

from __future__ import annotations

import re
from typing import Literal

from flask import Blueprint, Response

from local_cloud.api.answers import Json, answer, conflict, no_content, not_found, not_here, page, unprocessable
from local_cloud.api.body import Body
from local_cloud.api.cloud import (
    Cloud,
    depart,
    finish_before_answering,
    new_private_address,
    new_public_address,
    the_cloud,
)
from local_cloud.api.network_rules import ipv4_network
from local_cloud.api.records import ForwardingRule, HealthCheck, LoadBalancer, urn
from local_cloud.api.resources.projects import join, leave, project_for, project_id_of
from local_cloud.api.resources.regions import show_region
from local_cloud.api.resources.tags import NAME as TAG_NAME
from local_cloud.api.resources.vpcs import vpc_for
from local_cloud.api.specs import targets_of
from local_cloud.api.store import Store, new_uuid, now
from local_cloud.catalogue.load_balancers import SIZE_UNITS, SLUG_ONLY_REGIONS, size_slug
from local_cloud.catalogue.regions import REGIONS

routes = Blueprint("load_balancers", __name__)

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.\-]*")
TARGET_PROTOCOL = {"tcp": "tcp", "https": "https"}


def show_load_balancer(balancer: LoadBalancer) -> Json:
    store = the_cloud().store
    return {
        "id": balancer.id,
        "name": balancer.name,
        "ip": "" if balancer.status == "new" else balancer.public_ip,
        "size": size_slug(balancer.size_unit),
        "size_unit": balancer.size_unit,
        "algorithm": "round_robin",
        "status": balancer.status,
        "created_at": balancer.created_at,
        "forwarding_rules": [vars(rule) for rule in balancer.forwarding_rules],
        "health_check": vars(balancer.health_check),
        "sticky_sessions": {"type": "none"},
        "region": show_region(REGIONS[balancer.region]),
        "tag": balancer.tag,
        "droplet_ids": [droplet.id for droplet in targets_of(balancer, store.droplets)],
        "redirect_http_to_https": False,
        "enable_proxy_protocol": False,
        "enable_backend_keepalive": balancer.enable_backend_keepalive,
        "vpc_uuid": balancer.vpc_uuid,
        "disable_lets_encrypt_dns_records": balancer.disable_lets_encrypt_dns_records,
        "project_id": project_id_of(store, balancer),
        "http_idle_timeout_seconds": balancer.http_idle_timeout_seconds,
        "firewall": {"allow": balancer.allow, "deny": balancer.deny},
        "network": "EXTERNAL",
        "network_stack": "IPV4",
        "type": "REGIONAL",
        "tls_cipher_policy": balancer.tls_cipher_policy,
    }


@routes.get("/v2/load_balancers")
def list_load_balancers() -> Response:
    return page("load_balancers", the_cloud().store.load_balancers, show_load_balancer)


@routes.post("/v2/load_balancers")
def create_load_balancer() -> Response:
    cloud, body = the_cloud(), Body.of_request()
    store = cloud.store
    region = body.required_text("region")
    if region not in REGIONS or not REGIONS[region].available:
        raise unprocessable(f"region {region!r} does not exist or takes no load balancers")
    vpc = vpc_for(store, body.text("vpc_uuid", ""), region)
    project = project_for(store, body.text("project_id", ""))
    balancer = LoadBalancer(
        id=new_uuid(),
        name="",
        region=region,
        vpc_uuid=vpc.id,
        public_ip="",
        private_ip="",
        created_at=now(),
        size_unit=1,
        forwarding_rules=[],
        health_check=HealthCheck(),
        droplet_ids=[],
        tag="",
        allow=[],
        deny=[],
    )
    _fill(store, balancer, body)
    balancer.public_ip, balancer.private_ip = new_public_address(store), new_private_address(store, vpc)
    store.load_balancers.save(balancer)
    join(store, project, urn(balancer))
    cloud.work.create_load_balancer(balancer.id)
    return answer({"load_balancer": show_load_balancer(balancer)}, 202)


@routes.get("/v2/load_balancers/<balancer_id>")
def get_load_balancer(balancer_id: str) -> Response:
    return answer({"load_balancer": show_load_balancer(_known(balancer_id))})


@routes.put("/v2/load_balancers/<balancer_id>")
def update_load_balancer(balancer_id: str) -> Response:
    cloud, balancer, body = the_cloud(), _known(balancer_id), Body.of_request()
    if body.text("region", balancer.region) != balancer.region:
        raise unprocessable("a load balancer can not move to another region")
    if body.text("vpc_uuid", balancer.vpc_uuid) not in ("", balancer.vpc_uuid):
        raise unprocessable("a load balancer can not move to another VPC")
    _fill(cloud.store, balancer, body)
    cloud.store.load_balancers.save(balancer)
    if body.text("project_id", ""):
        join(cloud.store, project_for(cloud.store, body.text("project_id")), urn(balancer))
    _settle(cloud)
    return answer({"load_balancer": show_load_balancer(balancer)})


@routes.delete("/v2/load_balancers/<balancer_id>")
def delete_load_balancer(balancer_id: str) -> Response:
    cloud, balancer = the_cloud(), _known(balancer_id)
    store = cloud.store
    store.load_balancers.delete(balancer.id)
    leave(store, urn(balancer))
    for firewall in store.firewalls:
        for rule in [*firewall.inbound, *firewall.outbound]:
            if balancer.id in rule.peers.load_balancer_uids:
                rule.peers.load_balancer_uids.remove(balancer.id)
                store.firewalls.save(firewall)
    cloud.work.settle()
    finish_before_answering(cloud.work.destroy(depart(store, "load_balancer", balancer)), seconds=30.0)
    return no_content()


@routes.delete("/v2/load_balancers/<balancer_id>/cache")
def purge_cache(balancer_id: str) -> Response:
    _known(balancer_id)
    raise not_here("has no global load balancers, and so no caches")


@routes.post("/v2/load_balancers/<balancer_id>/droplets")
def add_droplets(balancer_id: str) -> Response:
    cloud, balancer = the_cloud(), _known(balancer_id)
    if balancer.tag:
        raise unprocessable("this load balancer's droplets are chosen by tag: tag the droplet instead")
    ids = _droplet_ids(cloud.store, Body.of_request())
    balancer.droplet_ids = list(dict.fromkeys([*balancer.droplet_ids, *ids]))
    cloud.store.load_balancers.save(balancer)
    _settle(cloud)
    return no_content()


@routes.delete("/v2/load_balancers/<balancer_id>/droplets")
def remove_droplets(balancer_id: str) -> Response:
    cloud, balancer = the_cloud(), _known(balancer_id)
    ids = Body.of_request().numbers("droplet_ids")
    balancer.droplet_ids = [each for each in balancer.droplet_ids if each not in ids]
    cloud.store.load_balancers.save(balancer)
    _settle(cloud)
    return no_content()


@routes.post("/v2/load_balancers/<balancer_id>/forwarding_rules")
def add_forwarding_rules(balancer_id: str) -> Response:
    cloud, balancer = the_cloud(), _known(balancer_id)
    balancer.forwarding_rules = _distinct([*balancer.forwarding_rules, *_forwarding_rules(Body.of_request())])
    cloud.store.load_balancers.save(balancer)
    _settle(cloud)
    return no_content()


@routes.delete("/v2/load_balancers/<balancer_id>/forwarding_rules")
def remove_forwarding_rules(balancer_id: str) -> Response:
    cloud, balancer = the_cloud(), _known(balancer_id)
    gone = _forwarding_rules(Body.of_request())
    left = [rule for rule in balancer.forwarding_rules if rule not in gone]
    if not left:
        raise unprocessable("a load balancer must have at least one forwarding rule")
    balancer.forwarding_rules = left
    cloud.store.load_balancers.save(balancer)
    _settle(cloud)
    return no_content()


def _known(balancer_id: str) -> LoadBalancer:
    balancer = the_cloud().store.load_balancers.get(balancer_id)
    if balancer is None:
        raise not_found()
    return balancer


def _settle(cloud: Cloud) -> None:
    finish_before_answering(cloud.work.settle())


def _fill(store: Store, balancer: LoadBalancer, body: Body) -> None:
    """Make the load balancer what the request says; nothing changes unless all of it is right."""
    _refuse_what_is_not_here(body)
    name = body.required_text("name")
    if not NAME.fullmatch(name):
        raise unprocessable("name must start with a letter or number and hold only letters, numbers, . and -")
    if any(other.name == name and other.id != balancer.id for other in store.load_balancers):
        raise conflict("a load balancer with this name already exists")
    size_unit = _size_unit(body, balancer.region)
    rules = _distinct(_forwarding_rules(body))
    health_check = _health_check(body.object("health_check"))
    tag, droplet_ids = body.text("tag", ""), _droplet_ids(store, body)
    if tag and droplet_ids:
        raise unprocessable("give either tag or droplet_ids, not both")
    if tag and not TAG_NAME.fullmatch(tag):
        raise unprocessable(f"tag {tag!r} is invalid")
    allow, deny = (_firewall_entries(body.object("firewall"), side) for side in ("allow", "deny"))
    timeout = body.number("http_idle_timeout_seconds", 60, 30, 600)
    keepalive = body.truth("enable_backend_keepalive", False)
    no_dns_records = body.truth("disable_lets_encrypt_dns_records", False)
    cipher_policy = body.choice("tls_cipher_policy", ("DEFAULT", "STRONG"), "DEFAULT")
    known_tag = store.tags.get(tag.lower())
    balancer.name, balancer.size_unit, balancer.tls_cipher_policy = name, size_unit, cipher_policy
    balancer.forwarding_rules, balancer.health_check = rules, health_check
    balancer.tag, balancer.droplet_ids = (known_tag.name if known_tag else tag), droplet_ids
    balancer.allow, balancer.deny = allow, deny
    balancer.http_idle_timeout_seconds, balancer.enable_backend_keepalive = timeout, keepalive
    balancer.disable_lets_encrypt_dns_records = no_dns_records


def _refuse_what_is_not_here(body: Body) -> None:
    if body.text("network", "EXTERNAL") not in ("", "EXTERNAL"):
        raise not_here("has external load balancers only")
    if body.text("network_stack", "IPV4") not in ("", "IPV4"):
        raise not_here("has an IPv4 network only")
    if body.text("type", "REGIONAL") not in ("", "REGIONAL"):
        raise not_here("has load balancers of type REGIONAL only")
    if body.text("algorithm", "round_robin") not in ("", "round_robin"):
        raise not_here("balances round_robin only")
    if body.truth("redirect_http_to_https", False):
        raise not_here("forwards TCP only: leave redirect_http_to_https false")
    if body.truth("enable_proxy_protocol", False):
        raise not_here("does not speak the PROXY protocol: leave enable_proxy_protocol false")
    if body.object("sticky_sessions").text("type", "none") not in ("", "none"):
        raise not_here("forwards TCP only: it has no sticky sessions")


def _size_unit(body: Body, region: str) -> int:
    slug = body.text("size", "")
    if body.has("size_unit") and body.fields["size_unit"] != 0:
        units = body.number("size_unit", 1, 1, 100)
        # Answers hold both, and clients send back what they were answered: both may be there if they agree.
        if slug and slug != size_slug(units):
            raise unprocessable("size and size_unit contradict each other: give one of them")
        if region in SLUG_ONLY_REGIONS:
            raise unprocessable(f"size_unit is not available in {region}: give size")
        return units
    slug = slug or "lb-small"
    if slug not in SIZE_UNITS:
        raise unprocessable(f"size must be one of {', '.join(SIZE_UNITS)}")
    return SIZE_UNITS[slug]


def _forwarding_rules(body: Body) -> list[ForwardingRule]:
    rules = [_forwarding_rule(each) for each in body.objects("forwarding_rules")]
    if not rules:
        raise unprocessable("a load balancer must have at least one forwarding rule")
    return rules


def _forwarding_rule(body: Body) -> ForwardingRule:
    entry, target = body.required_text("entry_protocol"), body.required_text("target_protocol")
    passthrough, certificate = body.truth("tls_passthrough", False), body.text("certificate_id", "")
    if passthrough and certificate:
        raise unprocessable("a rule with tls_passthrough takes no certificate_id: the droplets hold the certificate")
    if entry == "https" and not passthrough and not certificate:
        raise unprocessable("a rule with entry_protocol https needs either a certificate_id or tls_passthrough")
    if passthrough and (entry != "https" or target != "https"):
        raise unprocessable("tls_passthrough needs https as both entry_protocol and target_protocol")
    if TARGET_PROTOCOL.get(entry) != target or (entry == "https" and not passthrough):
        raise not_here(
            f"forwards TCP only, not {entry} to {target}: use tcp to tcp, or https to https with tls_passthrough"
        )
    return ForwardingRule(
        entry_protocol=entry,
        entry_port=body.number("entry_port", None, 1, 65535),
        target_protocol=target,
        target_port=body.number("target_port", None, 1, 65535),
        tls_passthrough=passthrough,
    )


def _distinct(rules: list[ForwardingRule]) -> list[ForwardingRule]:
    ports = [rule.entry_port for rule in rules]
    twice = next((port for port in ports if ports.count(port) > 1), None)
    if twice is not None:
        raise unprocessable(f"two forwarding rules have the entry_port {twice}")
    return rules


def _health_check(body: Body) -> HealthCheck:
    """Ranges: https://docs.digitalocean.com/products/networking/load-balancers/how-to/manage/ (health checks)."""
    protocol: Literal["http", "https", "tcp"] = body.choice("protocol", ("http", "https", "tcp"), "http")
    path = body.text("path", "") or "/"
    if not path.startswith("/"):
        raise body.refuse("path", "must start with /")
    return HealthCheck(
        protocol=protocol,
        port=body.number("port", 80, 1, 65535),
        path="" if protocol == "tcp" else path,
        check_interval_seconds=body.number("check_interval_seconds", 10, 3, 300),
        response_timeout_seconds=body.number("response_timeout_seconds", 5, 3, 300),
        unhealthy_threshold=body.number("unhealthy_threshold", 5, 2, 10),
        healthy_threshold=body.number("healthy_threshold", 3, 2, 10),
    )


def _droplet_ids(store: Store, body: Body) -> list[int]:
    ids = list(dict.fromkeys(body.numbers("droplet_ids")))
    for each in ids:
        if each not in store.droplets:
            raise unprocessable(f"could not find droplet {each}")
    return ids


def _firewall_entries(body: Body, side: str) -> list[str]:
    entries = body.texts(side)
    for entry in entries:
        kind, _, value = entry.partition(":")
        try:
            network = ipv4_network(value)
        except ValueError:
            kind, network = "", None
        if kind not in ("ip", "cidr") or (kind == "ip" and network is not None and network.prefixlen != 32):
            raise body.refuse(side, f"holds {entry!r}: give ip:1.2.3.4 or cidr:1.2.0.0/16")
    return entries
