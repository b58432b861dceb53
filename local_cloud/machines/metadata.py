"""The metadata service at 169.254.169.254, as far as DigitalOcean's "Metadata API reference" describes a droplet's own
values. Who asks is known by its address: the network lets nobody use another's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from local_cloud import addresses
from local_cloud.machine_room import DropletSpec
from local_cloud.machines.first_boot import VENDOR_DATA

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Values = dict[str, Any]

PREFIX = "/metadata/v1"


def values(spec: DropletSpec) -> Values:
    """What /metadata/v1.json gives."""
    return {
        "droplet_id": spec.id,
        "hostname": spec.name,
        "user_data": spec.user_data,
        "vendor_data": VENDOR_DATA,
        "public_keys": list(spec.ssh_public_keys),
        "region": spec.region,
        "interfaces": {
            "public": [
                _interface("public", spec.public_ip, str(addresses.PUBLIC.netmask), str(addresses.PUBLIC_GATEWAY))
            ],
            "private": [_interface("private", spec.private_ip, str(spec.vpc_range.netmask), str(spec.vpc_range[1]))],
        },
        "dns": {"nameservers": [str(resolver) for resolver in addresses.RESOLVERS]},
        "features": {"dhcp_enabled": False},
        "tags": list(spec.tags),
    }


def lookup(everything: Values, path: str) -> str | None:
    """The text at `path` (below /metadata/v1, without leading or trailing slash); None when there is nothing.

    A folder gives its entries, one a line, folders with a slash at their end.
    """
    tree = _tree(everything)
    node: Any = tree
    for step in path.split("/") if path else []:
        if not isinstance(node, dict) or step not in node:
            return None
        node = node[step]
    if isinstance(node, dict):
        return "\n".join(f"{name}/" if isinstance(child, dict) else name for name, child in node.items())
    return str(node)


def application(find: Callable[[IPv4Address], DropletSpec | None]) -> WSGIApplication:
    """The service, for droplets that `find` knows by their public address."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        spec = find(IPv4Address(environ["REMOTE_ADDR"]))
        path = environ["PATH_INFO"].rstrip("/")
        text: str | None = None
        if spec is not None and path == f"{PREFIX}.json":
            text = json.dumps(values(spec))
        elif spec is not None and (path == PREFIX or path.startswith(f"{PREFIX}/")):
            text = lookup(values(spec), path.removeprefix(PREFIX).strip("/"))
        kind = "application/json" if path.endswith(".json") else "text/plain; charset=utf-8"
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Content-Type", "text/plain")])
            return [b"method not allowed"]
        start_response("404 Not Found" if text is None else "200 OK", [("Content-Type", kind)])
        return [(text if text is not None else "not found").encode()]

    return answer


def _interface(kind: str, address: IPv4Address, netmask: str, gateway: str) -> Values:
    return {"ipv4": {"ip_address": str(address), "netmask": netmask, "gateway": gateway}, "type": kind}


def _tree(everything: Values) -> Values:
    """The paths of the service: the JSON's values under the names that the paths use."""
    interfaces = {
        kind: {
            str(index): {
                "ipv4": {
                    "address": interface["ipv4"]["ip_address"],
                    "netmask": interface["ipv4"]["netmask"],
                    "gateway": interface["ipv4"]["gateway"],
                },
                "type": interface["type"],
            }
            for index, interface in enumerate(of_kind)
        }
        for kind, of_kind in everything["interfaces"].items()
    }
    return {
        "id": everything["droplet_id"],
        "hostname": everything["hostname"],
        "user-data": everything["user_data"],
        "vendor-data": everything["vendor_data"],
        "public-keys": "\n".join(everything["public_keys"]),
        "region": everything["region"],
        "interfaces": interfaces,
        "dns": {"nameservers": "\n".join(everything["dns"]["nameservers"])},
        "features": {"dhcp_enabled": str(everything["features"]["dhcp_enabled"]).lower()},
        "tags": "\n".join(everything["tags"]),
    }
