"""The rows of kine's one table, which is where K3s keeps everything on SQLite, Postgres and MySQL: pure."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from typing import NamedTuple

#: kine's columns, in its own order: github.com/k3s-io/kine, pkg/drivers/*/*.go ("schema").
COLUMNS = ("id", "name", "created", "deleted", "create_revision", "prev_revision", "lease", "value", "old_value")
#: The last word on each key, in SQL.
LAST = "SELECT name, deleted FROM kine WHERE id IN (SELECT max(id) FROM kine GROUP BY name)"
#: The database that kine takes where an endpoint names none: pkg/drivers/pgsql/pgsql.go, and mysql/mysql.go.
KINE_DATABASE = "kubernetes"

#: What the old cluster's machines said of themselves; on new machines it would stand for nodes that never come back.
#: kubernetes.io/docs: nodes and their leases, the API servers' own leases, CSI's view of a node; and K3s's node
#: passwords (docs.k3s.io/architecture, "How Agent Node Registration Works").
_OF_MACHINES = re.compile(
    r"/registry/(minions|csinodes|masterleases)/"
    r"|/registry/leases/kube-node-lease/"
    r"|/registry/secrets/kube-system/[^/]+\.node-password\.k3s$"
)
#: Where a Node object is kept.
NODES = "/registry/minions/"
_NODE_ARGUMENTS = re.compile(rb"\x0a\x10k3s\.io/node-args\x12")
_VERSION = re.compile(rb"v1\.\d+\.\d+(-rc\d+)?\+k3s\d+")


class Row(NamedTuple):
    """One revision of one key."""

    id: int
    name: str
    created: int | None
    deleted: int | None
    create_revision: int | None
    prev_revision: int | None
    lease: int | None
    value: bytes | None
    old_value: bytes | None


def to_line(row: Row) -> str:
    """A row as one line of JSON."""
    return json.dumps([*row[:7], _encoded(row.value), _encoded(row.old_value)], separators=(",", ":"))


def from_line(line: str | bytes) -> Row:
    """The row that `to_line` wrote."""
    fields = json.loads(line)
    return Row._make([*fields[:7], *map(_decoded, fields[7:])])


def belongs_to_a_machine(name: str) -> bool:
    """True for a key that means nothing without the machine it is about."""
    return bool(_OF_MACHINES.match(name))


def server_arguments(value: bytes) -> dict[str, str] | None:
    """What a server's K3s was started with, from its Node object as Kubernetes stores it (protobuf, a map's entry).

    None for any other object. Source: K3s's pkg/nodeconfig (`k3s.io/node-args`: a name and a value in turn).
    """
    found = _NODE_ARGUMENTS.search(value)
    if not found:
        return None
    # A varint: the length, seven bits a byte, the lowest first (protobuf.dev/programming-guides/encoding).
    length, shift, at = 0, 0, found.end()
    while at < len(value):
        byte = value[at]
        length, shift, at = length | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            break
    try:
        said = json.loads(value[at : at + length])
    except ValueError:
        return None
    if not isinstance(said, list) or said[:1] != ["server"]:
        return None
    return {
        name.removeprefix("--"): following
        for name, following in itertools.pairwise([*map(str, said), ""])
        if name.startswith("--")
    }


def kubelet_version(value: bytes) -> str | None:
    """The K3s version in a Node object as Kubernetes stores it."""
    found = _VERSION.search(value)
    return found.group().decode() if found else None


def bootstrap_key(token: str) -> str:
    """The key under which K3s keeps its certificate authorities, sealed with the server token.

    Source: K3s's pkg/cluster/storage.go and encrypt.go (storageKey, keyHash).
    """
    return "/bootstrap/" + hashlib.sha256(token.encode()).hexdigest()[:12]


def _encoded(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
