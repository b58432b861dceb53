"""Actions, the history of what was done: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Actions"""

from __future__ import annotations

from flask import Blueprint, Response

from local_cloud.api.answers import Json, answer, not_found, page
from local_cloud.api.cloud import the_cloud
from local_cloud.api.records import Action
from local_cloud.api.resources.regions import show_region
from local_cloud.catalogue.regions import REGIONS

routes = Blueprint("actions", __name__)


def show_action(action: Action) -> Json:
    return {
        "id": action.id,
        "status": action.status,
        "type": action.type,
        "started_at": action.started_at,
        "completed_at": action.completed_at,
        "resource_id": action.resource_id,
        "resource_type": action.resource_type,
        "region": show_region(REGIONS[action.region]),
        "region_slug": action.region,
    }


@routes.get("/v2/actions")
def list_actions() -> Response:
    return page("actions", reversed(list(the_cloud().store.actions)), show_action)


@routes.get("/v2/actions/<int:action_id>")
def get_action(action_id: int) -> Response:
    action = the_cloud().store.actions.get(action_id)
    if action is None:
        raise not_found()
    return answer({"action": show_action(action)})
