"""Access keys of Spaces. Each is good for every bucket of every region, like DigitalOcean's keys with full access.

They are accounts in the file that versitygw reads them from (its "internal" IAM service), at each request anew.
"""

from __future__ import annotations

import json
import os
import secrets
import string
from dataclasses import dataclass, field
from pathlib import Path

from local_cloud.machine_room import MachineRoomError

FILE = "users.json"
#: Lengths as DigitalOcean has them.
_ID_LENGTH, _SECRET_BYTES = 16, 32


@dataclass(frozen=True)
class AccessKey:
    """What requests are signed with: the key's id, which they name, and its secret."""

    id: str
    secret: str = field(repr=False)


def make(folder: Path) -> AccessKey:
    """A new key, good from now on for the stores whose accounts are in `folder`."""
    alphabet = string.ascii_uppercase + string.digits
    key = AccessKey(
        "DO00" + "".join(secrets.choice(alphabet) for _ in range(_ID_LENGTH)), secrets.token_urlsafe(_SECRET_BYTES)
    )
    _write(folder, {**_read(folder), key.id: {"access": key.id, "secret": key.secret, "role": "admin"}})
    return key


def revoke(folder: Path, key_id: str) -> None:
    """Let the key be refused from now on. MachineRoomError when there is no such key."""
    accounts = _read(folder)
    if key_id not in accounts:
        raise MachineRoomError(f"there is no access key {key_id}")
    _write(folder, {name: account for name, account in accounts.items() if name != key_id})


def _read(folder: Path) -> dict[str, dict[str, str]]:
    try:
        accounts: dict[str, dict[str, str]] = json.loads((folder / FILE).read_text())["accessAccounts"]
    except FileNotFoundError:
        return {}
    return accounts


def _write(folder: Path, accounts: dict[str, dict[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = folder / f"{FILE}.new"
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"accessAccounts": accounts}, file)
    os.replace(unfinished, folder / FILE)
