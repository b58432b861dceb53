"""The secrets that a person at the operator's desk has: the API's token, the control key, Pulumi's passphrase."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from local_cloud import paths

TOKEN = paths.OPERATOR / "token"
CONTROL_KEY = paths.CLOUD / "control.key"
PASSPHRASE = paths.OPERATOR / "passphrase"


def token() -> str:
    """The API token, in the form that DigitalOcean gives its personal access tokens; made at the first call."""
    return _kept(TOKEN, lambda: f"dop_v1_{secrets.token_hex(32)}")


def control_key() -> str:
    """The key of the API's control paths, for this machine's root only; made at the first call."""
    return _kept(CONTROL_KEY, lambda: secrets.token_hex(32))


def passphrase() -> str:
    """What Pulumi's file backend encrypts secrets with.

    It is the same in every checkout, so that Pulumi.local.yaml, which holds a salt made for it, can be committed; the
    state that it encrypts lies in a folder that only its owner can enter.
    """
    return _kept(PASSPHRASE, lambda: "local")


def _kept(file: Path, make: Callable[[], str]) -> str:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(file.name + ".new")
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
            output.write(make() + "\n")
        os.replace(unfinished, file)
    return file.read_text().strip()
