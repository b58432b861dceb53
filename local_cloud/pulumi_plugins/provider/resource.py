"""What a plugin says about one kind of resource, or one function."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar

from local_cloud.pulumi_plugins.provider.properties import Properties

State = dict[str, Any]
T = TypeVar("T")

FIRST_POLL_SECONDS = 0.25
LAST_POLL_SECONDS = 5.0
PROGRESS_SECONDS = 2.0


class ProviderError(Exception):
    """Something failed; the message is for the person who runs `pulumi`."""


class Cancelled(ProviderError):
    """The engine asked to stop waiting."""


class Call:
    """One call of the engine: says what goes on, and waits in a way that can be cancelled."""

    def __init__(self, say: Callable[[str], None], cancelled: threading.Event, timeout: float, locks: Locks) -> None:
        self.say = say
        self.cancelled = cancelled
        #: The program's own limit in seconds (customTimeouts), or 0.
        self.timeout = timeout
        self.locks = locks

    def wait_until(self, what: str, probe: Callable[[], T | None], seconds: float) -> T:
        """Call `probe` until it gives something, every 0.25 s at first and every 5 s at last, and return that.

        Raises `ProviderError` after the program's own timeout or `seconds`, and `Cancelled`.
        """
        limit = self.timeout or seconds
        started = said = time.monotonic()
        pause = FIRST_POLL_SECONDS
        while True:
            if (found := probe()) is not None:
                return found
            now = time.monotonic()
            if now - started + pause > limit:
                raise ProviderError(f"gave up waiting for {what} after {now - started:.0f} s")
            if now - said >= PROGRESS_SECONDS:
                self.say(f"waiting for {what}, {now - started:.0f} s")
                said = now
            if self.cancelled.wait(pause):
                raise Cancelled(f"stopped waiting for {what}: the update was cancelled")
            pause = min(pause * 1.5, LAST_POLL_SECONDS)


class Locks:
    """Locks by name, for calls that a cloud cannot take at the same time."""

    def __init__(self) -> None:
        self.named: dict[str, threading.Lock] = {}
        self.guard = threading.Lock()

    def hold(self, name: str) -> AbstractContextManager[Any]:
        with self.guard:
            return self.named.setdefault(name, threading.Lock())


class Resource(ABC):
    """One kind of resource. Properties have the names that programs use; ids are the engine's."""

    #: The type as programs name it, such as `digitalocean:index/tag:Tag`.
    pulumi_type: ClassVar[str]
    properties: ClassVar[Properties]

    def check(self, inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Rules that concern several properties at once: pairs of a property and a reason."""
        del inputs
        return []

    def also_replaces(self, state: Mapping[str, Any], inputs: Mapping[str, Any]) -> Collection[str]:
        """Properties whose change makes a new resource only in this direction."""
        del state, inputs
        return ()

    @abstractmethod
    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        """Ask the cloud for it; return its id, and what is known at once."""

    def settle(self, call: Call, id_: str, inputs: State) -> None:
        """Wait until a new resource can be used, and do what can only be done then. May be called again."""
        del call, id_, inputs

    @abstractmethod
    def read(self, call: Call, id_: str, prior: State) -> State | None:
        """The outputs that the cloud knows, None if it is gone. `prior` is the last known state, empty on import."""

    @abstractmethod
    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        """Bring the resource from state `old` to inputs `new`; they differ in the properties `changed`."""

    @abstractmethod
    def delete(self, call: Call, id_: str, state: State) -> None:
        """Remove it; nothing to do if it is gone."""

    def imported(self, id_: str) -> tuple[str, State]:
        """The id in the state, and what is known already, for the id that a person gave to `pulumi import`."""
        return id_, {}


class Function(ABC):
    """One function (a Terraform data source)."""

    #: The function as programs name it, such as `digitalocean:index/getRegion:getRegion`.
    pulumi_name: ClassVar[str]
    inputs: ClassVar[Properties]
    outputs: ClassVar[Properties]

    @abstractmethod
    def invoke(self, arguments: State) -> State:
        """The outputs. Raises `ProviderError`."""
