"""The data centres. A region that is not available takes no new droplets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    slug: str
    name: str
    available: bool = True


REGIONS = {
    region.slug: region
    for region in (
        Region("ams1", "Amsterdam 1", available=False),
        Region("ams2", "Amsterdam 2", available=False),
        Region("ams3", "Amsterdam 3"),
        Region("blr1", "Bangalore 1"),
        Region("fra1", "Frankfurt 1"),
        Region("lon1", "London 1"),
        Region("nyc1", "New York 1"),
        Region("nyc2", "New York 2"),
        Region("nyc3", "New York 3"),
        Region("sfo1", "San Francisco 1", available=False),
        Region("sfo2", "San Francisco 2"),
        Region("sfo3", "San Francisco 3"),
        Region("sgp1", "Singapore 1"),
        Region("syd1", "Sydney 1"),
        Region("tor1", "Toronto 1"),
    )
}

OPEN_REGIONS = tuple(region.slug for region in REGIONS.values() if region.available)
FEATURES = ("backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer")
