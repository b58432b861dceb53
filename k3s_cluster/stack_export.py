"""Pulumi's own export of a stack's state, secrets in the clear: pure reading of `stack export --show-secrets`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: How Pulumi marks a secret in an export (pulumi.com/docs/iac/concepts/secrets); with --show-secrets the text is there.
_SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 - a marker


def outputs_of(export: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """Outputs and `id` of each resource whose type ends with `kind`, if it is there and not about to go."""
    return [
        {**{key: _plain(value) for key, value in (resource.get("outputs") or {}).items()}, "id": resource["id"]}
        for resource in (export.get("deployment") or {}).get("resources") or []
        if resource["type"].endswith(kind) and resource.get("id") and not resource.get("delete")
    ]


def _plain(value: Any) -> Any:
    """A secret's text, or the value itself."""
    if isinstance(value, dict) and _SECRET in value:
        return json.loads(value["plaintext"]) if "plaintext" in value else None
    return value
