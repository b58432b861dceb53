"""The regions that have Spaces, and the host of each."""

from __future__ import annotations

from ipaddress import IPv4Address

from local_cloud import addresses
from local_cloud.machine_room import MachineRoomError

#: docs.digitalocean.com/products/spaces/details/availability, of the regions in catalogue/regions.py.
REGIONS = ("ams3", "blr1", "fra1", "lon1", "nyc3", "sfo2", "sfo3", "sgp1", "syd1", "tor1")


def host(region: str) -> str:
    """The name of a region's store. MachineRoomError for a region without one."""
    if region not in REGIONS:
        raise MachineRoomError(f"there are no Spaces in {region}, only in {', '.join(REGIONS)}")
    return f"{region}.digitaloceanspaces.com"


def address(region: str) -> IPv4Address:
    """Where it answers."""
    return addresses.SPACES[1 + REGIONS.index(region)]


def names() -> dict[str, IPv4Address]:
    """Every store's name and address, whether it runs or not."""
    return {host(region): address(region) for region in REGIONS}
