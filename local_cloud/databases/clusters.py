"""The database clusters that there are, each of its engine."""

from __future__ import annotations

from local_cloud.databases.cluster import FOLDER, Cluster
from local_cloud.databases.mariadb import MariadbCluster
from local_cloud.databases.postgresql import PostgresqlCluster
from local_cloud.machine_room import DatabaseSpec

#: By the names that the API has for engines.
ENGINES: dict[str, type[Cluster]] = {"pg": PostgresqlCluster, "mysql": MariadbCluster}


def cluster_for(spec: DatabaseSpec) -> Cluster:
    """The cluster of `spec`, known by its engine from now on."""
    made = ENGINES[spec.engine](spec.id)
    made.folder.mkdir(parents=True, exist_ok=True)
    (made.folder / "engine").write_text(spec.engine)
    return made


def cluster(cluster_id: str) -> Cluster:
    """The cluster `cluster_id`, whether it exists or not."""
    file = FOLDER / cluster_id / "engine"
    return ENGINES[file.read_text() if file.exists() else "pg"](cluster_id)


def cluster_ids() -> list[str]:
    """Of all clusters that have a folder."""
    return sorted(entry.name for entry in FOLDER.iterdir()) if FOLDER.is_dir() else []
