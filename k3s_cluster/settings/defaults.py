"""What each setting is when nobody sets it, for programs other than this project's own.

In this project Pulumi fills the defaults in; there is one place where they are written, Pulumi.yaml, and a link to it
lies beside this module so that it goes where the package goes.
"""

from __future__ import annotations

import json
from pathlib import Path

import yaml

DECLARED = Path(__file__).with_name("Pulumi.yaml")


def defaults() -> dict[str, str]:
    """Every key at its default, as Pulumi holds config."""
    declared = yaml.safe_load(DECLARED.read_text(encoding="utf-8"))["config"]
    return {key: as_pulumi_holds(entry["default"]) for key, entry in declared.items() if "default" in entry}


def as_pulumi_holds(value: object) -> str:
    """Texts as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
