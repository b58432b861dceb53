"""A WSGI application over HTTP, in a process that goes on when it is closed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.server import create_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class HttpServer:
    """Listens from the start, answers while `serve` runs, and may be closed from any thread.

    Waitress has no such end of its own: closing its server takes the pipe away that its loop and its workers still use.
    """

    def __init__(self, application: WSGIApplication, host: str, port: int, threads: int) -> None:
        # A map of its own: waitress keeps all servers of a process in one otherwise.
        self._sockets: dict[int, Any] = {}
        self._server = create_server(application, map=self._sockets, host=host, port=port, threads=threads, ident=None)
        self._closing = threading.Event()
        self._serving = threading.Lock()
        self.port = int(self._server.effective_port)

    def serve(self) -> None:
        """Answer until `close`."""
        with self._serving:
            while not self._closing.is_set():
                wasyncore.loop(timeout=1, map=self._sockets, count=1)

    def close(self) -> None:
        """End `serve`, let calls under way have their answers (for 5 s), and close all connections."""
        self._closing.set()
        self._server.pull_trigger()
        with self._serving:
            self._server.task_dispatcher.shutdown(timeout=5)
            wasyncore.close_all(self._sockets)
