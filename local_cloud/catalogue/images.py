"""Distribution images. Retired ones are known by slug but refused, as after a release's end of life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Image:
    """`min_disk` in GiB, `size` in GB."""

    id: int
    slug: str
    name: str
    distribution: str
    created_at: str
    min_disk: int = 7
    size: float = 2.5
    status: Literal["available", "retired"] = "available"


IMAGES = {
    image.slug: image
    for image in (
        Image(195932981, "ubuntu-24-10-x64", "24.10 x64", "Ubuntu", "2024-10-22T17:58:12Z", status="retired"),
        Image(195932982, "ubuntu-25-04-x64", "25.04 x64", "Ubuntu", "2025-04-28T15:42:48Z", status="retired"),
        Image(195932983, "ubuntu-25-10-x64", "25.10 x64", "Ubuntu", "2025-10-20T15:42:48Z", status="retired"),
        Image(195932988, "ubuntu-26-04-x64", "26.04 (LTS) x64", "Ubuntu", "2026-04-28T15:42:48Z"),
        Image(195932984, "ubuntu-24-04-x64", "24.04 (LTS) x64", "Ubuntu", "2025-09-16T17:43:22Z"),
        Image(195932985, "ubuntu-22-04-x64", "22.04 (LTS) x64", "Ubuntu", "2025-09-16T17:43:22Z"),
        Image(195932986, "debian-12-x64", "12 x64", "Debian", "2025-06-24T18:01:57Z"),
        Image(195932987, "debian-13-x64", "13 x64", "Debian", "2025-09-16T18:01:57Z"),
        Image(112929454, "ubuntu-20-04-x64", "20.04 (LTS) x64", "Ubuntu", "2025-02-11T17:11:05Z", status="retired"),
        Image(93525508, "ubuntu-18-04-x64", "18.04 (LTS) x64", "Ubuntu", "2023-05-22T17:11:05Z", status="retired"),
        Image(86718194, "debian-10-x64", "10 x64", "Debian", "2024-06-11T17:11:05Z", status="retired"),
    )
}


def find_image(identifier: str | int) -> Image | None:
    """The image with this slug or number, retired ones included."""
    if isinstance(identifier, str) and not identifier.isdigit():
        return IMAGES.get(identifier)
    return next((image for image in IMAGES.values() if image.id == int(identifier)), None)
