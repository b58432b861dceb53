"""What a resource is waiting for, shown in its own row of `pulumi up`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import grpc
import pulumi
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

Progress = Callable[[str], None]


def progress_of(urn: str) -> Progress:
    """A function that shows a text and the seconds since now in the row of the resource `urn`.

    Pulumi's engine gives a plugin its own address as the last argument; without one, nothing is shown.
    """
    began = time.monotonic()
    if len(sys.argv) < 2 or ":" not in sys.argv[-1]:
        return lambda _text: None
    engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(sys.argv[-1]))

    def show(text: str) -> None:
        message = f"{text} {time.monotonic() - began:.0f} s"
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message, urn=urn, ephemeral=True)
        # Showing progress must never be the reason that a cluster does not come up.
        try:
            engine.Log(request, timeout=2)
        except grpc.RpcError:
            return

    return show


def own_urn(name: str, kind: str, parent: pulumi.Resource | None) -> pulumi.Output[str]:
    """The URN that a dynamic resource will have, for handing to its provider as a property.

    It must not depend on the parent as `create_urn`'s result does: the parent waits for its children.
    """
    urn = pulumi.create_urn(name, f"pulumi-python:dynamic/over_ssh:{kind}", parent)

    async def known() -> str:
        return str(await urn.future())

    return pulumi.Output(set(), known(), urn.is_known(), urn.is_secret())
