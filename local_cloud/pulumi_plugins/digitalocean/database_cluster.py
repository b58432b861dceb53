"""digitalocean.DatabaseCluster: https://docs.digitalocean.com/reference/api/reference/databases/"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource, lower, set_tags, tags_property, without_empty
from local_cloud.pulumi_plugins.provider.properties import (
    Flag,
    ListOf,
    Properties,
    Property,
    Record,
    Source,
    Text,
    Whole,
    computed,
    filled,
    not_empty,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Call, ProviderError, State
from local_cloud.pulumi_plugins.provider.wire import has_unknown

#: The official plugin's limit in seconds.
CREATE_SECONDS = 30 * 60
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def same_hour(old: str, new: str) -> bool:
    """`13:00` and `13:00:00` are the same hour."""
    return old.split(":")[:2] == new.split(":")[:2]


MAINTENANCE_WINDOW = Record(
    "DatabaseClusterMaintenanceWindow",
    {"day": required(Text(choices=WEEKDAYS, fold=True)), "hour": required(Text(), same=same_hour)},
)
BACKUP_RESTORE = Record(
    "DatabaseClusterBackupRestore", {"databaseName": required(Text()), "backupCreatedAt": optional(Text())}
)
STORAGE_AUTOSCALE = Record(
    "DatabaseClusterStorageAutoscale",
    {
        "enabled": required(Flag()),
        "thresholdPercent": optional(Whole(15, 95)),
        "incrementGib": optional(Whole(10)),
    },
)

#: Properties whose API calls the local cloud does not have.
REFUSED = ("evictionPolicy", "sqlMode", "storageAutoscale")


class DatabaseCluster(CloudResource):
    pulumi_type = "digitalocean:index/databaseCluster:DatabaseCluster"
    properties: ClassVar[Properties] = {
        "name": Property(Text(), Source.OPTIONAL, autoname=True, replace=True, rule=not_empty),
        "engine": required(Text(), replace=True, rule=not_empty),
        "version": optional(Text()),
        "size": required(Text(), rule=not_empty),
        "region": required(Text(), rule=not_empty, stored=lower),
        "nodeCount": required(Whole(least=1)),
        "maintenanceWindows": optional(ListOf(MAINTENANCE_WINDOW, least=1)),
        "evictionPolicy": optional(Text()),
        "sqlMode": optional(Text()),
        "privateNetworkUuid": filled(Text(), replace=True, rule=not_empty),
        "projectId": filled(Text(), replace=True, rule=not_empty),
        "tags": tags_property(),
        "backupRestore": optional(BACKUP_RESTORE),
        "storageSizeMib": filled(Text()),
        "storageAutoscale": optional(STORAGE_AUTOSCALE),
        "clusterUrn": computed(Text()),
        "database": computed(Text()),
        "host": computed(Text()),
        "metricsEndpoints": computed(ListOf(Text())),
        "password": computed(Text(), secret=True),
        "port": computed(Whole()),
        "privateHost": computed(Text()),
        "privateUri": computed(Text(), secret=True),
        "uiDatabase": computed(Text()),
        "uiHost": computed(Text()),
        "uiPassword": computed(Text(), secret=True),
        "uiPort": computed(Whole()),
        "uiUri": computed(Text(), secret=True),
        "uiUser": computed(Text()),
        "uri": computed(Text(), secret=True),
        "user": computed(Text()),
    }

    def check(self, inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
        wrong = [
            (key, f"{key} is not stood in for: use the official digitalocean plugin")
            for key in REFUSED
            if inputs.get(key)
        ]
        if not inputs.get("version"):
            wrong.append(("version", "missing required property 'version'"))
        return wrong

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        body = {
            "name": inputs["name"],
            "engine": inputs["engine"],
            "version": inputs["version"],
            "size": inputs["size"],
            "region": inputs["region"],
            "num_nodes": inputs["nodeCount"],
            "tags": inputs.get("tags"),
            "private_network_uuid": inputs.get("privateNetworkUuid"),
            "project_id": inputs.get("projectId"),
            "storage_size_mib": whole(inputs.get("storageSizeMib")),
            "backup_restore": backup_restore(inputs.get("backupRestore")),
        }
        database = self.client.post("/v2/databases", without_empty(body))["database"]
        return database["id"], {"clusterUrn": urn(database), **connection_outputs(database, {})}

    def settle(self, call: Call, id_: str, inputs: State) -> None:
        self.wait_until_online(call, id_, inputs["name"])
        if windows := inputs.get("maintenanceWindows"):
            window = self.client.get(f"/v2/databases/{id_}")["database"].get("maintenance_window") or {}
            wanted = windows[0]
            if window.get("day", "").lower() != wanted["day"].lower() or not same_hour(
                window.get("hour", ""), wanted["hour"]
            ):
                self.set_maintenance(id_, wanted)

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        answer = self.client.find(f"/v2/databases/{id_}")
        return database_outputs(answer["database"], prior) if answer else None

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        path = f"/v2/databases/{id_}"
        if "region" in changed:
            raise ProviderError("moving a database to another region is not stood in for: change region back")
        if {"size", "nodeCount", "storageSizeMib"} & set(changed):
            body = {"size": new["size"], "num_nodes": new["nodeCount"]}
            if "storageSizeMib" in changed:
                body["storage_size_mib"] = whole(new.get("storageSizeMib"))
            self.client.put(f"{path}/resize", without_empty(body))
            self.wait_until_online(call, id_, new["name"])
        if "maintenanceWindows" in changed and new.get("maintenanceWindows"):
            self.set_maintenance(id_, new["maintenanceWindows"][0])
        if "version" in changed:
            # As resourceDigitalOceanDatabaseClusterUpdate of the official provider does: nobody waits.
            self.client.put(f"{path}/upgrade", {"version": new["version"]})
        if "tags" in changed:
            set_tags(self.client, "database", id_, old.get("tags") or [], new.get("tags") or [])

    def delete(self, call: Call, id_: str, state: State) -> None:
        self.client.delete(f"/v2/databases/{id_}")

    def set_maintenance(self, id_: str, window: Mapping[str, Any]) -> None:
        self.client.put(f"/v2/databases/{id_}/maintenance", {"day": window["day"].lower(), "hour": window["hour"]})

    def wait_until_online(self, call: Call, id_: str, name: str) -> None:
        def online() -> bool | None:
            answer = self.client.find(f"/v2/databases/{id_}")
            return True if answer and answer["database"]["status"] == "online" else None

        call.wait_until(f"database {name} to be online", online, CREATE_SECONDS)


def backup_restore(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is asked at creation. Another one later changes nothing: the official plugin does not replace for it."""
    asked = {"database_name": "databaseName", "backup_created_at": "backupCreatedAt"}
    return without_empty({name: (given or {}).get(key) for name, key in asked.items()})


def whole(text: Any) -> int | None:
    """A number that the official plugin keeps as text."""
    return int(text) if isinstance(text, str) and text.isdigit() and not has_unknown(text) else None


def urn(database: Mapping[str, Any]) -> str:
    return f"do:dbaas:{database['id']}"


def database_outputs(database: Mapping[str, Any], prior: Mapping[str, Any]) -> State:
    """The properties of a cluster as the API describes it."""
    state: State = {
        "name": database["name"],
        "engine": database["engine"],
        "version": database["version"],
        "size": database["size"],
        "region": database["region"],
        "nodeCount": database["num_nodes"],
        "storageSizeMib": str(database.get("storage_size_mib") or 0),
        "tags": database.get("tags") or [],
        "privateNetworkUuid": database.get("private_network_uuid", ""),
        "projectId": database.get("project_id", ""),
        "clusterUrn": urn(database),
        "metricsEndpoints": [
            f"https://{endpoint['host']}:{endpoint['port']}/metrics"
            for endpoint in database.get("metrics_endpoints") or []
        ],
        **connection_outputs(database, prior),
    }
    window = database.get("maintenance_window")
    if window and prior.get("maintenanceWindows"):
        state["maintenanceWindows"] = [{"day": window["day"], "hour": window["hour"]}]
    if ui := database.get("ui_connection"):
        state |= {
            "uiHost": ui.get("host"),
            "uiPort": ui.get("port"),
            "uiUri": ui.get("uri"),
            "uiDatabase": ui.get("database"),
            "uiUser": ui.get("user"),
            "uiPassword": ui.get("password"),
        }
    return state


def connection_outputs(database: Mapping[str, Any], prior: Mapping[str, Any]) -> State:
    """How to connect. The API may leave the password out later: the one known before is kept."""
    state: State = {}
    if connection := database.get("connection"):
        password = connection.get("password") or prior.get("password") or ""
        state |= {
            "host": connection["host"],
            "port": connection["port"],
            "database": connection.get("database", ""),
            "user": connection.get("user", ""),
            "password": password,
            "uri": uri_with_password(connection, password),
        }
        if private := database.get("private_connection"):
            state |= {"privateHost": private["host"], "privateUri": uri_with_password(private, password)}
    return state


def uri_with_password(connection: Mapping[str, Any], password: str) -> str:
    """The connection's URI with that user and password in it."""
    parts = urlsplit(str(connection["uri"]))
    place = parts.netloc.rpartition("@")[2]
    credentials = f"{quote(connection.get('user', ''), safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{credentials}@{place}"))
