"""The stack's config: what can be asked for (`model`), what is refused (`values`, `pools`), and how it is read."""

from k3s_cluster.settings.model import (
    AccessSettings,
    AgentPoolSettings,
    ClusterSettings,
    DatastoreSettings,
    LoadBalancerSettings,
    PoolSettings,
    RollSettings,
)
from k3s_cluster.settings.parse import KEYS, SettingsError, parse_settings

__all__ = [
    "KEYS",
    "AccessSettings",
    "AgentPoolSettings",
    "ClusterSettings",
    "DatastoreSettings",
    "LoadBalancerSettings",
    "PoolSettings",
    "RollSettings",
    "SettingsError",
    "parse_settings",
]
