"""The rules for agent pools, and for the labels and taints that they bear."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from k3s_cluster.settings.numbers import whole
from k3s_cluster.settings.values import SLUG, Refused, entries_of, require_known

#: kubernetes.io/docs/concepts/overview/working-with-objects/labels ("Syntax and character set").
_LABEL_NAME = r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_LABEL_VALUE = r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
_TAINT = rf"{_LABEL_NAME}(={_LABEL_VALUE})?:(NoSchedule|PreferNoSchedule|NoExecute)"
#: What the kubelet keeps as it is (k8s.io/kubernetes, pkg/kubelet/kubelet_node_status.go, updateDefaultLabels), what
#: K3s gives to its nodes, and the roles by which it knows servers (docs.k3s.io/cli/server).
_TAKEN_LABELS = (
    *("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os"),
    *("beta.kubernetes.io/arch", "node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"),
    *("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master", "node-role.kubernetes.io/etcd"),
)
_POOL_KEYS = ("name", "count", "size", "image", "labels", "taints")


@dataclass(frozen=True)
class PoolEntry:
    """A pool as it is written; the image may be left to the stack's."""

    name: str
    count: int
    size: str
    image: str | None
    labels: tuple[tuple[str, str], ...]
    taints: tuple[str, ...]


def pools(raw: str) -> tuple[PoolEntry, ...]:
    entries = entries_of(raw, "a list of pools, each with name, count and size")
    pools = tuple(_pool(entry, index) for index, entry in enumerate(entries))
    names = [pool.name for pool in pools]
    for name in names:
        if names.count(name) > 1:
            raise Refused(f"has two pools called `{name}`; give each a name of its own")
    return pools


def _texts(labels: object) -> object:
    """Labels, with the texts of what `pulumi config set --path` took for a number or for `true`."""
    if not isinstance(labels, dict):
        return labels
    return {key: json.dumps(value) if isinstance(value, int) else value for key, value in labels.items()}


def _pool(entry: Mapping[str, object], index: int) -> PoolEntry:
    def refuse(key: str, allowed: str) -> Refused:
        if key not in entry:
            return Refused(f"has no {key} in pool {index + 1}, which must be {allowed}")
        return Refused(f"has `{entry.get(key)}` for {key} in pool {index + 1}, which must be {allowed}")

    require_known(entry, _POOL_KEYS, f"in pool {index + 1}")
    name, count, size, image = (entry.get(key) for key in ("name", "count", "size", "image"))
    if not isinstance(name, str) or not re.fullmatch(r"(?=.{1,20}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise refuse("name", "1 to 20 lower-case letters, digits and single dashes, beginning with a letter")
    if name in ("server", "agent"):
        raise refuse("name", "another word: `server` and `agent` are taken by serverCount and agentCount")
    # `pulumi config set --path` makes a number of digits, and a YAML file may have them in quotes.
    count = whole(count) if isinstance(count, str) else count
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 1000:
        raise refuse("count", "a whole number from 0 to 1000")
    if not isinstance(size, str) or not re.fullmatch(SLUG, size):
        raise refuse("size", "a droplet size's slug, such as `s-1vcpu-2gb`")
    image = str(image) if isinstance(image, int) and not isinstance(image, bool) else image
    if image is not None and (not isinstance(image, str) or not re.fullmatch(SLUG, image)):
        raise refuse("image", "an image's slug, such as `ubuntu-24-04-x64`, its number, or left out")
    labels, taints = _texts(entry.get("labels", {})), entry.get("taints", [])
    if not isinstance(labels, dict) or not all(
        re.fullmatch(_LABEL_NAME, key) and isinstance(value, str) and re.fullmatch(_LABEL_VALUE, value)
        for key, value in labels.items()
    ):
        raise refuse("labels", "a map of label names to texts; put a value in quotes")
    if taken := next((key for key in labels if key in _TAKEN_LABELS), None):
        raise Refused(
            f"has the label `{taken}` in pool {index + 1}, which Kubernetes sets itself; choose another name, such as "
            f"`{taken.rpartition('/')[2]}` alone"
        )
    if not isinstance(taints, list) or not all(isinstance(t, str) and re.fullmatch(_TAINT, t) for t in taints):
        raise refuse("taints", "a list of taints such as `dedicated=batch:NoSchedule`")
    effects = [(re.split("[=:]", taint)[0], taint.rpartition(":")[2]) for taint in taints]
    # k8s.io/kubernetes, pkg/apis/core/validation/validation.go, validateNodeTaints: the node would not register.
    for key, effect in effects:
        if effects.count((key, effect)) > 1:
            raise Refused(f"has two taints `{key}` with the effect {effect} in pool {index + 1}; Kubernetes takes one")
    return PoolEntry(name, count, size, image, tuple(sorted(labels.items())), tuple(sorted(taints)))
