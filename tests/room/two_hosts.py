"""Two hosts with a network of their own, for tests of what the kernel does between them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from local_cloud import paths

FIRST, SECOND = "10.9.9.1", "10.9.9.2"


def two_hosts() -> Iterator[tuple[str, str]]:
    """The names of two network namespaces, on one cable."""
    first, second = (paths.namespace(name) for name in ("first", "second"))
    commands = [
        ["ip", "netns", "add", first],
        ["ip", "netns", "add", second],
        ["ip", "link", "add", "eth1", "netns", first, "type", "veth", "peer", "name", "eth1", "netns", second],
    ]
    for host, address in ((first, FIRST), (second, SECOND)):
        commands += [
            ["ip", "-n", host, "address", "add", f"{address}/24", "dev", "eth1"],
            ["ip", "-n", host, "link", "set", "eth1", "up"],
            ["ip", "-n", host, "link", "set", "lo", "up"],
        ]
    try:
        for command in commands:
            subprocess.run(command, check=True)
        yield first, second
    finally:
        for host in (first, second):
            subprocess.run(["ip", "netns", "delete", host], check=False)
