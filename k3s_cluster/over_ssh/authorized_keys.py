"""Who may log in to a node by SSH: the stack's keys are kept there, those of others are left alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from k3s_cluster.over_ssh.connection import Connection

#: Source of place and form: sshd(8), "AUTHORIZED_KEYS FILE FORMAT".
AUTHORIZED_KEYS_PATH = "/root/.ssh/authorized_keys"
#: The stack's keys that may be in that file, those of an interrupted run too: what is listed can be taken out.
OWN_KEYS_PATH = "/etc/rancher/node/authorized-keys"

#: Every key begins with the length of its kind's name, so with AAAA: RFC 4253, section 6.6.
_KEY = re.compile(r"(?:^|\s)(?:ssh|ecdsa|sk)-[a-zA-Z0-9@.-]+\s+(AAAA[A-Za-z0-9+/]+)")


def keep(node: Connection, wanted: Sequence[str]) -> None:
    """Let in the `wanted` public keys, and no longer those that the stack wanted before."""
    text, listed = node.read_file(AUTHORIZED_KEYS_PATH) or "", node.read_file(OWN_KEYS_PATH)
    # The first time all keys are the stack's: its droplet was made with them.
    before = (text if listed is None else listed).splitlines()
    kept, own = merged(text, wanted, before), merged("", wanted, ())
    if kept != text:
        node.write_file(OWN_KEYS_PATH, merged("", [*wanted, *before], ()))
        node.write_file(AUTHORIZED_KEYS_PATH, kept)
    if own != listed:
        node.write_file(OWN_KEYS_PATH, own)


def found(node: Connection, wanted: Iterable[str]) -> list[str]:
    """Those of `wanted` that the node lets in."""
    there = {_identity(line) for line in (node.read_file(AUTHORIZED_KEYS_PATH) or "").splitlines()}
    return [key for key in wanted if _identity(key) in there]


def merged(text: str, wanted: Sequence[str], before: Sequence[str]) -> str:
    """The file `text` with all `wanted` keys and none that was wanted `before` alone; other lines stay as they are.

    Keys are compared without their comments and options.
    """
    identities = {_identity(key) for key in wanted}
    unwanted = {_identity(key) for key in before} - identities - {None}
    lines = [line for line in text.splitlines() if _identity(line) not in unwanted]
    there = {_identity(line) for line in lines}
    for key in wanted:
        if _identity(key) and _identity(key) not in there:
            lines.append(key.strip())
            there.add(_identity(key))
    return "".join(f"{line}\n" for line in lines)


def _identity(line: str) -> str | None:
    """The key itself in a line of the file, or in a public key; None where there is none."""
    key = None if line.lstrip().startswith("#") else _KEY.search(line)
    return key.group(1) if key else None
