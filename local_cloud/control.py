"""Asks the running cloud's control API, at `/_local/` beside DigitalOcean's, for what no customer may do."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from local_cloud import addresses, credentials
from local_cloud.machine_room import MachineRoomError
from local_cloud.network import namespaces

TIMEOUT_SECONDS = 20


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What the control API answers, None for no content. MachineRoomError with its message when it refuses."""
    headers = {"X-Local-Control-Key": credentials.control_key(), "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body)

    def ask() -> tuple[int, str]:
        connection = http.client.HTTPConnection(urlsplit(addresses.API_URL).netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, f"/_local/{path}", data, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    try:
        # The caller is outside of the cloud's network.
        status, text = namespaces.call_inside(namespaces.OPERATOR, ask)
    except (OSError, http.client.HTTPException) as error:
        raise MachineRoomError(f"the control API does not answer {method} {path}: {error}") from error
    if not 200 <= status < 300:
        raise MachineRoomError(f"the control API refused {method} {path}: {text or status}")
    return json.loads(text) if text.strip() else None
