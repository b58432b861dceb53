"""Starts one plugin: `python -P local_cloud/pulumi_plugins NAME [ENGINE_ADDRESS]`."""

from __future__ import annotations

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent

PLUGINS = ("language", "random", "digitalocean")


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in PLUGINS:
        print(f"usage: {Path(__file__).parent} {{{'|'.join(PLUGINS)}}} [ENGINE_ADDRESS]", file=sys.stderr)
        return 2
    # Last, so that nothing in the checkout hides a library; this folder itself must never be on the path.
    sys.path = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]
    sys.path.append(str(CHECKOUT))
    name, engine = arguments[0], next((word for word in arguments[1:] if not word.startswith("-")), "")
    if name == "language":
        from local_cloud.pulumi_plugins.language_host import serve_language_host

        serve_language_host(engine)
    elif name == "random":
        from local_cloud.pulumi_plugins.random_provider import serve_random

        serve_random(engine)
    else:
        from local_cloud.pulumi_plugins.digitalocean import serve_digitalocean

        serve_digitalocean(engine)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
