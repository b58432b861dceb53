"""Where the local cloud keeps things, and the names it gives to what the kernel shares between checkouts."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

#: All state of this checkout: the one ignored folder.
STATE = CHECKOUT / ".local"
#: The cloud's own state: API records, machines, databases, logs, pid files.
CLOUD = STATE / "cloud"
#: What a person at the operator's desk has: PULUMI_HOME, the file backend, the passphrase.
OPERATOR = STATE / "operator"
#: Commands that `bin/local` puts first on PATH.
TOOLS_BIN = STATE / "bin"

#: Built tools and images, shared by all checkouts, one folder per key of what they were made from.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "k3s-digitalocean"

#: Tells two checkouts on one machine apart; short, because interface names hold 15 characters.
CLOUD_ID = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:5]


def namespace(name: str) -> str:
    """The network namespace called `name` in this checkout's cloud, as under /run/netns."""
    return f"k3sdo-{CLOUD_ID}-{name}"
