"""The name of a droplet and of its node: drawn anew until no other droplet has it.

Two random bytes alone (the plugin's RandomId) come twice among 50 agents in one stack of fifty, and the second node
would take the first one's place in the cluster. DigitalOcean itself takes droplets of equal names.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource

from k3s_cluster.account.provider import AccountProvider

ID_BYTES = 2
DRAWS_AT_MOST = 100

#: All droplets of a run are named by one process: names that have no droplet yet.
_given: set[str] = set()
_giving = threading.Lock()


class NoName(Exception):
    """There is no name: the message says why."""


class MachineNameProvider(AccountProvider):
    """Draws `name`, which begins with `beginning`. It stays until anything in `keepers` changes."""

    failure = NoName

    def create(self, props: dict[str, Any]) -> CreateResult:
        name = draw(props["beginning"], self._is_taken)
        return CreateResult(name, {**props, "name": name})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        replaces = [key for key in ("beginning", "keepers") if (olds.get(key) or None) != (news.get(key) or None)]
        return DiffResult(changes=bool(replaces), replaces=replaces)

    def _is_taken(self, name: str) -> bool:
        answer = self._insist("GET", f"/v2/droplets?name={name}", what="a name")
        return bool(answer.body.get("droplets"))


def draw(beginning: str, is_taken: Callable[[str], bool], random: Callable[[int], str] = secrets.token_hex) -> str:
    """`beginning` and four hexadecimal digits that neither a droplet of the account nor one of this run has."""
    for _ in range(DRAWS_AT_MOST):
        name = beginning + random(ID_BYTES)
        with _giving:
            if name in _given:
                continue
            _given.add(name)
        if not is_taken(name):
            return name
    raise NoName(f"no name that begins with {beginning} was free in {DRAWS_AT_MOST} draws")


class MachineName(Resource, module="cloud", name="MachineName"):
    """A name that no other droplet has when this resource is made."""

    name: pulumi.Output[str]

    def __init__(self, name: str, beginning: str, keepers: dict[str, str] | None, opts: pulumi.ResourceOptions) -> None:
        super().__init__(MachineNameProvider(), name, {"beginning": beginning, "keepers": keepers, "name": None}, opts)
