"""Droplet sizes: https://www.digitalocean.com/pricing/droplets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Memory in MiB, disk in GiB, transfer in TB a month, prices in USD. Retired sizes are not available."""

    slug: str
    description: str
    vcpus: int
    memory: int
    disk: int
    transfer: float
    price_monthly: float
    price_hourly: float
    available: bool = True


SIZES = {
    size.slug: size
    for size in (
        Size("512mb", "Basic", 1, 512, 20, 1.0, 5.0, 0.00744, available=False),
        Size("1gb", "Basic", 1, 1024, 30, 2.0, 10.0, 0.01488, available=False),
        Size("2gb", "Basic", 2, 2048, 40, 3.0, 20.0, 0.02976, available=False),
        Size("4gb", "Basic", 2, 4096, 60, 4.0, 40.0, 0.05952, available=False),
        Size("s-1vcpu-512mb-10gb", "Basic", 1, 512, 10, 0.5, 4.0, 0.00595),
        Size("s-1vcpu-1gb", "Basic", 1, 1024, 25, 1.0, 6.0, 0.00893),
        Size("s-1vcpu-1gb-amd", "Basic AMD", 1, 1024, 25, 1.0, 7.0, 0.01042),
        Size("s-1vcpu-1gb-intel", "Basic Intel", 1, 1024, 25, 1.0, 7.0, 0.01042),
        Size("s-1vcpu-2gb", "Basic", 1, 2048, 50, 2.0, 12.0, 0.01786),
        Size("s-1vcpu-2gb-amd", "Basic AMD", 1, 2048, 50, 2.0, 14.0, 0.02083),
        Size("s-1vcpu-2gb-intel", "Basic Intel", 1, 2048, 50, 2.0, 14.0, 0.02083),
        Size("s-2vcpu-2gb", "Basic", 2, 2048, 60, 3.0, 18.0, 0.02679),
        Size("s-2vcpu-2gb-amd", "Basic AMD", 2, 2048, 60, 3.0, 21.0, 0.03125),
        Size("s-2vcpu-2gb-intel", "Basic Intel", 2, 2048, 60, 3.0, 21.0, 0.03125),
        Size("s-2vcpu-4gb", "Basic", 2, 4096, 80, 4.0, 24.0, 0.03571),
        Size("s-2vcpu-4gb-amd", "Basic AMD", 2, 4096, 80, 4.0, 28.0, 0.04167),
        Size("s-2vcpu-4gb-intel", "Basic Intel", 2, 4096, 80, 4.0, 28.0, 0.04167),
        Size("s-4vcpu-8gb", "Basic", 4, 8192, 160, 5.0, 48.0, 0.07143),
        Size("s-4vcpu-8gb-amd", "Basic AMD", 4, 8192, 160, 5.0, 56.0, 0.08333),
        Size("s-4vcpu-8gb-intel", "Basic Intel", 4, 8192, 160, 5.0, 56.0, 0.08333),
        Size("s-8vcpu-16gb", "Basic", 8, 16384, 320, 6.0, 96.0, 0.14286),
        Size("c-2", "CPU-Optimized", 2, 4096, 25, 4.0, 42.0, 0.0625),
        Size("c-4", "CPU-Optimized", 4, 8192, 50, 5.0, 84.0, 0.125),
        Size("c-8", "CPU-Optimized", 8, 16384, 100, 6.0, 168.0, 0.25),
        Size("g-2vcpu-8gb", "General Purpose", 2, 8192, 25, 4.0, 63.0, 0.09375),
        Size("g-4vcpu-16gb", "General Purpose", 4, 16384, 50, 5.0, 126.0, 0.1875),
        Size("m-2vcpu-16gb", "Memory-Optimized", 2, 16384, 50, 4.0, 84.0, 0.125),
        Size("m-4vcpu-32gb", "Memory-Optimized", 4, 32768, 100, 6.0, 168.0, 0.25),
    )
}
