"""What a resource is waiting for, shown in its own row of `pulumi up`."""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import grpc
import pulumi
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

Progress = Callable[[str], None]


def progress_of(urn: str) -> Progress:
    """A function that shows a text and the seconds since now in the row of the resource `urn`."""
    began = time.monotonic()
    return lambda text: _log(urn, f"{text} {time.monotonic() - began:.0f} s", ephemeral=True)


def tell(urn: str, text: str) -> None:
    """Say something that stays: it is listed under the resource `urn` when the run has ended."""
    _log(urn, text, ephemeral=False)


def _log(urn: str, text: str, *, ephemeral: bool) -> None:
    engine = _engine()
    if engine is None:
        return
    request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=ephemeral)
    # Showing progress must never be the reason that a cluster does not come up.
    with contextlib.suppress(grpc.RpcError):
        engine.Log(request, timeout=2)


@functools.cache
def _engine() -> Any | None:
    """The engine; None outside of it. Pulumi gives a plugin the engine's address as the last argument."""
    if len(sys.argv) < 2 or ":" not in sys.argv[-1]:
        return None
    return engine_pb2_grpc.EngineStub(grpc.insecure_channel(sys.argv[-1]))


def own_urn(name: str, kind: str, parent: pulumi.Resource | None, module: str = "over_ssh") -> pulumi.Output[str]:
    """The URN that a dynamic resource will have, for handing to its provider as a property.

    It must not depend on the parent as `create_urn`'s result does: the parent waits for its children.
    """
    urn = pulumi.create_urn(name, f"pulumi-python:dynamic/{module}:{kind}", parent)

    async def known() -> str:
        return str(await urn.future())

    return pulumi.Output(set(), known(), urn.is_known(), urn.is_secret())
