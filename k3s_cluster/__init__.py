"""K3s on DigitalOcean as Pulumi components. Begin with `cluster.py`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3s_cluster.cluster import K3sCluster
    from k3s_cluster.settings import ClusterSettings, SettingsError, parse_settings

__all__ = ["ClusterSettings", "K3sCluster", "SettingsError", "parse_settings"]


def __getattr__(name: str) -> object:
    # Pulumi's process for dynamic resources imports this package, too, and has no use for DigitalOcean's large SDK.
    if name not in __all__:
        raise AttributeError(name)
    room = "k3s_cluster.cluster" if name == "K3sCluster" else "k3s_cluster.settings"
    return getattr(import_module(room), name)
