"""digitalocean.DatabasePostgresqlConfig: settings of a PostgreSQL cluster.

https://docs.digitalocean.com/reference/api/reference/databases/
"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource
from local_cloud.pulumi_plugins.provider.properties import (
    Flag,
    ListOf,
    Number,
    Properties,
    Record,
    Text,
    Type,
    Whole,
    filled,
    not_empty,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Call, State

ID_SUFFIX = "/postgresql-config"

#: Names that the API spells in its own way; the others are the same words with underscores.
API_NAMES = {
    "pgPartmanBgwInterval": "pg_partman_bgw.interval",
    "pgPartmanBgwRole": "pg_partman_bgw.role",
    "pgStatStatementsTrack": "pg_stat_statements.track",
    "pgbouncers": "pgbouncer",
    "timescaledbs": "timescaledb",
}

PGBOUNCER = Record(
    "DatabasePostgresqlConfigPgbouncer",
    {
        "autodbIdleTimeout": optional(Whole()),
        "autodbMaxDbConnections": optional(Whole()),
        "autodbPoolMode": optional(Text()),
        "autodbPoolSize": optional(Whole()),
        "ignoreStartupParameters": optional(ListOf(Text())),
        "minPoolSize": optional(Whole()),
        "serverIdleTimeout": optional(Whole()),
        "serverLifetime": optional(Whole()),
        "serverResetQueryAlways": optional(Flag()),
    },
)

TIMESCALEDB = Record(
    "DatabasePostgresqlConfigTimescaledb",
    {
        "maxBackgroundWorkers": optional(Whole()),
    },
)

SETTINGS: dict[str, Type] = {
    "autovacuumAnalyzeScaleFactor": Number(),
    "autovacuumVacuumScaleFactor": Number(),
    "bgwriterLruMultiplier": Number(),
    "sharedBuffersPercentage": Number(),
    "autovacuumAnalyzeThreshold": Whole(),
    "autovacuumFreezeMaxAge": Whole(),
    "autovacuumMaxWorkers": Whole(),
    "autovacuumNaptime": Whole(),
    "autovacuumVacuumCostDelay": Whole(),
    "autovacuumVacuumCostLimit": Whole(),
    "autovacuumVacuumThreshold": Whole(),
    "backupHour": Whole(),
    "backupMinute": Whole(),
    "bgwriterDelay": Whole(),
    "bgwriterFlushAfter": Whole(),
    "bgwriterLruMaxpages": Whole(),
    "deadlockTimeout": Whole(),
    "idleInTransactionSessionTimeout": Whole(),
    "logAutovacuumMinDuration": Whole(),
    "logMinDurationStatement": Whole(),
    "maxFilesPerProcess": Whole(),
    "maxLocksPerTransaction": Whole(),
    "maxLogicalReplicationWorkers": Whole(),
    "maxParallelWorkers": Whole(),
    "maxParallelWorkersPerGather": Whole(),
    "maxPredLocksPerTransaction": Whole(),
    "maxPreparedTransactions": Whole(),
    "maxReplicationSlots": Whole(),
    "maxStackDepth": Whole(),
    "maxStandbyArchiveDelay": Whole(),
    "maxStandbyStreamingDelay": Whole(),
    "maxWalSenders": Whole(),
    "maxWorkerProcesses": Whole(),
    "pgPartmanBgwInterval": Whole(),
    "tempFileLimit": Whole(),
    "trackActivityQuerySize": Whole(),
    "walSenderTimeout": Whole(),
    "walWriterDelay": Whole(),
    "workMem": Whole(),
    "defaultToastCompression": Text(),
    "logErrorVerbosity": Text(),
    "logLinePrefix": Text(),
    "pgPartmanBgwRole": Text(),
    "pgStatStatementsTrack": Text(),
    "timezone": Text(),
    "trackCommitTimestamp": Text(),
    "trackFunctions": Text(),
    "trackIoTiming": Text(),
    "jit": Flag(),
    "pgbouncers": ListOf(PGBOUNCER),
    "timescaledbs": ListOf(TIMESCALEDB),
}


class DatabasePostgresqlConfig(CloudResource):
    """Its id is the cluster's with a suffix. Deleting it forgets it: the settings stay, as with the official plugin."""

    pulumi_type = "digitalocean:index/databasePostgresqlConfig:DatabasePostgresqlConfig"
    properties: ClassVar[Properties] = {
        "clusterId": required(Text(), replace=True, rule=not_empty),
        **{key: filled(type_) for key, type_ in SETTINGS.items()},
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        self.client.patch(f"/v2/databases/{inputs['clusterId']}/config", {"config": config_body(inputs)})
        return inputs["clusterId"] + ID_SUFFIX, {}

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        cluster = id_.removesuffix(ID_SUFFIX)
        answer = self.client.find(f"/v2/databases/{cluster}/config")
        return {"clusterId": cluster, **config_outputs(answer["config"])} if answer else None

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if changed:
            self.client.patch(f"/v2/databases/{new['clusterId']}/config", {"config": config_body(new)})

    def delete(self, call: Call, id_: str, state: State) -> None:
        """There is nothing to delete."""

    def imported(self, id_: str) -> tuple[str, State]:
        return id_ + ID_SUFFIX, {}


def api_name(key: str) -> str:
    """`workMem` is `work_mem` in the API."""
    return API_NAMES.get(key) or re.sub(r"([A-Z])", lambda match: "_" + match.group(1).lower(), key)


def config_body(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a program gives, as the API wants them."""
    body: dict[str, Any] = {}
    for key, type_ in SETTINGS.items():
        if key in inputs:
            value = inputs[key]
            if isinstance(type_, ListOf):
                value = {api_name(name): item for name, item in value[0].items()} if value else None
            body[api_name(key)] = value
    return {name: value for name, value in body.items() if value is not None}


def config_outputs(config: Mapping[str, Any]) -> State:
    """The settings as the API tells them."""
    state: State = {}
    for key, type_ in SETTINGS.items():
        value = config.get(api_name(key))
        if value is None:
            continue
        if isinstance(type_, ListOf) and isinstance(type_.item, Record):
            names = type_.item.properties
            value = [{name: value[api_name(name)] for name in names if value.get(api_name(name)) is not None}]
        state[key] = value
    return state
