"""What a machine was made of, kept beside its disk: for its metadata, and to boot it again without the API."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from local_cloud.machine_room import DropletSpec
from local_cloud.machines.machine import MACHINES


def save(spec: DropletSpec) -> None:
    """Keep `spec`, readable for root only: user data may hold anything."""
    file = _file(spec.id)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".new")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        output.write(to_json(spec))
    os.replace(unfinished, file)


def load(droplet_id: int) -> DropletSpec | None:
    """The spec of a droplet; None when there is no such machine."""
    try:
        return from_json(_file(droplet_id).read_text())
    except FileNotFoundError:
        return None


def all_records() -> Iterator[DropletSpec]:
    """Of all machines there are."""
    for file in sorted(MACHINES.glob("*/droplet.json")):
        try:
            yield from_json(file.read_text())
        except FileNotFoundError:
            continue  # destroyed in this moment


def to_json(spec: DropletSpec) -> str:
    return json.dumps(asdict(spec), default=str, indent=1)


def from_json(text: str) -> DropletSpec:
    fields = json.loads(text)
    for name in ("public_ip", "private_ip"):
        fields[name] = IPv4Address(fields[name])
    fields["vpc_range"] = IPv4Network(fields["vpc_range"])
    for name in ("ssh_public_keys", "tags"):
        fields[name] = tuple(fields[name])
    return DropletSpec(**fields)


def _file(droplet_id: int) -> Path:
    return MACHINES / str(droplet_id) / "droplet.json"
