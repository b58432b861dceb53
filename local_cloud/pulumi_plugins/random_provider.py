"""pulumi-resource-random: random values that are kept in the stack's state. Nothing is contacted."""

# ruff: noqa: ARG002 - these resources need no call and no state.
from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Collection, Mapping
from importlib.metadata import version
from typing import Any, ClassVar

from pulumi.runtime.proto import provider_pb2_grpc

from local_cloud.pulumi_plugins.provider.properties import (
    Anything,
    Flag,
    MapOf,
    Properties,
    Text,
    Whole,
    computed,
    filled,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Call, ProviderError, Resource, State
from local_cloud.pulumi_plugins.provider.server import Provider
from local_cloud.pulumi_plugins.serving import serve

#: Terraform's random provider: https://registry.terraform.io/providers/hashicorp/random/latest/docs/resources/password
SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
#: bcrypt hashes no more than this many bytes.
BCRYPT_BYTES = 72

KEEPERS = optional(MapOf(Anything()), replace=True)


class Kept(Resource):
    """A resource that lives in the state alone."""

    def imported(self, id_: str) -> tuple[str, State]:
        raise ProviderError("importing this kind of random resource is not stood in for")

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        return prior

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        """Nothing can change: every input replaces."""

    def delete(self, call: Call, id_: str, state: State) -> None:
        """The engine forgets it."""


class RandomId(Kept):
    """`byteLength` random bytes in several notations; the id is `b64Url` without the prefix."""

    pulumi_type = "random:index/randomId:RandomId"
    properties: ClassVar[Properties] = {
        "byteLength": required(Whole(least=1), replace=True),
        "keepers": KEEPERS,
        "prefix": optional(Text(), replace=True),
        "b64Std": computed(Text()),
        "b64Url": computed(Text()),
        "dec": computed(Text()),
        "hex": computed(Text()),
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        return notations(secrets.token_bytes(inputs["byteLength"]), inputs.get("prefix", ""))

    def imported(self, id_: str) -> tuple[str, State]:
        prefix, _, encoded = id_.rpartition(",")
        data = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        id_, state = notations(data, prefix)
        return id_, {"byteLength": len(data), **({"prefix": prefix} if prefix else {}), **state}


def notations(data: bytes, prefix: str) -> tuple[str, State]:
    """The id and outputs for `data`."""
    url = base64.urlsafe_b64encode(data).decode().rstrip("=")
    return url, {
        "b64Std": prefix + base64.b64encode(data).decode(),
        "b64Url": prefix + url,
        "dec": f"{prefix}{int.from_bytes(data, 'big')}",
        "hex": prefix + data.hex(),
    }


CLASSES = {
    "lower": (string.ascii_lowercase, "minLower"),
    "upper": (string.ascii_uppercase, "minUpper"),
    "numeric": (string.digits, "minNumeric"),
    "special": (SPECIAL, "minSpecial"),
}

TEXT_PROPERTIES: Properties = {
    "keepers": KEEPERS,
    "length": required(Whole(least=1), replace=True),
    "lower": optional(Flag(), replace=True, default=True),
    "minLower": optional(Whole(least=0), replace=True, default=0),
    "minNumeric": optional(Whole(least=0), replace=True, default=0),
    "minSpecial": optional(Whole(least=0), replace=True, default=0),
    "minUpper": optional(Whole(least=0), replace=True, default=0),
    # The deprecated name of `numeric`.
    "number": filled(Flag(), replace=True),
    "numeric": filled(Flag(), replace=True),
    "overrideSpecial": optional(Text(), replace=True),
    "special": optional(Flag(), replace=True, default=True),
    "upper": optional(Flag(), replace=True, default=True),
}


def alphabet(inputs: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """The allowed characters of each class, and how many of them there must be."""
    allowed = {}
    for name, (characters, minimum) in CLASSES.items():
        wanted = inputs.get(name, inputs.get("number", True) if name == "numeric" else True)
        if name == "special" and inputs.get("overrideSpecial"):
            characters = inputs["overrideSpecial"]
        if wanted:
            allowed[name] = (characters, inputs.get(minimum, 0))
    return allowed


def random_text(inputs: Mapping[str, Any]) -> str:
    """`length` characters of the allowed classes, with at least the asked number of each, in random order."""
    allowed = alphabet(inputs)
    chosen = [secrets.choice(characters) for characters, minimum in allowed.values() for _ in range(minimum)]
    everything = "".join(characters for characters, _ in allowed.values())
    chosen += [secrets.choice(everything) for _ in range(inputs["length"] - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


class RandomText(Kept):
    """What RandomString and RandomPassword share."""

    def check(self, inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
        allowed = alphabet(inputs)
        length = inputs["length"]
        if not allowed:
            return [("length", "at least one of lower, upper, numeric and special must be true")]
        if isinstance(length, int) and sum(minimum for _, minimum in allowed.values()) > length:
            return [("length", "must be at least the sum of minLower, minUpper, minNumeric and minSpecial")]
        return []


class RandomString(RandomText):
    pulumi_type = "random:index/randomString:RandomString"
    properties: ClassVar[Properties] = {**TEXT_PROPERTIES, "result": computed(Text())}

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        result = random_text(inputs)
        return result, {**numeric(inputs), "result": result}


class RandomPassword(RandomText):
    pulumi_type = "random:index/randomPassword:RandomPassword"
    properties: ClassVar[Properties] = {
        **TEXT_PROPERTIES,
        "result": computed(Text(), secret=True),
        "bcryptHash": computed(Text(), secret=True),
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        import bcrypt  # only passwords need it

        result = random_text(inputs)
        hashed = bcrypt.hashpw(result.encode()[:BCRYPT_BYTES], bcrypt.gensalt(10)).decode()
        return "none", {**numeric(inputs), "result": result, "bcryptHash": hashed}


def numeric(inputs: Mapping[str, Any]) -> State:
    """Both names of the same setting."""
    value = inputs.get("numeric", inputs.get("number", True))
    return {"numeric": value, "number": value}


class RandomProvider(Provider):
    name = "random"
    version = version("pulumi-random")


def serve_random(engine: str) -> None:
    """Serve until the engine ends us."""
    provider = RandomProvider(engine, [RandomId(), RandomString(), RandomPassword()])
    serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server),
        provider.cancelled.set,
    )
