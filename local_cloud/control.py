"""Asks the running cloud's control API, at `/_local/` beside DigitalOcean's, for what no customer may do."""

from __future__ import annotations

import json
from typing import Any

from local_cloud import addresses, credentials
from local_cloud.commands import run
from local_cloud.machine_room import MachineRoomError
from local_cloud.network import namespaces


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What the control API answers, None for no content. MachineRoomError with its message when it refuses."""
    # curl, because the caller is outside: it enters the operator's namespace. The key goes in by stdin, unseen.
    configuration = "\n".join(
        (
            f'url = "{addresses.API_URL}/_local/{path}"',
            f'request = "{method}"',
            f'header = "X-Local-Control-Key: {credentials.control_key()}"',
            'header = "Content-Type: application/json"',
            *([f"data = {json.dumps(json.dumps(body))}"] if body is not None else []),
            'write-out = "\\n%{http_code}"',
        )
    )
    answer = run(
        [*namespaces.inside(namespaces.OPERATOR), "curl", "--silent", "--max-time", "20", "--config", "-"],
        stdin=configuration,
    )
    text, _, status = answer.rpartition("\n")
    if not status.startswith("2"):
        raise MachineRoomError(f"the control API refused {method} {path}: {text or status}")
    return json.loads(text) if text.strip() else None
