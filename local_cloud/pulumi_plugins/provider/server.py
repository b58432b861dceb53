"""The provider's side of Pulumi's protocol, for any kinds of resources.

https://github.com/pulumi/pulumi/blob/v3.259.0/proto/pulumi/provider.proto. Like the official Terraform-based plugins
it does not take secrets: the engine marks an output as secret when the input of that name was one.
"""

# ruff: noqa: ARG002 - gRPC gives every method a request and a context.
from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, NoReturn

import grpc
from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from local_cloud.pulumi_plugins.provider.checking import automatic_name, check, check_record, given_inputs
from local_cloud.pulumi_plugins.provider.differing import Kind, changes, deletes_before_replace, same
from local_cloud.pulumi_plugins.provider.properties import Properties, Property, Source
from local_cloud.pulumi_plugins.provider.resource import Call, Function, Locks, ProviderError, Resource, State
from local_cloud.pulumi_plugins.provider.wire import UNKNOWN, Secret, Unknown, from_struct, has_unknown, to_struct

KINDS = {
    (Kind.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Kind.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Kind.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Kind.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
    (Kind.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Kind.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves `resources` and `functions`. Subclasses take the configuration."""

    #: The plugin's name and version, and the properties of its configuration.
    name = ""
    version = ""
    config: ClassVar[Properties] = {}

    def __init__(self, engine: str, resources: Iterable[Resource], functions: Iterable[Function] = ()) -> None:
        self.resources = {resource.pulumi_type: resource for resource in resources}
        self.functions = {function.pulumi_name: function for function in functions}
        self.engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine)) if engine else None
        self.cancelled = threading.Event()
        self.locks = Locks()

    def configure(self, config: Mapping[str, Any]) -> None:
        """Take the configuration (conformed to `config`); nothing is contacted here."""

    # Configuration

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=self.version)

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        news = from_struct(request.news)
        failures: list[tuple[str, str]] = []
        dict(check_record(self.config, config_inputs(news), "", failures))
        return provider_pb2.CheckResponse(inputs=request.news, failures=check_failures(failures))

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        different = from_struct(request.olds) != from_struct(request.news)
        kind = provider_pb2.DiffResponse.DIFF_SOME if different else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=kind)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        failures: list[tuple[str, str]] = []
        config = dict(check_record(self.config, config_inputs(from_struct(request.args)), "", failures))
        if failures:
            self.fail(context, "; ".join(f"{self.name}:{key}: {reason}" for key, reason in failures))
        self.configure({key: value for key, value in config.items() if not has_unknown(value)})
        return provider_pb2.ConfigureResponse(
            acceptSecrets=False, supportsPreview=True, acceptResources=False, supports_autonaming_configuration=True
        )

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.cancelled.set()
        return empty_pb2.Empty()

    # Resources

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self.resource(request, context)
        name = automatic_name(name_of(request.urn), request.randomSeed)
        failures: list[tuple[str, str]] = []
        if request.HasField("autonaming"):
            options = request.autonaming
            if options.mode == options.DISABLE:
                name = ""
            elif options.proposed_name:
                name = options.proposed_name
        checked = check(resource.properties, from_struct(request.news), from_struct(request.olds), name)
        failures += checked.failures
        if not failures:
            failures += resource.check(given_inputs(checked.inputs))
        return provider_pb2.CheckResponse(inputs=to_struct(checked.inputs), failures=check_failures(failures))

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self.resource(request, context)
        state, inputs = from_struct(request.olds), from_struct(request.news)
        found = changes(resource.properties, state, inputs, request.ignoreChanges)
        replaces = {key for key, change in found.items() if change.replace}
        replaces |= set(resource.also_replaces(state, inputs)) & set(found)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=sorted(found),
            replaces=sorted(replaces),
            deleteBeforeReplace=bool(replaces) and deletes_before_replace(resource.properties, state, inputs),
            hasDetailedDiff=True,
            detailedDiff={
                key: provider_pb2.PropertyDiff(kind=KINDS[change.kind, key in replaces])
                for key, change in found.items()
            },
        )

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self.resource(request, context)
        inputs = given_inputs(from_struct(request.properties))
        prior = stored(resource.properties, inputs)
        if request.preview:
            return provider_pb2.CreateResponse(properties=outputs(resource.properties, planned(resource, {}, prior)))
        call = self.call(request)
        try:
            id_, known = resource.create(call, inputs)
        except ProviderError as error:
            self.fail(context, str(error))
        prior.update(known)
        try:
            resource.settle(call, id_, inputs)
            state = resource.read(call, id_, prior)
            if state is None:
                raise ProviderError(f"{id_} was created, and then it was gone")
        except Exception as error:
            # The engine keeps the id, and the next update goes on from here.
            self.fail_partially(context, resource, id_, prior, said(error))
        return provider_pb2.CreateResponse(id=id_, properties=outputs(resource.properties, {**prior, **state}))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self.resource(request, context)
        state, inputs = from_struct(request.properties), from_struct(request.inputs)
        id_ = request.id
        try:
            if not state:
                id_, state = resource.imported(request.id)
            found = resource.read(self.call(request), id_, state)
        except ProviderError as error:
            self.fail(context, str(error))
        if found is None:
            return provider_pb2.ReadResponse()
        state = {**state, **found}
        return provider_pb2.ReadResponse(
            id=id_,
            properties=outputs(resource.properties, state),
            inputs=to_struct(refreshed_inputs(resource.properties, state, inputs)),
        )

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self.resource(request, context)
        old = from_struct(request.olds)
        new = given_inputs(from_struct(request.news))
        prior = {key: value for key, value in old.items() if not is_input(resource.properties, key)}
        prior.update(stored(resource.properties, new))
        if request.preview:
            return provider_pb2.UpdateResponse(properties=outputs(resource.properties, planned(resource, old, prior)))
        call = self.call(request)
        found = changes(resource.properties, old, new, request.ignoreChanges)
        try:
            resource.settle(call, request.id, new)
            resource.update(call, request.id, old, new, set(found))
            state = resource.read(call, request.id, prior)
            if state is None:
                raise ProviderError(f"{request.id} is gone; run `pulumi refresh` to make it again")
        except Exception as error:
            live: State = {}
            with suppress(Exception):
                live = resource.read(call, request.id, old) or {}
            self.fail_partially(context, resource, request.id, {**old, **live}, said(error))
        return provider_pb2.UpdateResponse(properties=outputs(resource.properties, {**prior, **state}))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        resource = self.resource(request, context)
        try:
            resource.delete(self.call(request), request.id, from_struct(request.properties))
        except ProviderError as error:
            self.fail(context, str(error))
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        function = self.functions.get(request.tok)
        if function is None:
            self.fail(context, f"this stand-in for the {self.name} plugin has no function {request.tok}")
        failures: list[tuple[str, str]] = []
        arguments = dict(check_record(function.inputs, given_inputs(from_struct(request.args)), "", failures))
        if failures:
            return provider_pb2.InvokeResponse(failures=check_failures(failures))
        try:
            result = function.invoke(arguments)
        except ProviderError as error:
            self.fail(context, str(error))
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(outputs(function.outputs, {**arguments, **result}))
        return response

    # What the methods above share

    def resource(self, request: Any, context: grpc.ServicerContext) -> Resource:
        token = type_of(request.urn)
        if token not in self.resources:
            known = ", ".join(sorted(name.split(":")[-1] for name in self.resources))
            self.fail(context, f"this stand-in for the {self.name} plugin has no resource {token}; it has {known}")
        return self.resources[token]

    def call(self, request: Any) -> Call:
        urn, engine = request.urn, self.engine

        def say(message: str) -> None:
            if engine:
                with suppress(grpc.RpcError):
                    engine.Log(
                        engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message, urn=urn, ephemeral=True)
                    )

        return Call(say, self.cancelled, getattr(request, "timeout", 0.0), self.locks)

    def fail(self, context: grpc.ServicerContext, message: str) -> NoReturn:
        context.abort(grpc.StatusCode.UNKNOWN, message)
        raise AssertionError("abort raises")

    def fail_partially(
        self, context: grpc.ServicerContext, resource: Resource, id_: str, state: State, reason: str
    ) -> NoReturn:
        """Fail in a way that lets the engine keep the resource's id and state."""
        detail = any_pb2.Any()
        detail.Pack(
            provider_pb2.ErrorResourceInitFailed(
                id=id_, properties=outputs(resource.properties, state), reasons=[reason]
            )
        )
        status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=reason, details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        self.fail(context, reason)


def name_of(urn: str) -> str:
    """The last part of a URN: https://www.pulumi.com/docs/iac/concepts/resources/names/#urns"""
    return urn.split("::", 3)[-1]


def type_of(urn: str) -> str:
    """The type of a URN's resource, without those of its parents."""
    return urn.split("::")[2].split("$")[-1]


def said(error: Exception) -> str:
    """What to tell the person: a defect of ours is told with its type."""
    return str(error) if isinstance(error, ProviderError) else f"{type(error).__name__}: {error}"


def config_inputs(config: Mapping[str, Any]) -> dict[str, Any]:
    """The provider's own settings among what the engine sends."""
    return {key: value for key, value in given_inputs(config).items() if key not in ("version", "pluginDownloadURL")}


def check_failures(failures: Iterable[tuple[str, str]]) -> list[Any]:
    return [provider_pb2.CheckFailure(property=path, reason=reason) for path, reason in failures]


def is_input(properties: Properties, key: str) -> bool:
    return key in properties and properties[key].given


def stored(properties: Properties, inputs: Mapping[str, Any]) -> State:
    """Inputs as they look in the state."""
    state = {}
    for key, value in inputs.items():
        form = properties[key].stored if key in properties else None
        state[key] = form(value) if form and not isinstance(value, Unknown) else value
    return state


def planned(resource: Resource, old: State, inputs: State) -> State:
    """The outputs as a preview knows them: what is not given stays as it is, or is unknown for a new resource."""
    state = dict(inputs)
    for key, prop in resource.properties.items():
        if key not in inputs and prop.source in (Source.COMPUTED, Source.FILLED):
            state[key] = old[key] if old.get(key) is not None else UNKNOWN
    return state


def outputs(properties: Properties, state: Mapping[str, Any]) -> Any:
    """The outputs for the engine, with the secret ones marked."""
    marked = {}
    for key, value in state.items():
        if key in properties and value is not None:
            marked[key] = Secret(value) if properties[key].secret else value
    return to_struct(marked)


def is_own_form(prop: Property, value: Any) -> bool:
    """Whether the state keeps the value itself, and not only a digest of it."""
    return prop.stored is None or prop.stored(value) == value


def refreshed_inputs(properties: Properties, state: State, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that would give `state`: those known before, brought up to date; on import all that are set."""
    if not inputs:
        return {
            key: state[key]
            for key, prop in properties.items()
            if prop.given and state.get(key) not in (None, "", [], {}) and is_own_form(prop, state[key])
        }
    fresh = dict(inputs)
    for key in given_inputs(inputs):
        if key in properties and key in state and not same(properties[key], state[key], inputs[key]):
            fresh[key] = state[key]
    return fresh
