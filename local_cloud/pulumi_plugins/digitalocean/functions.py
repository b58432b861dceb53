"""The functions that look things up: account, catalogue, SSH keys, and what is there already."""

from __future__ import annotations

import base64
import uuid
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudFunction, GetClient
from local_cloud.pulumi_plugins.digitalocean.client import Client, segment
from local_cloud.pulumi_plugins.digitalocean.droplet import address, droplet_outputs
from local_cloud.pulumi_plugins.digitalocean.load_balancer import LoadBalancer, balancer_outputs
from local_cloud.pulumi_plugins.digitalocean.project import Project, project_outputs, resource_urns
from local_cloud.pulumi_plugins.digitalocean.selection import filters_property, select, sorts_property
from local_cloud.pulumi_plugins.digitalocean.tag import Tag, tag_outputs
from local_cloud.pulumi_plugins.digitalocean.vpc import Vpc, go_time
from local_cloud.pulumi_plugins.provider.properties import (
    Flag,
    ListOf,
    MapOf,
    Number,
    Properties,
    Record,
    Text,
    Type,
    Whole,
    computed,
    filled,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Function, ProviderError, State

Item = TypeVar("Item", bound=Mapping[str, Any])


def only(found: Iterable[Item], what: str) -> Item:
    """The one item there must be. Raises `ProviderError` if there is none, or there are several."""
    items = list(found)
    if len(items) != 1:
        raise ProviderError(f"{'no' if not items else 'too many'} {what}: {len(items)} found, expected 1")
    return items[0]


def as_computed(properties: Properties) -> dict[str, Any]:
    """Properties as a function gives them."""
    return {key: computed(prop.type) for key, prop in properties.items()}


class Listing(CloudFunction):
    """A function that returns many items, filtered and sorted."""

    key: ClassVar[str]

    def invoke(self, arguments: State) -> State:
        items = self.items(arguments)
        chosen = select(items, arguments.get("filters") or [], arguments.get("sorts") or [])
        return {"id": uuid.uuid4().hex, self.key: chosen}

    @abstractmethod
    def items(self, arguments: State) -> list[State]:
        """All there are."""


def listing_inputs(function: str) -> dict[str, Any]:
    return {"filters": filters_property(function), "sorts": sorts_property(function)}


SIZE: dict[str, Type] = {
    "slug": Text(),
    "available": Flag(),
    "transfer": Number(),
    "priceMonthly": Number(),
    "priceHourly": Number(),
    "memory": Whole(),
    "vcpus": Whole(),
    "disk": Whole(),
    "regions": ListOf(Text(), ordered=False),
}


class GetSizes(Listing):
    pulumi_name = "digitalocean:index/getSizes:getSizes"
    key = "sizes"
    inputs: ClassVar[Properties] = listing_inputs("getSizes")
    outputs: ClassVar[Properties] = {
        **inputs,
        "id": computed(Text()),
        "sizes": computed(ListOf(Record("getSizesSize", {key: computed(type_) for key, type_ in SIZE.items()}))),
    }

    def items(self, arguments: State) -> list[State]:
        del arguments
        names = {"priceMonthly": "price_monthly", "priceHourly": "price_hourly"}
        sizes = self.client.all("/v2/sizes", "sizes")
        return [{key: size[names.get(key, key)] for key in SIZE} for size in sizes]


REGION: Properties = {
    "slug": computed(Text()),
    "name": computed(Text()),
    "available": computed(Flag()),
    "features": computed(ListOf(Text(), ordered=False)),
    "sizes": computed(ListOf(Text(), ordered=False)),
}


def region_items(client: Client) -> list[State]:
    return [{key: region[key] for key in REGION} for region in client.all("/v2/regions", "regions")]


class GetRegions(Listing):
    pulumi_name = "digitalocean:index/getRegions:getRegions"
    key = "regions"
    inputs: ClassVar[Properties] = listing_inputs("getRegions")
    outputs: ClassVar[Properties] = {
        **inputs,
        "id": computed(Text()),
        "regions": computed(ListOf(Record("getRegionsRegion", REGION))),
    }

    def items(self, arguments: State) -> list[State]:
        del arguments
        return region_items(self.client)


class GetRegion(CloudFunction):
    pulumi_name = "digitalocean:index/getRegion:getRegion"
    inputs: ClassVar[Properties] = {"slug": required(Text())}
    outputs: ClassVar[Properties] = {**REGION, "id": computed(Text())}

    def invoke(self, arguments: State) -> State:
        slug = arguments["slug"]
        found = only((region for region in region_items(self.client) if region["slug"] == slug), f"region {slug}")
        return {"id": uuid.uuid4().hex, **found}


IMAGE: Properties = {
    "created": computed(Text()),
    "description": computed(Text()),
    "distribution": computed(Text()),
    "errorMessage": computed(Text()),
    "id": computed(Whole()),
    "image": computed(Text()),
    "minDiskSize": computed(Whole()),
    "name": computed(Text()),
    "private": computed(Flag()),
    "regions": computed(ListOf(Text(), ordered=False)),
    "sizeGigabytes": computed(Number()),
    "slug": computed(Text()),
    "status": computed(Text()),
    "tags": computed(ListOf(Text(), ordered=False)),
    "type": computed(Text()),
}


def image_outputs(image: Mapping[str, Any]) -> State:
    return {
        "id": image["id"],
        "name": image.get("name", ""),
        "type": image.get("type", ""),
        "distribution": image.get("distribution", ""),
        "slug": image.get("slug") or "",
        "image": image.get("slug") or str(image["id"]),
        "private": not image.get("public", True),
        "minDiskSize": image.get("min_disk_size", 0),
        "sizeGigabytes": image.get("size_gigabytes", 0),
        "description": image.get("description") or "",
        "created": image.get("created_at", ""),
        "status": image.get("status", ""),
        "errorMessage": image.get("error_message") or "",
        "regions": image.get("regions") or [],
        "tags": image.get("tags") or [],
    }


class GetImages(Listing):
    pulumi_name = "digitalocean:index/getImages:getImages"
    key = "images"
    inputs: ClassVar[Properties] = listing_inputs("getImages")
    outputs: ClassVar[Properties] = {
        **inputs,
        "id": computed(Text()),
        "images": computed(ListOf(Record("getImagesImage", IMAGE))),
    }

    def items(self, arguments: State) -> list[State]:
        del arguments
        return [image_outputs(image) for image in self.client.all("/v2/images", "images")]


class GetImage(CloudFunction):
    pulumi_name = "digitalocean:index/getImage:getImage"
    inputs: ClassVar[Properties] = {
        "id": filled(Whole()),
        "name": filled(Text()),
        "slug": filled(Text()),
        "source": optional(Text(choices=("all", "applications", "distributions", "user"), fold=True), default="user"),
    }
    outputs: ClassVar[Properties] = {**IMAGE, "source": computed(Text())}

    #: The argument `source` -> the query of the API.
    SOURCES: ClassVar[Mapping[str, dict[str, str]]] = {
        "all": {},
        "applications": {"type": "application"},
        "distributions": {"type": "distribution"},
        "user": {"private": "true"},
    }

    def invoke(self, arguments: State) -> State:
        if wanted := arguments.get("id") or arguments.get("slug"):
            return image_outputs(self.client.get(f"/v2/images/{segment(str(wanted))}")["image"])
        if not (name := arguments.get("name")):
            raise ProviderError("getImage needs one of id, name and slug")
        query = self.SOURCES[arguments.get("source", "user").lower()]
        images = self.client.all("/v2/images", "images", query)
        return image_outputs(only((image for image in images if image["name"] == name), f"image with name {name}"))


KEY: Properties = {
    "id": computed(Whole()),
    "name": computed(Text()),
    "publicKey": computed(Text()),
    "fingerprint": computed(Text()),
}


def key_items(client: Client) -> list[State]:
    return [
        {
            "id": key["id"],
            "name": key["name"],
            "publicKey": key["public_key"],
            "fingerprint": key["fingerprint"],
        }
        for key in client.all("/v2/account/keys", "ssh_keys")
    ]


class GetSshKeys(Listing):
    pulumi_name = "digitalocean:index/getSshKeys:getSshKeys"
    key = "sshKeys"
    inputs: ClassVar[Properties] = listing_inputs("getSshKeys")
    outputs: ClassVar[Properties] = {
        **inputs,
        "id": computed(Text()),
        "sshKeys": computed(ListOf(Record("getSshKeysSshKey", KEY))),
    }

    def items(self, arguments: State) -> list[State]:
        del arguments
        return key_items(self.client)


class GetSshKey(CloudFunction):
    pulumi_name = "digitalocean:index/getSshKey:getSshKey"
    inputs: ClassVar[Properties] = {"name": required(Text())}
    outputs: ClassVar[Properties] = KEY

    def invoke(self, arguments: State) -> State:
        name = arguments["name"]
        return only((key for key in key_items(self.client) if key["name"] == name), f"ssh key with name {name}")


class GetAccount(CloudFunction):
    pulumi_name = "digitalocean:index/getAccount:getAccount"
    inputs: ClassVar[Properties] = {}
    outputs: ClassVar[Properties] = {
        "id": computed(Text()),
        "uuid": computed(Text()),
        "email": computed(Text()),
        "emailVerified": computed(Flag()),
        "dropletLimit": computed(Whole()),
        "floatingIpLimit": computed(Whole()),
        "status": computed(Text()),
        "statusMessage": computed(Text()),
    }

    def invoke(self, arguments: State) -> State:
        del arguments
        account = self.client.get("/v2/account")["account"]
        return {
            "id": account["uuid"],
            "uuid": account["uuid"],
            "email": account["email"],
            "emailVerified": account["email_verified"],
            "dropletLimit": account["droplet_limit"],
            "floatingIpLimit": account["floating_ip_limit"],
            "status": account["status"],
            "statusMessage": account["status_message"],
        }


class GetDatabaseCa(CloudFunction):
    pulumi_name = "digitalocean:index/getDatabaseCa:getDatabaseCa"
    inputs: ClassVar[Properties] = {"clusterId": required(Text())}
    outputs: ClassVar[Properties] = {
        "clusterId": computed(Text()),
        "id": computed(Text()),
        "certificate": computed(Text()),
    }

    def invoke(self, arguments: State) -> State:
        cluster = arguments["clusterId"]
        encoded = self.client.get(f"/v2/databases/{cluster}/ca")["ca"]["certificate"]
        return {"id": cluster, "certificate": base64.b64decode(encoded).decode()}


DROPLET: Properties = {
    "backups": computed(Flag()),
    "createdAt": computed(Text()),
    "disk": computed(Whole()),
    "id": computed(Whole()),
    "image": computed(Text()),
    "ipv4Address": computed(Text()),
    "ipv4AddressPrivate": computed(Text()),
    "ipv6": computed(Flag()),
    "ipv6Address": computed(Text()),
    "ipv6AddressPrivate": computed(Text()),
    "locked": computed(Flag()),
    "memory": computed(Whole()),
    "monitoring": computed(Flag()),
    "name": computed(Text()),
    "priceHourly": computed(Number()),
    "priceMonthly": computed(Number()),
    "privateNetworking": computed(Flag()),
    "region": computed(Text()),
    "size": computed(Text()),
    "status": computed(Text()),
    "tags": computed(ListOf(Text(fold=True), ordered=False)),
    "urn": computed(Text()),
    "vcpus": computed(Whole()),
    "volumeIds": computed(ListOf(Text(), ordered=False)),
    "vpcUuid": computed(Text()),
}


def droplet_item(droplet: Mapping[str, Any]) -> State:
    """A droplet as the functions give it: a little other than the resource."""
    state = droplet_outputs(droplet) | {
        "id": droplet["id"],
        "urn": f"do:droplet:{droplet['id']}",
        "image": droplet["image"].get("slug") or str(droplet["image"]["id"]),
        "ipv6AddressPrivate": address(droplet, "v6", "private").lower(),
    }
    return {key: state[key] for key in DROPLET}


class GetDroplets(Listing):
    pulumi_name = "digitalocean:index/getDroplets:getDroplets"
    key = "droplets"
    inputs: ClassVar[Properties] = {**listing_inputs("getDroplets"), "gpus": optional(Flag(), default=False)}
    outputs: ClassVar[Properties] = {
        **inputs,
        "id": computed(Text()),
        "droplets": computed(ListOf(Record("getDropletsDroplet", DROPLET))),
    }

    def items(self, arguments: State) -> list[State]:
        query = {"type": "gpus"} if arguments.get("gpus") else {}
        return [droplet_item(droplet) for droplet in self.client.all("/v2/droplets", "droplets", query)]


class GetDroplet(CloudFunction):
    """By id, by name or by tag; exactly one must match."""

    pulumi_name = "digitalocean:index/getDroplet:getDroplet"
    inputs: ClassVar[Properties] = {
        "id": filled(Whole()),
        "name": filled(Text()),
        "tag": filled(Text()),
        "gpu": optional(Flag(), default=False),
    }
    outputs: ClassVar[Properties] = {**DROPLET, "tag": computed(Text()), "gpu": computed(Flag())}

    def invoke(self, arguments: State) -> State:
        if id_ := arguments.get("id"):
            return droplet_item(self.client.get(f"/v2/droplets/{id_}")["droplet"])
        query = {"type": "gpus"} if arguments.get("gpu") else {}
        if tag := arguments.get("tag"):
            found = self.client.all("/v2/droplets", "droplets", {**query, "tag_name": tag})
            return droplet_item(only(found, f"droplet with tag {tag}"))
        if not (name := arguments.get("name")):
            raise ProviderError("getDroplet needs one of id, tag and name")
        found = [one for one in self.client.all("/v2/droplets", "droplets", query) if one["name"] == name]
        return droplet_item(only(found, f"droplet with name {name}"))


class GetTags(Listing):
    pulumi_name = "digitalocean:index/getTags:getTags"
    key = "tags"
    inputs: ClassVar[Properties] = listing_inputs("getTags")
    outputs: ClassVar[Properties] = {
        **inputs,
        "id": computed(Text()),
        "tags": computed(ListOf(Record("getTagsTag", as_computed(Tag.properties)))),
    }

    def items(self, arguments: State) -> list[State]:
        del arguments
        return [tag_outputs(tag) for tag in self.client.all("/v2/tags", "tags")]


class GetDomains(Listing):
    pulumi_name = "digitalocean:index/getDomains:getDomains"
    key = "domains"
    inputs: ClassVar[Properties] = listing_inputs("getDomains")
    outputs: ClassVar[Properties] = {
        **inputs,
        "id": computed(Text()),
        "domains": computed(
            ListOf(
                Record(
                    "getDomainsDomain", {"name": computed(Text()), "ttl": computed(Whole()), "urn": computed(Text())}
                )
            )
        ),
    }

    def items(self, arguments: State) -> list[State]:
        del arguments
        found = self.client.all("/v2/domains", "domains")
        return [{"name": each["name"], "ttl": each["ttl"] or 0, "urn": f"do:domain:{each['name']}"} for each in found]


class GetVpc(CloudFunction):
    """By id, else the default one of a region, else by name."""

    pulumi_name = "digitalocean:index/getVpc:getVpc"
    inputs: ClassVar[Properties] = {"id": filled(Text()), "name": filled(Text()), "region": filled(Text())}
    outputs: ClassVar[Properties] = {
        **{key: prop for key, prop in as_computed(Vpc.properties).items() if key != "vpcUrn"},
        "id": computed(Text()),
        "urn": computed(Text()),
    }

    def invoke(self, arguments: State) -> State:
        if id_ := arguments.get("id"):
            vpc = self.client.get(f"/v2/vpcs/{segment(id_)}")["vpc"]
        else:
            vpcs = self.client.all("/v2/vpcs", "vpcs")
            if region := arguments.get("region"):
                found = [vpc for vpc in vpcs if vpc["region"] == region and vpc["default"]]
                vpc = only(found, f"default VPC in region {region}")
            elif name := arguments.get("name"):
                vpc = only((vpc for vpc in vpcs if vpc["name"] == name), f"VPC with name {name}")
            else:
                raise ProviderError("getVpc needs one of id, region and name")
        return {
            "id": vpc["id"],
            "name": vpc["name"],
            "region": vpc["region"],
            "description": vpc.get("description", ""),
            "ipRange": vpc["ip_range"],
            "urn": vpc["urn"],
            "default": vpc["default"],
            "createdAt": go_time(vpc["created_at"]),
        }


class GetProject(CloudFunction):
    """By id, else by name, else the default project."""

    pulumi_name = "digitalocean:index/getProject:getProject"
    inputs: ClassVar[Properties] = {"id": filled(Text()), "name": filled(Text())}
    outputs: ClassVar[Properties] = {**as_computed(Project.properties), "id": computed(Text())}

    def invoke(self, arguments: State) -> State:
        if name := arguments.get("name"):
            projects = self.client.all("/v2/projects", "projects")
            project = only((project for project in projects if project["name"] == name), f"project with name {name}")
        else:
            project = self.client.get(f"/v2/projects/{segment(arguments.get('id') or 'default')}")["project"]
        state = project_outputs(project)
        return {**state, "id": project["id"], "resources": resource_urns(self.client, project["id"])}


def once(kind: str, key: str) -> ListOf:
    """A block that the resource has once is a list in the function, of a type of its own."""
    type_ = LoadBalancer.properties[key].type
    record = type_.item if isinstance(type_, ListOf) else type_
    properties = record.properties if isinstance(record, Record) else {}
    return ListOf(Record(f"getLoadBalancer{kind}", as_computed(properties)), ordered=False)


GLB_CDN = Record("getLoadBalancerGlbSettingCdn", {"isEnabled": computed(Flag())})
GLB_SETTING = Record(
    "getLoadBalancerGlbSetting",
    {
        "targetProtocol": computed(Text()),
        "targetPort": computed(Whole()),
        "regionPriorities": computed(MapOf(Whole())),
        "failoverThreshold": computed(Whole()),
        "cdns": computed(ListOf(GLB_CDN)),
    },
)


class GetLoadBalancer(CloudFunction):
    """By id or by name."""

    pulumi_name = "digitalocean:index/getLoadBalancer:getLoadBalancer"
    inputs: ClassVar[Properties] = {"id": filled(Text()), "name": filled(Text())}
    outputs: ClassVar[Properties] = {
        **{
            key: computed(prop.type)
            for key, prop in LoadBalancer.properties.items()
            if key
            not in ("healthcheck", "stickySessions", "firewall", "glbSettings", "networkStack", "tlsCipherPolicy")
        },
        "id": computed(Text()),
        "domains": computed(once("Domain", "domains")),
        "forwardingRules": computed(once("ForwardingRule", "forwardingRules")),
        "healthchecks": computed(once("Healthcheck", "healthcheck")),
        "stickySessions": computed(once("StickySession", "stickySessions")),
        "firewalls": computed(once("Firewall", "firewall")),
        "glbSettings": computed(ListOf(GLB_SETTING)),
    }

    def invoke(self, arguments: State) -> State:
        if id_ := arguments.get("id"):
            balancer = self.client.get(f"/v2/load_balancers/{segment(id_)}")["load_balancer"]
        elif name := arguments.get("name"):
            balancers = self.client.all("/v2/load_balancers", "load_balancers")
            balancer = only((one for one in balancers if one["name"] == name), f"load balancer with name {name}")
        else:
            raise ProviderError("getLoadBalancer needs one of id and name")
        state = balancer_outputs(balancer)
        lists = {
            "healthchecks": state.pop("healthcheck", None),
            "stickySessions": state.pop("stickySessions", None),
            "firewalls": state.pop("firewall", None),
        }
        return {
            **state,
            **{key: [value] if value else [] for key, value in lists.items()},
            "id": balancer["id"],
            "glbSettings": [],
            "network": balancer.get("network", ""),
        }


FUNCTIONS: tuple[type[CloudFunction], ...] = (
    GetAccount,
    GetDatabaseCa,
    GetDomains,
    GetDroplet,
    GetDroplets,
    GetImage,
    GetImages,
    GetLoadBalancer,
    GetProject,
    GetRegion,
    GetRegions,
    GetSizes,
    GetSshKey,
    GetSshKeys,
    GetTags,
    GetVpc,
)


def functions(get_client: GetClient) -> list[Function]:
    """All functions of the plugin."""
    return [function(get_client) for function in FUNCTIONS]
