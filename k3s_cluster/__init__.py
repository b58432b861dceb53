"""K3s on DigitalOcean as Pulumi components. Begin with `cluster.py`."""

from k3s_cluster.cluster import K3sCluster
from k3s_cluster.settings import ClusterSettings, SettingsError, parse_settings

__all__ = ["ClusterSettings", "K3sCluster", "SettingsError", "parse_settings"]
