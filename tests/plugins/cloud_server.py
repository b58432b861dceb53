"""The local cloud's API without machines, served over HTTP on the loopback."""

from __future__ import annotations

import json
import threading
import urllib.request
from pathlib import Path
from typing import Any

from local_cloud.api.app import create_app, resume, shut_down
from local_cloud.api.control import KEY_HEADER
from local_cloud.api.durations import Durations
from local_cloud.api.no_machines import NoMachines
from local_cloud.api.store import Store
from local_cloud.http_server import HttpServer
from local_cloud.machine_room import DropletSpec, MachineRoomError

TOKEN = "dop_v1_" + "7" * 64
CONTROL_KEY = "control-key"


class _Room(NoMachines):
    def __init__(self, unbootable: set[str]) -> None:
        super().__init__()
        self.unbootable = unbootable

    def start_droplet(self, spec: DropletSpec) -> None:
        if spec.name in self.unbootable:
            raise MachineRoomError("it does not boot")
        super().start_droplet(spec)


class CloudServer:
    """Serves until `close`. Records every request and answer. Machines in `unbootable` (names) do not boot."""

    def __init__(self, folder: Path) -> None:
        self.unbootable: set[str] = set()
        store = Store(folder / "store.sqlite3")
        store.add_token(TOKEN)
        store.set_control_key(CONTROL_KEY)
        self.app = create_app(store, _Room(self.unbootable), Durations.fast())
        resume(self.app)
        self.server = HttpServer(self.app, "127.0.0.1", port=0, threads=16)
        self.url = f"http://127.0.0.1:{self.server.port}"
        threading.Thread(target=self.server.serve, daemon=True).start()
        self.recording = folder / "recording.jsonl"
        self.control("PUT", "/_local/recording", {"path": str(self.recording)})

    def close(self) -> None:
        self.server.close()
        shut_down(self.app)

    def exchanges(self) -> list[dict[str, Any]]:
        """What was asked and answered so far."""
        if not self.recording.exists():
            return []
        return [json.loads(line) for line in self.recording.read_text().splitlines()]

    def writes(self) -> list[str]:
        """Method and path of what was asked to change something."""
        return [f"{one['method']} {one['path']}" for one in self.exchanges() if one["method"] != "GET"]

    def state(self) -> dict[str, list[str]]:
        """Names of all that is there, by kind."""
        answer = self.control("GET", "/_local/state")
        return {kind: found["names"] for kind, found in answer.items() if found["names"]}

    def fault(self, **fault: Any) -> None:
        """Let the next calls that match fail: see local_cloud/api/faults.py."""
        self.control("POST", "/_local/faults", fault)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """What a person does at DigitalOcean's own control panel."""
        return self.control(method, path, body, {"Authorization": f"Bearer {TOKEN}"})

    def control(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "User-Agent": "control-panel",
                **(headers or {KEY_HEADER: CONTROL_KEY}),
            },
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            text = response.read()
        return json.loads(text) if text else None
