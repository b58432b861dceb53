"""Where the local cloud keeps things, and the names it gives to what the kernel shares between checkouts."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

#: Tells the clouds of one checkout apart: tests run side by side, each worker on a cloud of its own. A person has one,
#: and it has no name.
NAME_VARIABLE = "LOCAL_CLOUD_NAME"
NAME = os.environ.get(NAME_VARIABLE, "")
if not re.fullmatch("[a-z0-9]*", NAME):
    raise SystemExit(f"{NAME_VARIABLE} is {NAME!r}: it takes small letters and digits")

#: What all clouds of this checkout share is in the one ignored folder, and so is all that each has of its own.
LOCAL = CHECKOUT / ".local"
#: Each named cloud's state, in a folder of its name; the unnamed one's is in LOCAL itself.
CLOUDS = LOCAL / "clouds"
STATE = CLOUDS / NAME if NAME else LOCAL
#: The cloud's own state: API records, machines, databases, logs, pid files.
CLOUD = STATE / "cloud"
#: What a person at the operator's desk has: PULUMI_HOME, the file backend, the passphrase.
OPERATOR = STATE / "operator"
#: Commands that `bin/local` puts first on PATH.
TOOLS_BIN = LOCAL / "bin"

#: Built tools and images, shared by all checkouts, one folder per key of what they were made from.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "k3s-digitalocean"

#: Tells two clouds on one machine apart; short, because interface names hold 15 characters. As bin/local has it.
CLOUD_ID = hashlib.sha256(f"{CHECKOUT}{'#' if NAME else ''}{NAME}".encode()).hexdigest()[:5]


def namespace(name: str) -> str:
    """The network namespace called `name` in this cloud, as under /run/netns."""
    return f"k3sdo-{CLOUD_ID}-{name}"
