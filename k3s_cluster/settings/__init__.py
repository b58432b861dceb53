"""The stack's config: what can be asked for (`model`), what is refused (`values`, `pools`), and how it is read."""

from k3s_cluster.settings.model import (
    AccessSettings,
    AgentPoolSettings,
    ClusterSettings,
    DatastoreRestoreSettings,
    DatastoreSettings,
    EmbeddedEtcdSettings,
    EtcdS3Settings,
    ExternalDatastoreSettings,
    LoadBalancerSettings,
    ManagedDatastoreSettings,
    PoolSettings,
    RollSettings,
    SqliteDatastoreSettings,
)
from k3s_cluster.settings.parse import KEYS, SECRET_KEYS, SettingsError, parse_settings

__all__ = [
    "KEYS",
    "SECRET_KEYS",
    "AccessSettings",
    "AgentPoolSettings",
    "ClusterSettings",
    "DatastoreRestoreSettings",
    "DatastoreSettings",
    "EmbeddedEtcdSettings",
    "EtcdS3Settings",
    "ExternalDatastoreSettings",
    "LoadBalancerSettings",
    "ManagedDatastoreSettings",
    "PoolSettings",
    "RollSettings",
    "SettingsError",
    "SqliteDatastoreSettings",
    "parse_settings",
]
