"""What is inside a database cluster: users, databases, trusted sources, connection pools.

https://docs.digitalocean.com/reference/api/reference/databases/
"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource, without_empty
from local_cloud.pulumi_plugins.digitalocean.client import ApiError, segment
from local_cloud.pulumi_plugins.digitalocean.database_cluster import uri_with_password
from local_cloud.pulumi_plugins.provider.properties import (
    ListOf,
    Properties,
    Property,
    Record,
    Source,
    Text,
    Whole,
    computed,
    not_empty,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Call, ProviderError, State

CLUSTER_ID = required(Text(), replace=True, rule=not_empty)
NAME = Property(Text(), Source.OPTIONAL, autoname=True, replace=True, rule=not_empty)
DEFAULT_AUTH_PLUGIN = "caching_sha2_password"
#: Characters of a UUID.
UUID_LENGTH = 36


def imported_parts(id_: str, what: str) -> tuple[str, str]:
    """Cluster and name of an id given to `pulumi import`. Raises `ProviderError`."""
    cluster, comma, name = id_.partition(",")
    if not comma:
        raise ProviderError(f"import a {what} as CLUSTER_ID,NAME")
    return cluster, name


def same_auth_plugin(old: str, new: str) -> bool:
    return old == new or (old == DEFAULT_AUTH_PLUGIN and new == "")


USER_SETTING = Record(
    "DatabaseUserSetting",
    {
        "acls": optional(
            ListOf(
                Record(
                    "DatabaseUserSettingAcl",
                    {
                        "id": computed(Text()),
                        "topic": required(Text()),
                        "permission": required(Text(choices=("admin", "consume", "produce", "produceconsume"))),
                    },
                )
            )
        ),
        "opensearchAcls": optional(
            ListOf(
                Record(
                    "DatabaseUserSettingOpensearchAcl",
                    {
                        "index": required(Text()),
                        "permission": required(Text(choices=("deny", "admin", "read", "write", "readwrite"))),
                    },
                )
            )
        ),
    },
)


class DatabaseUser(CloudResource):
    """Its id is `<cluster>/user/<name>`."""

    pulumi_type = "digitalocean:index/databaseUser:DatabaseUser"
    properties: ClassVar[Properties] = {
        "clusterId": CLUSTER_ID,
        "name": NAME,
        "mysqlAuthPlugin": optional(
            Text(choices=("mysql_native_password", DEFAULT_AUTH_PLUGIN)), same=same_auth_plugin
        ),
        "settings": optional(ListOf(USER_SETTING)),
        "accessCert": computed(Text(), secret=True),
        "accessKey": computed(Text(), secret=True),
        "password": computed(Text(), secret=True),
        "role": computed(Text()),
    }

    def check(self, inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
        if inputs.get("settings"):
            return [("settings", "settings of Kafka and OpenSearch users are not stood in for")]
        return []

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        cluster = inputs["clusterId"]
        body: State = {"name": inputs["name"]}
        if plugin := inputs.get("mysqlAuthPlugin"):
            body["mysql_settings"] = {"auth_plugin": plugin}
        with call.locks.hold(f"database/{cluster}/users"):
            user = self.client.post(f"/v2/databases/{cluster}/users", body)["user"]
        return f"{cluster}/user/{user['name']}", user_outputs(user)

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        cluster, name = id_.split("/user/", 1)
        answer = self.client.find(f"/v2/databases/{cluster}/users/{segment(name)}")
        if answer is None:
            return None
        return {"clusterId": cluster, "name": name, "settings": [], **user_outputs(answer["user"])}

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if "mysqlAuthPlugin" in changed:
            plugin = new.get("mysqlAuthPlugin") or DEFAULT_AUTH_PLUGIN
            path = f"/v2/databases/{new['clusterId']}/users/{segment(new['name'])}/reset_auth"
            self.client.post(path, {"mysql_settings": {"auth_plugin": plugin}})

    def delete(self, call: Call, id_: str, state: State) -> None:
        cluster, name = id_.split("/user/", 1)
        with call.locks.hold(f"database/{cluster}/users"):
            self.client.delete(f"/v2/databases/{cluster}/users/{segment(name)}")

    def imported(self, id_: str) -> tuple[str, State]:
        cluster, name = imported_parts(id_, "database user")
        return f"{cluster}/user/{name}", {}


def user_outputs(user: Mapping[str, Any]) -> State:
    """The properties of a user; those that the answer leaves out stay as they were."""
    state: State = {"role": user.get("role") or "normal"}
    for key, name in (("password", "password"), ("accessCert", "access_cert"), ("accessKey", "access_key")):
        if user.get(name):
            state[key] = user[name]
    if plugin := (user.get("mysql_settings") or {}).get("auth_plugin"):
        state["mysqlAuthPlugin"] = plugin
    return state


class DatabaseDb(CloudResource):
    """Its id is `<cluster>/database/<name>`."""

    pulumi_type = "digitalocean:index/databaseDb:DatabaseDb"
    properties: ClassVar[Properties] = {"clusterId": CLUSTER_ID, "name": NAME}

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        cluster = inputs["clusterId"]
        name = self.client.post(f"/v2/databases/{cluster}/dbs", {"name": inputs["name"]})["db"]["name"]
        return f"{cluster}/database/{name}", {}

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        cluster, name = id_.split("/database/", 1)
        answer = self.client.find(f"/v2/databases/{cluster}/dbs/{segment(name)}")
        return {"clusterId": cluster, "name": name} if answer else None

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        """Every change replaces it."""

    def delete(self, call: Call, id_: str, state: State) -> None:
        cluster, name = id_.split("/database/", 1)
        self.client.delete(f"/v2/databases/{cluster}/dbs/{segment(name)}")

    def imported(self, id_: str) -> tuple[str, State]:
        cluster, name = imported_parts(id_, "database")
        return f"{cluster}/database/{name}", {}


TRUSTED_SOURCE = Record(
    "DatabaseFirewallRule",
    {
        "type": required(Text(choices=("ip_addr", "droplet", "k8s", "tag", "app"))),
        "value": required(Text(), rule=not_empty),
        "uuid": computed(Text()),
        "createdAt": computed(Text()),
    },
)


class DatabaseFirewall(CloudResource):
    """A cluster's trusted sources. Its id is the cluster's, a dash and something unique."""

    pulumi_type = "digitalocean:index/databaseFirewall:DatabaseFirewall"
    properties: ClassVar[Properties] = {
        "clusterId": CLUSTER_ID,
        "rules": required(ListOf(TRUSTED_SOURCE, ordered=False)),
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        self.put(inputs["clusterId"], inputs["rules"])
        return firewall_id(inputs["clusterId"]), {}

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        cluster = id_[:UUID_LENGTH]
        answer = self.client.find(f"/v2/databases/{cluster}/firewall")
        if answer is None:
            return None
        rules = [
            {
                "type": rule["type"],
                "value": rule["value"],
                "uuid": rule.get("uuid", ""),
                "createdAt": rule.get("created_at", ""),
            }
            for rule in answer.get("rules") or []
        ]
        return {"clusterId": cluster, "rules": rules}

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if "rules" in changed:
            self.put(new["clusterId"], new["rules"])

    def delete(self, call: Call, id_: str, state: State) -> None:
        try:
            self.put(id_[:UUID_LENGTH], [])
        except ApiError as error:
            if error.status != 404:
                raise

    def put(self, cluster: str, rules: list[Mapping[str, Any]]) -> None:
        body = [{"type": rule["type"], "value": rule["value"]} for rule in rules]
        self.client.put(f"/v2/databases/{cluster}/firewall", {"rules": body})

    def imported(self, id_: str) -> tuple[str, State]:
        return firewall_id(id_), {}


def firewall_id(cluster: str) -> str:
    """A new id; the API has none, because a cluster has one set of trusted sources."""
    return f"{cluster}-{uuid.uuid4().hex[:26]}"


class DatabaseConnectionPool(CloudResource):
    """A PgBouncer pool. Its id is `<cluster>/<name>`."""

    pulumi_type = "digitalocean:index/databaseConnectionPool:DatabaseConnectionPool"
    properties: ClassVar[Properties] = {
        "clusterId": CLUSTER_ID,
        "name": Property(Text(), Source.OPTIONAL, autoname=True, replace=True, rule=not_empty),
        "user": optional(Text(), replace=True, rule=not_empty),
        "mode": required(Text(choices=("session", "transaction", "statement")), replace=True),
        "size": required(Whole(least=1), replace=True),
        "dbName": required(Text(), replace=True, rule=not_empty),
        "host": computed(Text()),
        "password": computed(Text(), secret=True),
        "port": computed(Whole()),
        "privateHost": computed(Text()),
        "privateUri": computed(Text(), secret=True),
        "uri": computed(Text(), secret=True),
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        cluster = inputs["clusterId"]
        body = {key: inputs.get(key) for key in ("name", "user", "mode", "size")} | {"db": inputs["dbName"]}
        pool = self.client.post(f"/v2/databases/{cluster}/pools", without_empty(body))["pool"]
        return f"{cluster}/{pool['name']}", {}

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        cluster, name = id_.split("/", 1)
        answer = self.client.find(f"/v2/databases/{cluster}/pools/{segment(name)}")
        return {"clusterId": cluster, **pool_outputs(answer["pool"], prior)} if answer else None

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        """Every change replaces it."""

    def delete(self, call: Call, id_: str, state: State) -> None:
        cluster, name = id_.split("/", 1)
        self.client.delete_if_there(f"/v2/databases/{cluster}/pools/{segment(name)}")

    def imported(self, id_: str) -> tuple[str, State]:
        return "/".join(imported_parts(id_, "connection pool")), {}


def pool_outputs(pool: Mapping[str, Any], prior: Mapping[str, Any]) -> State:
    """The properties of a pool as the API describes it."""
    state: State = {
        "name": pool["name"],
        "user": pool.get("user", ""),
        "mode": pool["mode"],
        "size": pool["size"],
        "dbName": pool["db"],
    }
    if connection := pool.get("connection"):
        password = connection.get("password") or prior.get("password") or ""
        state |= {
            "host": connection["host"],
            "port": connection["port"],
            "password": password,
            "uri": uri_with_password(connection, password),
        }
        if private := pool.get("private_connection"):
            state |= {"privateHost": private["host"], "privateUri": uri_with_password(private, password)}
    return state
