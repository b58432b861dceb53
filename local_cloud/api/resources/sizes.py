"""Droplet sizes: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Sizes"""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response

from local_cloud.api.answers import Json, page
from local_cloud.catalogue.regions import OPEN_REGIONS
from local_cloud.catalogue.sizes import SIZES, Size

routes = Blueprint("sizes", __name__)


def show_size(size: Size) -> Json:
    return {
        **asdict(size),
        "regions": list(OPEN_REGIONS) if size.available else [],
        "disk_info": [{"type": "local", "size": {"amount": size.disk, "unit": "gib"}}],
    }


@routes.get("/v2/sizes")
def list_sizes() -> Response:
    return page("sizes", SIZES.values(), show_size)
