"""Every TCP port of the addresses given, as seen from where this runs: `python3 port_scan.py ADDRESS...` prints JSON.

It needs nothing but Python's own library, so that it can be piped into a droplet.
"""

from __future__ import annotations

import errno
import json
import resource
import select
import socket
import sys
import time

PORTS = range(1, 65536)
#: Connections that are under way at the same time, and how long each may take in seconds.
AT_ONCE = 8192
PATIENCE = 1.5


def scan(address: str) -> dict[str, list[int]]:
    """`open` ports take a connection, `refused` ones are let through to where nothing listens; the rest is silent."""
    found: dict[str, list[int]] = {"open": [], "refused": []}
    for first in range(PORTS.start, PORTS.stop, AT_ONCE):
        _scan_some(address, range(first, min(first + AT_ONCE, PORTS.stop)), found)
    return found


def _scan_some(address: str, ports: range, found: dict[str, list[int]]) -> None:
    waiting: dict[int, tuple[socket.socket, int]] = {}
    poller = select.epoll()

    def note(code: int, port: int) -> None:
        if code == 0:
            found["open"].append(port)
        elif code == errno.ECONNREFUSED:
            found["refused"].append(port)

    for port in ports:
        client = socket.socket()
        client.setblocking(False)
        code = client.connect_ex((address, port))
        if code == errno.EINPROGRESS:
            waiting[client.fileno()] = (client, port)
            poller.register(client.fileno(), select.EPOLLOUT)
        else:
            note(code, port)
            client.close()
    until = time.monotonic() + PATIENCE
    while waiting and time.monotonic() < until:
        for descriptor, _ in poller.poll(0.1):
            client, port = waiting.pop(descriptor)
            note(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), port)
            poller.unregister(descriptor)
            client.close()
    for client, _ in waiting.values():
        client.close()
    poller.close()


if __name__ == "__main__":
    most = AT_ONCE + 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, max(most, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    print(json.dumps({address: scan(address) for address in sys.argv[1:]}))
