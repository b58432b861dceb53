"""YAML for programs written in Go: K3s, kubectl, Pulumi.

They read YAML 1.1 with parsers of their own, which take `0826`, `1234e5`, `y` or `1_0` for numbers and truth values
where Python's does not (github.com/kubernetes-sigs/yaml, goyaml.v2/resolve.go). So a text stands in quotes unless it
can be nothing else.
"""

from __future__ import annotations

import re

import yaml

#: Begins like a word or a path, and has nothing in it that means something in YAML.
_PLAIN = re.compile(r"[A-Za-z/_]([A-Za-z0-9./_@=+,:-]*[A-Za-z0-9./_@=+-])?")
#: Words that a reader of YAML 1.1 or 1.2 takes for something else, in any case.
_WORDS = frozenset(["y", "yes", "n", "no", "on", "off", "true", "false", "null", "nan", "inf"])


class _Dumper(yaml.SafeDumper):
    """Python's own, but for texts."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def dump(value: object, *, sort_keys: bool = False, flow: bool = False) -> str:
    """`value` as YAML, no line broken. `flow` writes it as JSON would stand, in one line."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=sort_keys, width=1_000_000, default_flow_style=flow)
    return text


def scalar(text: str) -> str:
    """A text as it stands behind a key."""
    return dump({"key": text}).removeprefix("key: ").rstrip("\n")
