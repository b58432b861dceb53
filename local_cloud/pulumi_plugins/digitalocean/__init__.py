"""pulumi-resource-digitalocean: DigitalOcean's resources as the official plugin has them, one module per kind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, ClassVar

from pulumi.runtime.proto import provider_pb2_grpc

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource
from local_cloud.pulumi_plugins.digitalocean.client import Client, Retries
from local_cloud.pulumi_plugins.digitalocean.database_cluster import DatabaseCluster
from local_cloud.pulumi_plugins.digitalocean.database_parts import (
    DatabaseConnectionPool,
    DatabaseDb,
    DatabaseFirewall,
    DatabaseUser,
)
from local_cloud.pulumi_plugins.digitalocean.database_postgresql_config import DatabasePostgresqlConfig
from local_cloud.pulumi_plugins.digitalocean.dns_record import DnsRecord
from local_cloud.pulumi_plugins.digitalocean.droplet import Droplet
from local_cloud.pulumi_plugins.digitalocean.firewall import Firewall
from local_cloud.pulumi_plugins.digitalocean.functions import functions
from local_cloud.pulumi_plugins.digitalocean.load_balancer import LoadBalancer
from local_cloud.pulumi_plugins.digitalocean.project import Project, ProjectResources
from local_cloud.pulumi_plugins.digitalocean.reserved_ip import ReservedIp, ReservedIpAssignment
from local_cloud.pulumi_plugins.digitalocean.ssh_key import SshKey
from local_cloud.pulumi_plugins.digitalocean.tag import Tag
from local_cloud.pulumi_plugins.digitalocean.vpc import Vpc
from local_cloud.pulumi_plugins.provider.properties import Number, Properties, Text, Whole, optional
from local_cloud.pulumi_plugins.provider.server import Provider
from local_cloud.pulumi_plugins.serving import serve

OFFICIAL_ENDPOINT = "https://api.digitalocean.com"

RESOURCES: tuple[type[CloudResource], ...] = (
    DatabaseCluster,
    DatabaseConnectionPool,
    DatabaseDb,
    DatabaseFirewall,
    DatabasePostgresqlConfig,
    DatabaseUser,
    DnsRecord,
    Droplet,
    Firewall,
    LoadBalancer,
    Project,
    ProjectResources,
    ReservedIp,
    ReservedIpAssignment,
    SshKey,
    Tag,
    Vpc,
)


class DigitalOcean(Provider):
    """The plugin. Without a token, or a way to the API, previews of new stacks still work."""

    name = "digitalocean"
    version = version("pulumi-digitalocean")
    config: ClassVar[Properties] = {
        "token": optional(Text()),
        "apiEndpoint": optional(Text()),
        "httpRetryMax": optional(Whole(least=0)),
        "httpRetryWaitMin": optional(Number()),
        "httpRetryWaitMax": optional(Number()),
        "requestsPerSecond": optional(Number()),
        "spacesAccessId": optional(Text()),
        "spacesSecretKey": optional(Text()),
        "spacesEndpoint": optional(Text()),
    }

    def __init__(self, engine: str) -> None:
        resources = [resource(self.get_client) for resource in RESOURCES]
        super().__init__(engine, resources, functions(self.get_client))
        self.configure({})

    def configure(self, config: Mapping[str, Any]) -> None:
        self.client = client_from(config, os.environ, self)

    def get_client(self) -> Client:
        return self.client


def client_from(config: Mapping[str, Any], environment: Mapping[str, str], provider: Provider) -> Client:
    """The client for a configuration; what it lacks comes from the environment, under the official plugin's names."""
    token = config.get("token") or environment.get("DIGITALOCEAN_TOKEN") or environment.get("DIGITALOCEAN_ACCESS_TOKEN")
    endpoint = config.get("apiEndpoint") or environment.get("DIGITALOCEAN_API_URL") or OFFICIAL_ENDPOINT

    def number(key: str, variable: str, default: float) -> float:
        return float(config.get(key, environment.get(variable) or default))

    retries = Retries(
        most=int(number("httpRetryMax", "DIGITALOCEAN_HTTP_RETRY_MAX", 4)),
        wait_least=number("httpRetryWaitMin", "DIGITALOCEAN_HTTP_RETRY_WAIT_MIN", 1.0),
        wait_most=number("httpRetryWaitMax", "DIGITALOCEAN_HTTP_RETRY_WAIT_MAX", 30.0),
    )
    return Client(
        endpoint,
        (token or "").strip(),
        provider.cancelled,
        retries,
        number("requestsPerSecond", "DIGITALOCEAN_REQUESTS_PER_SECOND", 0.0),
        f"k3s-digitalocean local cloud (pulumi-digitalocean {provider.version})",
    )


def serve_digitalocean(engine: str) -> None:
    """Serve until the engine ends us."""
    provider = DigitalOcean(engine)
    serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server),
        provider.cancelled.set,
    )
