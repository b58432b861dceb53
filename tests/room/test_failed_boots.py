"""A machine that does not boot is an error at once, which says why: with systemd-nspawn, and disks that cannot boot."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from local_cloud.machine_room import MachineRoomError
from local_cloud.machines import records
from local_cloud.machines.image import ensure_image
from local_cloud.machines.machine import Machine
from tests.room.conftest import CHECKOUT, Landscape, api, eventually

pytestmark = pytest.mark.e2e

#: Where systemd-nspawn looks for a machine's init first: systemd-nspawn(1), --boot.
INIT = "usr/lib/systemd/systemd"
PANIC = "#!/bin/sh\necho 'Kernel panic - not syncing: no working init'\nexit 1\n"
HANG = "#!/bin/sh\necho 'A start job is running for a disk that is not there'\nexec sleep 1000\n"


def local_cloud(*words: str) -> str:
    done = subprocess.run([str(CHECKOUT / "bin/local-cloud"), *words], check=True, capture_output=True, text=True)
    return done.stdout


def make_disk(machine: Machine, init: str) -> None:
    """The disk of a droplet that is yet to be made, with another init on it."""
    file = machine.folder / "upper" / INIT
    for folder in (machine.folder / "work", machine.folder / "root", file.parent):
        folder.mkdir(parents=True)
    file.write_text(init)
    file.chmod(0o755)


def rent(landscape: Landscape, name: str) -> dict[str, int]:
    """Ids of a new droplet beside the others, and of the action that makes it."""
    vpc = api("GET", f"droplets/{landscape.first.id}")["droplet"]["vpc_uuid"]
    body = {"name": name, "region": "fra1", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "vpc_uuid": vpc}
    made = api("POST", "droplets", body)
    return {"droplet": made["droplet"]["id"], "action": made["links"]["actions"][0]["id"]}


@pytest.fixture
def broken(landscape: Landscape) -> Iterator[dict[str, int]]:
    """A droplet whose disk cannot boot. Numbers go up by one, so that its disk can be there before it."""
    before = rent(landscape, "room-before")["droplet"]
    api("DELETE", f"droplets/{before}")
    make_disk(Machine(before + 1), PANIC)
    made = rent(landscape, "room-broken")
    assert made["droplet"] == before + 1
    yield made
    api("DELETE", f"droplets/{made['droplet']}")
    eventually(lambda: not Machine(before + 1).folder.exists(), 20, "the droplet goes like any other")


def test_a_droplet_whose_machine_ends_is_an_error_at_once(broken: dict[str, int]) -> None:
    def action() -> str:
        return str(api("GET", f"actions/{broken['action']}")["action"]["status"])

    eventually(lambda: action() != "in-progress", 30, "the action ends")
    assert action() == "errored"
    droplet = api("GET", f"droplets/{broken['droplet']}")["droplet"]
    assert (droplet["status"], droplet["locked"]) == ("off", False)
    (shown,) = [part for part in local_cloud("status").split("droplet   ") if part.startswith("room-broken")]
    for text in (shown, local_cloud("log", "daemon")):
        assert "ended while it booted" in text
        assert "Kernel panic - not syncing: no working init" in text


def test_a_machine_that_hangs_is_given_up_and_one_that_boots_clears_the_failure(landscape: Landscape) -> None:
    neighbour = records.load(landscape.first.id)
    assert neighbour is not None
    # Beside the API: a limit of a second, where the cloud has two minutes.
    machine = Machine(990_000 + os.getpid() % 10_000)
    public, private = IPv4Address("203.0.113.250"), neighbour.vpc_range[-5]
    spec = replace(neighbour, id=machine.id, name="room-hanging", public_ip=public, private_ip=private)
    image = ensure_image(print)
    make_disk(machine, HANG)
    try:
        machine.boot(spec, image)
        # How soon it says so is not what is tested.
        until = time.monotonic() + 30
        while "start job" not in machine.console_log.read_text(errors="replace") and time.monotonic() < until:
            time.sleep(0.05)
        with pytest.raises(MachineRoomError, match=r"had not booted after 1 s(.|\n)*A start job is running for a disk"):
            machine.await_boot(1)
        assert machine.boot_failure.exists()
        machine.cut_power(spec)
        (machine.folder / "upper" / INIT).unlink()
        machine.boot(spec, image)
        machine.await_boot(30)
        assert not machine.boot_failure.exists()
        assert is_systemd(machine)
        # Later it may lose what told that it had booted: it is not given up for that.
        Path(f"/proc/{machine.init_pid()}/root/run/dbus/system_bus_socket").unlink()
        machine.await_boot(0)
    finally:
        machine.destroy()


def is_systemd(machine: Machine) -> bool:
    return Path(f"/proc/{machine.init_pid()}/comm").read_text() == "systemd\n"
