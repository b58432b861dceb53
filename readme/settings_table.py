"""README's settings table, made from Pulumi.yaml: `python -m readme.settings_table` (`make docs`) writes it anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from readme.made_part import README, with_part

BEGIN = "<!-- settings: made from Pulumi.yaml by `make docs` -->"
END = "<!-- /settings -->"


def declared() -> dict[str, dict[str, Any]]:
    """The `config` of Pulumi.yaml: type, default and description of every setting, by key."""
    config: dict[str, dict[str, Any]] = yaml.safe_load((README.parent / "Pulumi.yaml").read_text(encoding="utf-8"))[
        "config"
    ]
    return config


def table(config: Mapping[str, Mapping[str, Any]]) -> str:
    """One row for each setting, in Pulumi.yaml's order."""
    rows = ["| setting | default | |", "|---|---|---|"]
    rows += [
        f"| `{key}` | {_default(entry)} | {_cell(entry.get('description', ''))} |" for key, entry in config.items()
    ]
    return "\n".join(rows)


def _default(entry: Mapping[str, Any]) -> str:
    """As `pulumi config set` takes it; a default that is no value at all is left blank."""
    if "default" not in entry or entry["default"] == "":
        return ""
    default = entry["default"]
    return f"`{_cell(default if isinstance(default, str) else json.dumps(default))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    README.write_text(with_part(README.read_text(encoding="utf-8"), BEGIN, table(declared()), END), encoding="utf-8")
