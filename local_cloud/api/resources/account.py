"""The account: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Account"""

from __future__ import annotations

from flask import Blueprint, Response

from local_cloud.api.answers import answer

routes = Blueprint("account", __name__)

#: How many droplets an account may have; the real limit is set per account.
DROPLET_LIMIT = 25


@routes.get("/v2/account")
def show() -> Response:
    return answer(
        {
            "account": {
                "droplet_limit": DROPLET_LIMIT,
                "floating_ip_limit": 0,
                "reserved_ip_limit": 0,
                "volume_limit": 0,
                "email": "operator@local-cloud.example",
                "name": "Local Cloud",
                "uuid": "00000000-0000-4000-8000-000000000001",
                "email_verified": True,
                "status": "active",
                "status_message": "",
                "team": {"uuid": "00000000-0000-4000-8000-000000000002", "name": "My Team"},
            }
        }
    )
