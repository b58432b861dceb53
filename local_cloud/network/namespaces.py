"""Hosts as network namespaces, each wired by veth pairs to the one backbone namespace that routes between them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Final, Literal, TypeVar

from local_cloud import addresses, paths
from local_cloud.commands import run
from local_cloud.machine_room import MachineRoomError

NAMESPACES = Path("/run/netns")
#: linux/sched.h; Python has it from 3.12 on.
CLONE_NEWNET: Final = 0x40000000
BACKBONE = paths.namespace("net")
OPERATOR = paths.namespace("operator")
OUTSIDER = paths.namespace("outsider")

#: The backbone's ends of the cables carry the kind of the link in their first letter; the firewall tells them by it.
PUBLIC_PREFIX: Final = "p"
PRIVATE_PREFIX: Final = "v"
PERSON_PREFIX: Final = "h"

#: RFC 1918: what a VPC may use; such an address is reached from its own VPC and from nowhere else.
PRIVATE_RANGES = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))


Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Link:
    """One interface of a host: its name there, its address with prefix length, and the router it sees on it."""

    interface: Literal["eth0", "eth1"]
    kind: Literal["p", "v", "h"]
    address: IPv4Interface
    gateway: IPv4Address
    is_default: bool

    @property
    def backbone_interface(self) -> str:
        """The other end's name: unique, because an address is given once."""
        return f"{self.kind}{int(self.address.ip):08x}"


def public_link(address: IPv4Address) -> Link:
    """eth0 of a droplet, database or load balancer."""
    interface = IPv4Interface(f"{address}/{addresses.PUBLIC.prefixlen}")
    return Link("eth0", PUBLIC_PREFIX, interface, addresses.PUBLIC_GATEWAY, is_default=True)


def private_link(address: IPv4Address, vpc: IPv4Network) -> Link:
    """eth1, in the VPC. The VPC's first address is its gateway, as on DigitalOcean."""
    return Link("eth1", PRIVATE_PREFIX, IPv4Interface(f"{address}/{vpc.prefixlen}"), vpc[1], is_default=False)


def person_link(address: IPv4Address) -> Link:
    """eth0 of somebody on the internet."""
    interface = IPv4Interface(f"{address}/{addresses.PEOPLE.prefixlen}")
    return Link("eth0", PERSON_PREFIX, interface, addresses.PEOPLE[1], is_default=True)


def exists(namespace: str) -> bool:
    return (NAMESPACES / namespace).exists()


def ours() -> list[str]:
    """All namespaces of this checkout's cloud."""
    prefix = paths.namespace("")
    if not NAMESPACES.is_dir():
        return []
    return sorted(entry.name for entry in NAMESPACES.iterdir() if entry.name.startswith(prefix))


def inside(namespace: str) -> list[str]:
    """The words before a command that make it run in the namespace."""
    return ["nsenter", f"--net={NAMESPACES / namespace}", "--"]


def call_inside(namespace: str, do: Callable[[], Answer]) -> Answer:
    """What `do` returns in a thread of its own, whose network is the namespace's. OSError if it cannot be entered."""

    def enter_and_do() -> Answer:
        with (NAMESPACES / namespace).open() as there:
            # setns(2) moves this thread alone.
            if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), namespace)
        return do()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(enter_and_do).result()


def ensure_backbone() -> None:
    """The router: knows every host by one route, and has the cloud's own service addresses on its loopback."""
    if not exists(BACKBONE):
        _add(BACKBONE)
    settings = [
        "net.ipv4.ip_forward=1",
        # Interfaces made later take these: answer for every host behind another cable, and believe a source
        # address only on the cable that its route points to.
        "net.ipv4.conf.default.proxy_arp=1",
        "net.ipv4.conf.default.rp_filter=1",
        "net.ipv4.conf.all.rp_filter=1",
        "net.ipv4.conf.all.send_redirects=0",
        "net.ipv4.conf.default.send_redirects=0",
        "net.ipv6.conf.all.disable_ipv6=1",
        "net.ipv6.conf.default.disable_ipv6=1",
    ]
    run([*inside(BACKBONE), "sysctl", "-q", *settings])
    # Where nobody is, nobody answers: not even with an error, as on a real network when a host is dead.
    silent = (addresses.PUBLIC, addresses.RESERVED, *PRIVATE_RANGES)
    batch(BACKBONE, ["link set lo up", *(f"route replace blackhole {network}" for network in silent)])
    services = (
        addresses.API,
        addresses.K3S_DOWNLOADS,
        *addresses.SPACES.hosts(),
        *addresses.RESOLVERS,
        addresses.METADATA,
    )
    batch(BACKBONE, [*(f"addr replace {service}/32 dev lo" for service in services)])


def ensure_host(namespace: str, links: tuple[Link, ...]) -> None:
    """A host's namespace with its interfaces, plugged in. What is there already is left as it is."""
    if not exists(namespace):
        _add(namespace)
        run([*inside(namespace), "sysctl", "-q", "net.ipv6.conf.all.disable_ipv6=1"])
        run([*inside(namespace), "sysctl", "-q", "net.ipv6.conf.default.disable_ipv6=1"])
        batch(namespace, ["link set lo up"])
    present = run(["ip", "-n", namespace, "-o", "link", "show"])
    for link in links:
        if f" {link.interface}@" not in present:
            batch(
                namespace,
                [
                    f"link add {link.interface} type veth peer name {link.backbone_interface} netns {BACKBONE}",
                    f"addr add {link.address} brd + dev {link.interface}",
                    f"link set {link.interface} up",
                ],
            )
            # Sees the gateway only after the other end has it.
            plug(link)
            if link.is_default:
                batch(namespace, [f"route replace default via {link.gateway} dev {link.interface}"])


def plug(link: Link) -> None:
    """Bring the backbone's end of the cable up, with the route to the host behind it."""
    device = link.backbone_interface
    batch(
        BACKBONE,
        [
            f"addr replace {link.gateway}/32 dev {device}",
            f"link set {device} up",
            f"route replace {link.address.ip}/32 dev {device} src {link.gateway}",
        ],
    )
    # Proxied answers would otherwise wait up to 0.8 s: arp(7), proxy_delay.
    run([*inside(BACKBONE), "sysctl", "-q", f"net.ipv4.neigh.{device}.proxy_delay=0"])


def unplug(link: Link) -> None:
    """Pull the cable: the host sees no carrier on the interface."""
    batch(BACKBONE, [f"link set {link.backbone_interface} down"])


def remove(namespace: str) -> None:
    """Remove a namespace; its cables go with it. One that is gone is no error."""
    if exists(namespace):
        # Its interfaces live on while any process does: take them away first, so that the addresses are free now.
        present = run(["ip", "-n", namespace, "-o", "link", "show", "type", "veth"])
        names = [line.split(": ")[1].split("@")[0] for line in present.splitlines()]
        batch(namespace, [f"link del {name}" for name in names])
        run(["ip", "netns", "del", namespace])


def batch(namespace: str, commands: list[str]) -> None:
    """Run several `ip` commands in one process, in a namespace."""
    if commands:
        run(["ip", "-n", namespace, "-batch", "-"], stdin="\n".join(commands) + "\n")


def _add(namespace: str) -> None:
    try:
        run(["ip", "netns", "add", namespace])
    except MachineRoomError:
        # Somebody else may have made it in the same moment.
        if not exists(namespace):
            raise
