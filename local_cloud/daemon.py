"""The cloud's one process of its own: the API, the metadata service and get.k3s.io, in the backbone's namespace.

`python -m local_cloud.daemon`; started by `bin/local-cloud up`. Machines, databases and load balancers outlive it.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from local_cloud import addresses, certificates, credentials, paths
from local_cloud.certificates import AUTHORITY
from local_cloud.http_server import HttpServer
from local_cloud.machines.machine import read_authority
from local_cloud.machines.metadata import application as metadata_application
from local_cloud.network import downloads
from local_cloud.real_machine_room import DOWNLOAD_HOSTS, RealMachineRoom, droplet_at

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

DOWNLOADS = paths.CLOUD / "get.k3s.io"
STORE = paths.CLOUD / "store.sqlite3"
#: The profile of durations that a start begins with; `bin/local-cloud durations` writes it.
DURATIONS = paths.CLOUD / "durations"
READY = paths.CLOUD / "daemon.ready"

log = logging.getLogger("local_cloud.daemon")


@dataclass(frozen=True)
class _Service:
    """Something that serves in a thread of its own until it is closed."""

    name: str
    serve: Callable[[], object]
    close: Callable[[], object]


def main() -> int:
    """Serve until SIGTERM or SIGINT. READY exists exactly while everything answers."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    # Imported here, because the API brings Flask with it: nothing else of the local cloud needs that.
    from local_cloud.api.app import create_app, resume, shut_down
    from local_cloud.api.durations import Durations
    from local_cloud.api.store import Store

    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    READY.unlink(missing_ok=True)

    certificates.kept_server(AUTHORITY, certificates.authority_of_cloud(), DOWNLOAD_HOSTS)
    room = RealMachineRoom(read_authority(AUTHORITY / "ca.pem"), log.info)
    room.serve_names()
    store = Store(STORE)
    store.add_token(credentials.token())
    store.set_control_key(credentials.control_key())
    durations = Durations.named(DURATIONS.read_text().strip() if DURATIONS.exists() else "fast")
    app = create_app(store, room, durations)
    services = (
        _web("API", app, addresses.API, addresses.API_PORT, threads=32),
        _web("metadata", metadata_application(droplet_at), addresses.METADATA, 80, threads=4),
        _downloads(),
    )
    for service in services:
        threading.Thread(target=service.serve, name=service.name, daemon=True).start()
    resume(app)
    READY.touch()
    log.info("ready: the API answers at %s", addresses.API_URL)
    asked_to_stop.wait()
    READY.unlink(missing_ok=True)
    for service in services:
        service.close()
    shut_down(app)
    log.info("ended")
    return 0


def _web(name: str, application: WSGIApplication, address: IPv4Address, port: int, threads: int) -> _Service:
    server = HttpServer(application, str(address), port, threads)
    return _Service(name, server.serve, server.close)


def _downloads() -> _Service:
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    server = downloads.server(
        DOWNLOADS, addresses.K3S_DOWNLOADS, 443, AUTHORITY / "server.pem", AUTHORITY / "server.key"
    )
    return _Service("get.k3s.io", server.serve_forever, server.server_close)


def published(folder: Path = DOWNLOADS) -> bool:
    """Whether get.k3s.io has an installer to serve."""
    return (folder / downloads.INSTALLER).exists()


if __name__ == "__main__":
    sys.exit(main())
