"""What is installed beside an interpreter. Runs by itself in the project's interpreter: standard library only."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any


def installed_packages() -> list[dict[str, Any]]:
    """Name, version, and for Pulumi SDKs the contents of pulumi-plugin.json as `plugin` (else None), by name."""
    packages: dict[str, dict[str, Any]] = {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name and name.lower() not in packages:
            plugin = plugin_of(name, distribution)
            packages[name.lower()] = {"name": name, "version": distribution.version, "plugin": plugin}
    return [packages[name] for name in sorted(packages)]


def plugin_of(name: str, distribution: Distribution) -> dict[str, Any] | None:
    """An SDK says in its pulumi-plugin.json which plugin it talks to."""
    if not name.lower().startswith("pulumi") or name.lower() == "pulumi":
        return None
    file = Path(str(distribution.locate_file(f"{name.replace('-', '_')}/pulumi-plugin.json")))
    if not file.is_file():
        return None
    plugin: dict[str, Any] = json.loads(file.read_text())
    return plugin if plugin.get("resource") else None


if __name__ == "__main__":
    print(json.dumps(installed_packages()))
