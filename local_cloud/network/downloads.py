"""get.k3s.io: a host that serves the files of a folder over HTTPS, the installer at its root."""

from __future__ import annotations

import ssl
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

INSTALLER = "install.sh"


class _Files(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def translate_path(self, path: str) -> str:
        return super().translate_path(f"/{INSTALLER}" if path.split("?")[0] == "/" else path)

    def list_directory(self, path: Any) -> BytesIO | None:  # noqa: ARG002 - the name of the method it replaces
        self.send_error(HTTPStatus.NOT_FOUND)
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def server(folder: Path, address: IPv4Address, port: int, certificate: Path, key: Path) -> ThreadingHTTPServer:
    """An HTTPS server for the files of `folder`, listening but not yet serving."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    files = _Server((str(address), port), partial(_Files, directory=str(folder)))
    # The handshake happens at the first read, in the thread of that client: a slow one holds up nobody else.
    files.socket = context.wrap_socket(files.socket, server_side=True, do_handshake_on_connect=False)
    return files
