"""A resource plugin as the engine starts it, and calls to it over gRPC."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from google.rpc import status_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from local_cloud.pulumi_plugins.provider.wire import from_struct, to_struct

CHECKOUT = Path(__file__).resolve().parent.parent.parent
BIN = CHECKOUT / "local_cloud" / "pulumi_plugins" / "bin"
SEED = b"a seed of the engine"


class PartialFailure(Exception):
    """The resource is there, but not in order: what the engine keeps."""

    def __init__(self, id_: str, properties: Mapping[str, Any], reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.id = id_
        self.properties = properties


class Plugin:
    """Started with `environment` added to a bare one. `start_seconds` is how long the engine would have waited."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self.name = name
        bare = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        started = time.monotonic()
        self.process = subprocess.Popen(
            [BIN / f"pulumi-resource-{name}", ""], env={**bare, **environment}, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        port = int(self.process.stdout.readline())
        self.start_seconds = time.monotonic() - started
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)

    def close(self) -> int:
        """End it as the engine does; its exit code."""
        self.channel.close()
        self.process.terminate()
        code = self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()
        return code

    def configure(self, **config: Any) -> None:
        self.stub.Configure(provider_pb2.ConfigureRequest(args=to_struct(config), acceptSecrets=True), timeout=30)

    def urn(self, kind: str) -> str:
        module = kind[0].lower() + kind[1:]
        return f"urn:pulumi:dev::tests::{self.name}:index/{module}:{kind}::thing"

    def check_failures(self, kind: str, **inputs: Any) -> dict[str, str]:
        """Reasons by property."""
        answer = self.check_request(kind, inputs, {})
        return {failure.property: failure.reason for failure in answer.failures}

    def check(self, kind: str, old: Mapping[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
        """Inputs with defaults; fails if there is anything wrong with them."""
        answer = self.check_request(kind, inputs, old or {})
        assert not answer.failures, answer.failures
        return from_struct(answer.inputs)

    def check_request(self, kind: str, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> Any:
        request = provider_pb2.CheckRequest(
            urn=self.urn(kind), news=to_struct(inputs), olds=to_struct(old), randomSeed=SEED
        )
        return self.stub.Check(request, timeout=30)

    def create(self, kind: str, preview: bool = False, timeout: float = 0, **inputs: Any) -> tuple[str, dict[str, Any]]:
        checked = self.check(kind, **inputs)
        request = provider_pb2.CreateRequest(
            urn=self.urn(kind), properties=to_struct(checked), preview=preview, timeout=timeout
        )
        try:
            answer = self.stub.Create(request, timeout=60)
        except grpc.RpcError as error:
            raise partial_failure(error) or error from None
        return answer.id, from_struct(answer.properties)

    def created_struct(self, kind: str, **inputs: Any) -> Any:
        """The outputs as they go over the wire."""
        checked = self.check(kind, **inputs)
        request = provider_pb2.CreateRequest(urn=self.urn(kind), properties=to_struct(checked))
        return self.stub.Create(request, timeout=60).properties

    def diff(self, kind: str, id_: str, state: Mapping[str, Any], **inputs: Any) -> Any:
        checked = self.check(kind, **inputs)
        request = provider_pb2.DiffRequest(id=id_, urn=self.urn(kind), olds=to_struct(state), news=to_struct(checked))
        return self.stub.Diff(request, timeout=30)

    def update(
        self, kind: str, id_: str, state: Mapping[str, Any], preview: bool = False, **inputs: Any
    ) -> dict[str, Any]:
        request = provider_pb2.UpdateRequest(
            id=id_,
            urn=self.urn(kind),
            olds=to_struct(state),
            news=to_struct(self.check(kind, **inputs)),
            preview=preview,
        )
        try:
            return from_struct(self.stub.Update(request, timeout=60).properties)
        except grpc.RpcError as error:
            raise partial_failure(error) or error from None

    def read(
        self, kind: str, id_: str, state: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Id (empty if it is gone), outputs and inputs. Without a state it is an import."""
        request = provider_pb2.ReadRequest(
            id=id_, urn=self.urn(kind), properties=to_struct(state or {}), inputs=to_struct(inputs or {})
        )
        answer = self.stub.Read(request, timeout=30)
        return answer.id, from_struct(answer.properties), from_struct(answer.inputs)

    def delete(self, kind: str, id_: str, state: Mapping[str, Any]) -> None:
        request = provider_pb2.DeleteRequest(id=id_, urn=self.urn(kind), properties=to_struct(state))
        self.stub.Delete(request, timeout=60)

    def invoke(self, function: str, **arguments: Any) -> dict[str, Any]:
        request = provider_pb2.InvokeRequest(tok=f"{self.name}:index/{function}:{function}", args=to_struct(arguments))
        answer = self.stub.Invoke(request, timeout=30)
        assert not answer.failures, answer.failures
        return from_struct(getattr(answer, "return"))


def partial_failure(error: Any) -> PartialFailure | None:
    """What an error says of a resource that is there all the same."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            detail = provider_pb2.ErrorResourceInitFailed()
            if status.details and status.details[0].Unpack(detail):
                return PartialFailure(detail.id, from_struct(detail.properties), list(detail.reasons))
    return None
