"""Whether a droplet is on, as DigitalOcean knows it, and switching it on or off and on again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from k3s_cluster.account.client import Client, Credentials, NoAnswer, Refused, control_panel

ANSWER_SECONDS = 10.0
#: How long the API is asked again where it is out of order.
PATIENCE_SECONDS = 20
ACTION_SECONDS = 60
POLL_SECONDS = 2.0

#: docs.digitalocean.com/reference/api, Droplet Actions. `power_cycle` is the power button: a droplet whose kernel hangs
#: does not hear a `reboot`.
Action = Literal["power_on", "power_cycle"]


class PowerError(Exception):
    """DigitalOcean did not say or do it: the message says what, and what it answered."""


@dataclass(frozen=True)
class DropletState:
    """`status` is DigitalOcean's (`active`, `off`, `new`, `archive`); `last_action` is in words, or empty."""

    status: str
    last_action: str


class DropletPower:
    """One droplet. All methods raise PowerError."""

    def __init__(self, credentials: Credentials, droplet_id: str) -> None:
        self._client = Client(credentials, ANSWER_SECONDS)
        self._path = f"/v2/droplets/{droplet_id}"
        self.console = f"{control_panel(credentials.endpoint)}/droplets/{droplet_id}/console"

    def state(self) -> DropletState | None:
        """None for a droplet that is no longer in the account."""
        answer = self._ask("GET", self._path, accepted=(404,))
        if answer is None:
            return None
        actions = (self._ask("GET", f"{self._path}/actions?per_page=1") or {}).get("actions") or [{}]
        last = actions[0]
        words = f"{last['type']} {last['status']} at {last.get('completed_at') or last['started_at']}" if last else ""
        return DropletState(str(answer["droplet"]["status"]), words)

    def act(self, action: Action, progress: Callable[[str], None]) -> None:
        """Return when the action is done."""
        asked = self._ask("POST", f"{self._path}/actions", {"type": action}) or {}
        path, deadline = f"{self._path}/actions/{asked['action']['id']}", time.monotonic() + ACTION_SECONDS
        while True:
            status = (self._ask("GET", path) or {})["action"]["status"]
            if status == "completed":
                return
            if status == "errored" or time.monotonic() >= deadline:
                raise PowerError(f"DigitalOcean's {action} of the droplet is {status}")
            progress(f"waiting for DigitalOcean's {action}")
            time.sleep(POLL_SECONDS)

    def _ask(
        self, method: str, path: str, body: dict[str, object] | None = None, accepted: tuple[int, ...] = ()
    ) -> dict[str, Any] | None:
        try:
            answer = self._client.insist(method, path, body, seconds=PATIENCE_SECONDS, accepted=accepted)
        except (NoAnswer, Refused) as error:
            raise PowerError(str(error)) from None
        return None if answer.status in accepted else answer.body
