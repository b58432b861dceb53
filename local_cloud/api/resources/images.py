"""Images: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Images. Only distributions; no custom ones."""

from __future__ import annotations

from flask import Blueprint, Response, request

from local_cloud.api.answers import Json, answer, forbidden, not_found, not_here, page
from local_cloud.catalogue.images import IMAGES, Image, find_image
from local_cloud.catalogue.regions import OPEN_REGIONS

routes = Blueprint("images", __name__)


def show_image(image: Image) -> Json:
    return {
        "id": image.id,
        "name": image.name,
        "distribution": image.distribution,
        "slug": image.slug,
        "public": True,
        "regions": list(OPEN_REGIONS),
        "created_at": image.created_at,
        "min_disk_size": image.min_disk,
        "type": "base",
        "size_gigabytes": image.size,
        "description": f"{image.distribution} {image.name}",
        "tags": [],
        "status": image.status,
    }


@routes.get("/v2/images")
def list_images() -> Response:
    of_others = request.args.get("type") == "application" or request.args.get("private") == "true"
    none_asked = of_others or bool(request.args.get("tag_name"))
    images = [] if none_asked else [image for image in IMAGES.values() if image.status == "available"]
    return page("images", images, show_image)


@routes.post("/v2/images")
def create_image() -> Response:
    raise not_here("keeps no custom images")


@routes.get("/v2/images/<identifier>")
def get_image(identifier: str) -> Response:
    return answer({"image": show_image(_known(identifier))})


@routes.put("/v2/images/<identifier>")
@routes.delete("/v2/images/<identifier>")
def change_image(identifier: str) -> Response:
    _known(identifier)
    raise forbidden("You do not have access for the attempted action.")


def _known(identifier: str) -> Image:
    image = find_image(identifier)
    if image is None:
        raise not_found()
    return image
