"""Starts one plugin: `python -P local_cloud/pulumi_plugins NAME [ENGINE_ADDRESS]`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

CHECKOUT = Path(__file__).resolve().parent.parent.parent

PLUGINS = ("language", "random", "digitalocean")


def import_only_the_protocol() -> None:
    """Make `pulumi.runtime.proto` importable without the rest of the SDK.

    The SDK's packages import all that programs need, 0.2 s in every plugin of every command; plugins need none of it.
    """
    spec = find_spec("pulumi")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for name, path in (("pulumi", folder), ("pulumi.runtime", f"{folder}/runtime")):
            package = ModuleType(name)
            package.__path__ = [path]
            sys.modules[name] = package


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in PLUGINS:
        print(f"usage: {Path(__file__).parent} {{{'|'.join(PLUGINS)}}} [ENGINE_ADDRESS]", file=sys.stderr)
        return 2
    # Last, so that nothing in the checkout hides a library; this folder itself must never be on the path.
    sys.path = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]
    sys.path.append(str(CHECKOUT))
    import_only_the_protocol()
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
