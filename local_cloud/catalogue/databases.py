"""Managed databases: engines, versions, sizes and what each size allows.

https://docs.digitalocean.com/products/databases/postgresql/details/limits/ and
https://docs.digitalocean.com/products/databases/mysql/details/limits/.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatabaseVersion:
    version: str
    end_of_life: str | None
    end_of_availability: str | None


@dataclass(frozen=True)
class DatabaseSize:
    """Memory in GiB, storage in MiB; `standby` says whether clusters of this size may have standby nodes."""

    slug: str
    vcpus: int
    memory: int
    storage_mib: int
    standby: bool = True


#: End of life is the engine's own (https://www.postgresql.org/support/versioning/); DigitalOcean stops offering a
#: version some months before. 18 is offered as `advanced_pg` alone (DigitalOcean's API description, GET
#: /v2/databases/options), an engine that this cloud does not have.
ENGINES: dict[str, tuple[DatabaseVersion, ...]] = {
    "pg": (
        DatabaseVersion("15", "2027-11-11T00:00:00Z", "2027-05-12T00:00:00Z"),
        DatabaseVersion("16", "2028-11-09T00:00:00Z", "2028-05-09T00:00:00Z"),
        DatabaseVersion("17", "2029-11-08T00:00:00Z", "2029-05-08T00:00:00Z"),
    ),
    "mysql": (DatabaseVersion("8", None, None),),
}
DEFAULT_VERSION = {"pg": "17", "mysql": "8"}

DATABASE_SIZES = {
    size.slug: size
    for size in (
        DatabaseSize("db-s-1vcpu-1gb", 1, 1, 10 * 1024, standby=False),
        DatabaseSize("db-s-1vcpu-2gb", 1, 2, 30 * 1024),
        DatabaseSize("db-s-2vcpu-4gb", 2, 4, 60 * 1024),
        DatabaseSize("db-s-4vcpu-8gb", 4, 8, 140 * 1024),
        DatabaseSize("db-s-6vcpu-16gb", 6, 16, 290 * 1024),
        DatabaseSize("db-s-8vcpu-32gb", 8, 32, 580 * 1024),
    )
}


def sizes_for(num_nodes: int) -> tuple[str, ...]:
    """The sizes that a cluster of `num_nodes` (1 to 3) may have: the smallest one takes no standby nodes."""
    return tuple(size.slug for size in DATABASE_SIZES.values() if num_nodes == 1 or size.standby)


def max_connections(engine: str, size_slug: str) -> int:
    """Connections a cluster takes, by the limits pages: PostgreSQL 25 per GiB of memory, MySQL 75."""
    memory = DATABASE_SIZES[size_slug].memory
    return memory * (75 if engine == "mysql" else 25)
