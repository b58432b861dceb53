"""What a token may do, as DigitalOcean's control panel tells doctl (github.com/digitalocean/doctl, do/oauth.go).

The control API makes tokens (`PUT /_local/tokens`); DigitalOcean's control panel does there.
"""

from __future__ import annotations

from flask import Blueprint, Response, g

from local_cloud.api.answers import answer

routes = Blueprint("tokens", __name__)

PATH = "/v1/oauth/token/info"


@routes.get(PATH)
def show() -> Response:
    return answer(
        {
            "resource_owner_id": 1,
            "scopes": list(g.scopes),
            "expires_in_seconds": 0,
            "application": {"uid": ""},
            "created_at": 0,
        }
    )
