"""Domains and their records: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Domains

Not in the part of the OpenAPI description that the tests know: written after the reference, and godo's `domains.go`.
A records only, one address for a name: what the cloud's resolver can answer. Others are refused.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from flask import Blueprint, Response, request

from local_cloud.api.answers import Json, answer, no_content, not_found, not_here, page, unprocessable
from local_cloud.api.body import Body
from local_cloud.api.cloud import finish_before_answering, the_cloud
from local_cloud.api.records import Domain, DomainRecord
from local_cloud.api.store import Store

routes = Blueprint("domains", __name__)

TYPES = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "SOA", "SRV", "TXT")
#: Seconds; the API reference's default and least.
TTL, LEAST_TTL = 1800, 30
DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
NAME = re.compile(r"@|[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")


def show_domain(domain: Domain) -> Json:
    lines = [f"$ORIGIN {domain.id}.", f"$TTL {TTL}"]
    lines += [f"{each.name} {each.ttl} IN A {each.data}" for each in _records_of(domain)]
    return {"name": domain.id, "ttl": TTL, "zone_file": "\n".join(lines) + "\n"}


def show_record(record: DomainRecord) -> Json:
    nothing = dict.fromkeys(("priority", "port", "weight", "flags", "tag"))
    return {"id": record.id, "type": "A", "name": record.name, "data": record.data, "ttl": record.ttl, **nothing}


@routes.get("/v2/domains")
def list_domains() -> Response:
    return page("domains", the_cloud().store.domains, show_domain)


@routes.post("/v2/domains")
def create_domain() -> Response:
    cloud, body = the_cloud(), Body.of_request()
    name = body.required_text("name").lower()
    if not DOMAIN.fullmatch(name):
        raise body.refuse("name", "is not a domain")
    if name in cloud.store.domains:
        raise unprocessable("domain name already exists")
    domain = Domain(name)
    cloud.store.domains.save(domain)
    if address := body.text("ip_address", ""):
        _save(cloud.store, DomainRecord(cloud.store.next_number("domain_record"), name, "@", _address(address), TTL))
        finish_before_answering(cloud.work.settle())
    return answer({"domain": show_domain(domain)}, 201)


@routes.get("/v2/domains/<name>")
def get_domain(name: str) -> Response:
    return answer({"domain": show_domain(_known(name))})


@routes.delete("/v2/domains/<name>")
def delete_domain(name: str) -> Response:
    cloud, domain = the_cloud(), _known(name)
    for record in _records_of(domain):
        cloud.store.domain_records.delete(record.id)
    cloud.store.domains.delete(domain.id)
    finish_before_answering(cloud.work.settle())
    return no_content()


@routes.get("/v2/domains/<name>/records")
def list_records(name: str) -> Response:
    domain, host, kind = _known(name), request.args.get("name", ""), request.args.get("type", "A")
    found = [each for each in _records_of(domain) if kind == "A" and host in ("", each.host_name)]
    return page("domain_records", found, show_record)


@routes.post("/v2/domains/<name>/records")
def create_record(name: str) -> Response:
    cloud, domain, body = the_cloud(), _known(name), Body.of_request()
    kind = body.choice("type", TYPES)
    if kind != "A":
        raise not_here(f"has an IPv4 network, and a resolver that answers with addresses: it keeps no {kind} records")
    number = cloud.store.next_number("domain_record")
    record = DomainRecord(number, domain.id, _name(body), _address(body.required_text("data")), _ttl(body, TTL))
    _save(cloud.store, record)
    finish_before_answering(cloud.work.settle())
    return answer({"domain_record": show_record(record)}, 201)


@routes.get("/v2/domains/<name>/records/<int:record_id>")
def get_record(name: str, record_id: int) -> Response:
    return answer({"domain_record": show_record(_record(name, record_id))})


@routes.put("/v2/domains/<name>/records/<int:record_id>")
@routes.patch("/v2/domains/<name>/records/<int:record_id>")
def update_record(name: str, record_id: int) -> Response:
    cloud, record, body = the_cloud(), _record(name, record_id), Body.of_request()
    changed = DomainRecord(
        record.id,
        record.domain,
        _name(body) if body.has("name") else record.name,
        _address(body.required_text("data")) if body.has("data") else record.data,
        _ttl(body, record.ttl),
    )
    _save(cloud.store, changed)
    finish_before_answering(cloud.work.settle())
    return answer({"domain_record": show_record(changed)})


@routes.delete("/v2/domains/<name>/records/<int:record_id>")
def delete_record(name: str, record_id: int) -> Response:
    cloud = the_cloud()
    cloud.store.domain_records.delete(_record(name, record_id).id)
    finish_before_answering(cloud.work.settle())
    return no_content()


def _save(store: Store, record: DomainRecord) -> None:
    for other in store.domain_records:
        if other.host_name == record.host_name and other.id != record.id:
            raise not_here(f"answers with one address for a name, and {record.host_name} has one")
    store.domain_records.save(record)


def _name(body: Body) -> str:
    name = body.required_text("name").lower()
    if not NAME.fullmatch(name):
        raise body.refuse("name", "is not a host name below the domain, or @")
    return name


def _address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise unprocessable("IP address did not match IPv4 format (e.g. 127.0.0.1).") from None


def _ttl(body: Body, default: int) -> int:
    return body.number("ttl", default, LEAST_TTL, 2_147_483_647)


def _records_of(domain: Domain) -> list[DomainRecord]:
    return [each for each in the_cloud().store.domain_records if each.domain == domain.id]


def _known(name: str) -> Domain:
    domain = the_cloud().store.domains.get(name.lower())
    if domain is None:
        raise not_found()
    return domain


def _record(name: str, record_id: int) -> DomainRecord:
    domain, record = _known(name), the_cloud().store.domain_records.get(record_id)
    if record is None or record.domain != domain.id:
        raise not_found()
    return record
