"""Config as Pulumi hands it to the program: Pulumi.yaml's defaults, and what a stack sets over them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from k3s_cluster.settings import SECRET_KEYS, SettingsError, parse_settings

CHECKOUT = Path(__file__).resolve().parents[2]


def as_pulumi_holds(value: Any) -> str:
    """Config values reach the program as text: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def declared() -> dict[str, dict[str, Any]]:
    """The `config` of Pulumi.yaml."""
    config: dict[str, dict[str, Any]] = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())["config"]
    return config


def config(**changes: Any) -> dict[str, str]:
    """Every key at its default, with `changes` over it."""
    defaults = {key: entry["default"] for key, entry in declared().items()}
    return {key: as_pulumi_holds(value) for key, value in {**defaults, **changes}.items()}


def refusals(given: Mapping[str, str], secrets: Collection[str] = SECRET_KEYS) -> tuple[str, ...]:
    """Why these settings cannot be used, a line each; none where they can."""
    try:
        parse_settings(given, stack="dev", folder=CHECKOUT, secrets=secrets)
    except SettingsError as error:
        return error.problems
    return ()


def stack_config(stack: str) -> dict[str, str]:
    """The config of a stack whose file is in the repository."""
    of_stack = yaml.safe_load((CHECKOUT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return config(**{key.removeprefix("k3s-digitalocean:"): value for key, value in of_stack.items()})
