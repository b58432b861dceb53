"""Rewriting of a kubeconfig: pure."""

from __future__ import annotations

from typing import Any

import yaml


def rewrite(kubeconfig: str, server: str, name: str) -> str:
    """K3s's own kubeconfig, pointed at `server` (a URL), with `name` for its cluster, user and context."""
    config: dict[str, Any] = yaml.safe_load(kubeconfig)
    (cluster,) = config["clusters"]
    (user,) = config["users"]
    (context,) = config["contexts"]
    cluster["name"] = user["name"] = context["name"] = config["current-context"] = name
    cluster["cluster"]["server"] = server
    context["context"] |= {"cluster": name, "user": name}
    return yaml.safe_dump(config, sort_keys=False)
