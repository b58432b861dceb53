"""Which UDP ports a packet gets to, and its answer back from: UDP itself says nothing of a port.

`python3 udp_echo.py answer PORT...` answers on the ports, for two minutes at most, and says `ready` first.
`python3 udp_echo.py ask PORT... -- ADDRESS...` prints as JSON which ports of which address answered.
It needs nothing but Python's own library, so that it can be piped into a droplet.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

ANSWER_SECONDS = 120
#: Long enough for a packet that goes through; each is sent three times, because UDP may lose one.
PATIENCE = 1.5
TIMES = 3


def answer(ports: list[int]) -> None:
    sockets = []
    for port in ports:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("0.0.0.0", port))
        sockets.append(one)
    print("ready", flush=True)
    until = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < until:
        for one in select.select(sockets, [], [], 1)[0]:
            text, sender = one.recvfrom(64)
            one.sendto(text, sender)


def ask(ports: list[int], addresses: list[str]) -> dict[str, list[int]]:
    found: dict[str, set[int]] = {address: set() for address in addresses}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        for _ in range(TIMES):
            for address in addresses:
                for port in ports:
                    one.sendto(b"k3s", (address, port))
        until = time.monotonic() + PATIENCE
        while (left := until - time.monotonic()) > 0:
            if select.select([one], [], [], left)[0]:
                _, (address, port) = one.recvfrom(64)
                found[address].add(port)
    return {address: sorted(seen) for address, seen in found.items()}


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "answer":
        answer([int(port) for port in rest])
    else:
        middle = rest.index("--")
        print(json.dumps(ask([int(port) for port in rest[:middle]], rest[middle + 1 :])))
