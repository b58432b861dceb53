"""Rewriting and merging of kubeconfigs: pure. Texts in, texts out.

Merging edits the text where it can, so that comments, order and layout of what is not ours stay as they are. Where
a file is laid out so that this cannot be done (a flow list such as `contexts: [{...}]`), it is written anew: then every
value is kept, and comments and layout are not.
"""

from __future__ import annotations

from typing import Any

import yaml

from k3s_cluster import go_yaml

LISTS = ("clusters", "contexts", "users")
#: kubernetes.io/docs/reference/config-api/kubeconfig.v1 ("extensions"): kubectl keeps it, and reads nothing from it.
EXTENSION = "k3s-digitalocean"

Config = dict[str, Any]


class KubeconfigError(Exception):
    """A kubeconfig that cannot be merged into: the message says why, and what to do."""


def rewrite(kubeconfig: str, server: str, name: str, owner: str) -> str:
    """K3s's own kubeconfig, pointed at `server` (a URL), with `name` for its cluster, user and context.

    The context is marked as `owner`'s.
    """
    config: dict[str, Any] = yaml.safe_load(kubeconfig)
    (cluster,) = config["clusters"]
    (user,) = config["users"]
    (context,) = config["contexts"]
    cluster["name"] = user["name"] = context["name"] = config["current-context"] = name
    cluster["cluster"]["server"] = server
    context["context"] |= {"cluster": name, "user": name, "extensions": [_mark(owner)]}
    return go_yaml.dump(config)


def owner_of(project: str, stack: str) -> str:
    """What marks a context as a stack's."""
    return f"{project}/{stack}"


def merge(text: str, own: str, owner: str) -> str:
    """The kubeconfig `text` with the one context of `own`, which is marked as `owner`'s; ours of before is replaced.

    The current context stays; only where there is none, ours becomes it. KubeconfigError if `text` is no kubeconfig, or
    has a context, cluster or user of that name that is not `owner`'s.
    """
    before, added = _parse(text), _parse(own)
    name = added["current-context"]
    refuse_taken_name(text, name, owner)
    for context in added["contexts"]:
        context["context"]["extensions"] = [_mark(owner)]
    wanted = _without(before, name)
    for key in LISTS:
        wanted[key] = [*(wanted.get(key) or []), *added[key]]
    edited = _cut(text, before, name) if _owner(before, name) else text
    for key in LISTS:
        edited = _append(edited, key, added[key])
    if not wanted.get("current-context"):
        wanted["current-context"] = name
        edited = _set_current(edited, name)
    for key, value in {"apiVersion": "v1", "kind": "Config"}.items():
        if key not in wanted:
            wanted[key] = value
            edited += f"{key}: {value}\n"
    return _checked(edited, wanted)


def unmerge(text: str, name: str, owner: str) -> str:
    """The kubeconfig `text` without `owner`'s context of that name; `text` itself if it has none."""
    before = _parse(text)
    if _owner(before, name) != owner:
        return text
    wanted, edited = _without(before, name), _cut(text, before, name)
    if wanted.get("current-context") == name:
        wanted["current-context"] = ""
        edited = _set_current(edited, "")
    return _checked(edited, wanted)


def is_one(text: str) -> bool:
    """Whether `text` is a kubeconfig, an empty one too."""
    try:
        config = _parse(text)
    except KubeconfigError:
        return False
    return not config or config.get("kind") == "Config" or any(key in config for key in LISTS)


def refuse_foreign(text: str, owner: str) -> None:
    """Raise KubeconfigError if `text` is neither empty nor a kubeconfig with one context, which `owner` wrote.

    What a person may have changed in it (the context's name or namespace, the layout) is ours to write again.
    """
    if not text.strip():
        return
    try:
        config = _parse(text)
    except KubeconfigError:
        config = {}
    contexts = config.get("contexts") or []
    if not any(_owner(config, context.get("name")) == owner for context in contexts):
        raise KubeconfigError("it is there, and this stack did not write it")
    if any(len(config.get(key) or []) > 1 for key in LISTS):
        raise KubeconfigError("it holds more than this stack's context")


def refuse_taken_name(text: str, name: str, owner: str) -> None:
    """Raise KubeconfigError if `text` is no kubeconfig, or has something called `name` that is not `owner`'s."""
    config = _parse(text)
    taken = [key for key in LISTS if any(entry.get("name") == name for entry in config.get(key) or [])]
    if taken and _owner(config, name) != owner:
        kinds = " and ".join(key.removesuffix("s") for key in taken)
        raise KubeconfigError(
            f"it has a {kinds} called `{name}` already, which is not this stack's. Rename it there (`kubectl config "
            f"rename-context {name} OTHER` for a context), or set kubeconfigMerge to `false`"
        )


def _parse(text: str) -> Config:
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise KubeconfigError(f"it is not YAML ({' '.join(str(error).split())}); mend it, or move it away") from None
    if config is None:
        return {}
    lists = [config.get(key) or [] for key in LISTS] if isinstance(config, dict) else [None]
    if not all(isinstance(entries, list) and all(isinstance(e, dict) for e in entries) for entries in lists):
        raise KubeconfigError("it is YAML, and no kubeconfig; mend it, or move it away")
    return dict(config)


def _mark(owner: str) -> Config:
    return {"name": EXTENSION, "extension": {"owner": owner}}


def _owner(config: Config, name: object) -> str | None:
    """Whose the context called `name` is; None if there is none, or it was not written by us."""
    for entry in config.get("contexts") or []:
        context = entry.get("context")
        extensions = context.get("extensions") if isinstance(context, dict) else None
        if entry.get("name") != name or not isinstance(extensions, list):
            continue
        for extension in extensions:
            match extension:
                case {"name": str(kind), "extension": {"owner": owner}} if kind == EXTENSION:
                    return str(owner)
    return None


def _without(config: Config, name: str) -> Config:
    kept = {key: [e for e in config[key] if e.get("name") != name] for key in LISTS if config.get(key) is not None}
    return {**config, **kept}


def _checked(edited: str, wanted: Config) -> str:
    """`edited` if it says `wanted`, otherwise `wanted` written anew."""

    def content(config: Config) -> Config:
        return {**config, **{key: config.get(key) or [] for key in LISTS}}

    try:
        if content(_parse(edited)) == content(wanted):
            return edited
    except KubeconfigError:
        pass
    return go_yaml.dump(wanted)


def _node(text: str, key: str) -> yaml.Node | None:
    """The value of a key at the top, with its place in the text."""
    top = yaml.compose(text, Loader=yaml.SafeLoader)
    if isinstance(top, yaml.MappingNode):
        for name, value in top.value:
            if name.value == key:
                return value  # type: ignore[no-any-return]
    return None


def _last_line(node: yaml.Node) -> int:
    """The last line of a node's content; its own end mark is behind comments that may belong to what follows."""
    if isinstance(node, yaml.MappingNode):
        return max((_last_line(part) for pair in node.value for part in pair), default=node.start_mark.line)
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        return max((_last_line(part) for part in node.value), default=node.start_mark.line)
    # An empty scalar ends where the next token begins.
    return node.end_mark.line if node.end_mark.column else max(node.start_mark.line, node.end_mark.line - 1)


def _cut(text: str, config: Config, name: str) -> str:
    """`text` without the lines of the entries called `name`."""
    lines = text.splitlines(keepends=True)
    for key in LISTS:
        node = _node(text, key)
        if not isinstance(node, yaml.SequenceNode) or node.flow_style:
            continue
        for entry, item in zip(config[key], node.value, strict=True):
            if entry.get("name") == name:
                span = range(item.start_mark.line, _last_line(item) + 1)
                for line in span:
                    lines[line] = ""
        if not any(e.get("name") != name for e in config[key]):
            # What is left of a list that was only ours is `key:`, which is null.
            lines[node.start_mark.line - 1] = f"{key}: []\n"
    return "".join(lines)


def _append(text: str, key: str, entries: list[Config]) -> str:
    """`text` with `entries` after the last one of the list `key`."""
    if text and not text.endswith("\n"):
        text += "\n"
    node = _node(text, key)
    block = go_yaml.dump(entries)
    if node is None:
        return f"{text}{key}:\n{block}"
    lines = text.splitlines(keepends=True)
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        indent = " " * node.start_mark.column
        lines.insert(_last_line(node) + 1, "".join(indent + line for line in block.splitlines(keepends=True)))
    elif not getattr(node, "value", None) or node.value == "null":
        lines[node.start_mark.line] = f"{key}:\n{block}"
    return "".join(lines)


def _set_current(text: str, name: str) -> str:
    lines = text.splitlines(keepends=True)
    line = f"current-context: {go_yaml.scalar(name)}\n"
    node = _node(text, "current-context")
    if node is None:
        return f"{text}{line}"
    lines[node.start_mark.line] = line
    return "".join(lines)
