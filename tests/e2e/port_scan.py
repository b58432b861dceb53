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
#: Connections that are under way at the same time, if there may be so many, and how long each may take in seconds.
AT_ONCE = 32768
PATIENCE = 1.5


def scan(addresses: list[str]) -> dict[str, dict[str, list[int]]]:
    """`open` ports take a connection, `refused` ones are let through to where nothing listens; the rest is silent."""
    found: dict[str, dict[str, list[int]]] = {address: {"open": [], "refused": []} for address in addresses}
    ports = _sockets() // len(addresses)
    for first in range(PORTS.start, PORTS.stop, ports):
        _scan_some(range(first, min(first + ports, PORTS.stop)), found)
    return {address: {kind: sorted(ports) for kind, ports in seen.items()} for address, seen in found.items()}


def _sockets() -> int:
    """How many sockets this process may have at the same time, beside its other files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = AT_ONCE + 64 if hard == resource.RLIM_INFINITY else min(AT_ONCE + 64, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most - 64


def _scan_some(ports: range, found: dict[str, dict[str, list[int]]]) -> None:
    waiting: dict[int, tuple[socket.socket, str, int]] = {}
    poller = select.epoll()

    def note(code: int, address: str, port: int) -> None:
        if code == 0:
            found[address]["open"].append(port)
        elif code == errno.ECONNREFUSED:
            found[address]["refused"].append(port)

    for address, port in ((address, port) for port in ports for address in found):
        client = socket.socket()
        client.setblocking(False)
        code = client.connect_ex((address, port))
        if code == errno.EINPROGRESS:
            waiting[client.fileno()] = (client, address, port)
            poller.register(client.fileno(), select.EPOLLOUT)
        else:
            note(code, address, port)
            client.close()
    until = time.monotonic() + PATIENCE
    while waiting and time.monotonic() < until:
        for descriptor, _ in poller.poll(0.1):
            client, address, port = waiting.pop(descriptor)
            note(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), address, port)
            poller.unregister(descriptor)
            client.close()
    for client, _, _ in waiting.values():
        client.close()
    poller.close()


if __name__ == "__main__":
    print(json.dumps(scan(sys.argv[1:])))
