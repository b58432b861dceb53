"""Takes a node's secrets out of what is quoted from its journal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

#: Keys of config.yaml whose values are secrets (docs.k3s.io/cli/server); agents have the first.
_SECRETS = ("token", "agent-token", "datastore-endpoint", "etcd-s3-access-key", "etcd-s3-secret-key")
PLACEHOLDER = "[secret]"
#: Shorter parts of a password are words of every log.
_SHORTEST = 4


def redacted(text: str, config: Mapping[str, object]) -> str:
    """`text` without the secrets in `config`, a node's config.yaml, and without user and password of any URL."""
    for secret in sorted(set(_secrets(config)), key=len, reverse=True):
        text = text.replace(secret, PLACEHOLDER)
    return re.sub(r"(?<=://)[^\s@/\"']+(?=@)", PLACEHOLDER, text)


def _secrets(config: Mapping[str, object]) -> Iterator[str]:
    for key in _SECRETS:
        value = str(config.get(key) or "")
        if not value:
            continue
        yield value
        if key == "datastore-endpoint":
            password = value.partition("://")[2].rpartition("@")[0].partition(":")[2]
            # A parser that fails on an endpoint quotes it up to there: pkg.go.dev/net/url, Parse.
            query = [found[1] for found in re.finditer(r"[?&]password=([^&]+)", value)]
            whole = (password, *query)
            parts = {*whole, *map(unquote, whole), *re.split(r"[#?/%@:]", password)}
            yield from (part for part in parts if len(part) >= _SHORTEST)
