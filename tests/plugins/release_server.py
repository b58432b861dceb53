"""A host of Pulumi's releases on the loopback, over HTTPS: it serves what a test says, whole, cut off or never."""

from __future__ import annotations

import hashlib
import io
import ssl
import tarfile
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

from local_cloud.certificates import new_authority, new_server

ADDRESS = IPv4Address("127.0.0.1")


class ReleaseServer:
    """`files` are its files by path below `url`; `cut_off` those whose second half does not come; `stalled` those that
    stop there, and leave the connection open; `asked` is what was asked for. `silent`: nobody is answered."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, bytes] = {}
        self.cut_off: set[str] = set()
        self.stalled: set[str] = set()
        self.redirects: dict[str, str] = {}
        self.asked: list[str] = []
        self.silent = False
        self.closing = threading.Event()
        authority = new_authority("test")
        pair = new_server(authority, [ADDRESS])
        self.authority = folder / "authority.pem"
        self.authority.write_text(authority.certificate)
        (folder / "server.pem").write_text(pair.certificate)
        (folder / "server.key").write_text(pair.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self._server = ThreadingHTTPServer((str(ADDRESS), 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://{ADDRESS}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def publish(
        self, folder: str, archive: str, checksums: str, programs: dict[str, str], hash_of: Callable[..., hashlib._Hash]
    ) -> str:
        """Serve an archive of executable `programs`, and the list `checksums` with its digest; the archive's path."""
        content = archive_of(programs)
        self.files[f"/{folder}/{archive}"] = content
        listed = [f"{hash_of(b'other').hexdigest()}  ./other.tar.gz", f"{hash_of(content).hexdigest()}  ./{archive}"]
        self.files[f"/{folder}/{checksums}"] = "".join(f"{line}\n" for line in listed).encode()
        return f"/{folder}/{archive}"


def archive_of(programs: dict[str, str]) -> bytes:
    """A .tar.gz of executables: their names and texts."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in programs.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, releases: ReleaseServer, *arguments: object) -> None:
        self._releases = releases
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        releases = self._releases
        releases.asked.append(self.path)
        if releases.silent:
            releases.closing.wait(30)
            return
        if self.path in releases.redirects:
            self.send_response(302)
            self.send_header("Location", releases.redirects[self.path])
            self.end_headers()
            return
        content = releases.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        halves = releases.cut_off | releases.stalled
        self.wfile.write(content[: len(content) // 2] if self.path in halves else content)
        if self.path in releases.stalled:
            self.wfile.flush()
            releases.closing.wait(30)

    def log_message(self, format: str, *arguments: object) -> None:
        pass
