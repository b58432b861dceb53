"""Regions: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Regions"""

from __future__ import annotations

from flask import Blueprint, Response

from local_cloud.api.answers import Json, page
from local_cloud.catalogue.regions import FEATURES, REGIONS, Region
from local_cloud.catalogue.sizes import SIZES

routes = Blueprint("regions", __name__)


def show_region(region: Region) -> Json:
    sizes = [size.slug for size in SIZES.values() if size.available] if region.available else []
    return {
        "name": region.name,
        "slug": region.slug,
        "features": list(FEATURES),
        "available": region.available,
        "sizes": sizes,
    }


@routes.get("/v2/regions")
def list_regions() -> Response:
    return page("regions", REGIONS.values(), show_region)
