"""What a server that has been Ready may not be changed to: compared with what it was brought to, never with a wish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k3s_cluster import immutable_settings, k3s_version
from k3s_cluster.k3s_config import read_config


def refusals(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Setting and reason for each thing that `news` may not do; both are the inputs of a server's Node.

    `olds` are those of the last change that came true, empty for a new one: Pulumi keeps no inputs of one that failed.
    """
    if not olds:
        return []
    step = (str(olds["k3s_version"]), str(news["k3s_version"]))
    reasons = [k3s_version.refusal(*step), k3s_version.etcd_refusal(*step) if news.get("etcd_member") else None]
    found = [("k3sVersion", reason) for reason in reasons if reason][:1]
    # Earlier commits noted them nowhere but in config.yaml.
    fixed = olds["fixed"] if "fixed" in olds else immutable_settings.of(read_config(olds.get("config")) or {})
    for key, was, will in immutable_settings.changes(fixed, news["fixed"]):
        reason = immutable_settings.REASONS[key]
        found.append((f"k3sServerConfig.{key}", f"cannot change from {was} to {will}: {reason}"))
    return found
