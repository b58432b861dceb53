"""Ed25519 key pairs that the stack makes for itself: one to log in with, and each node's host key."""

from __future__ import annotations

from typing import Any

import pulumi
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from pulumi.dynamic import CreateResult, DiffResult, Resource

from k3s_cluster.dynamic_provider import DynamicProvider


def make_key_pair() -> tuple[str, str]:
    """A new pair: the private half in OpenSSH's format, the public half as one line without comment."""
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


class SshKeyPairProvider(DynamicProvider):
    """Makes a pair once; it lives in the stack's state, the private half as a secret."""

    def create(self, _props: dict[str, Any]) -> CreateResult:
        private, public = make_key_pair()
        return CreateResult(public, {"private_key": private, "public_key": public})

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=False)


class SshKeyPair(Resource, module="over_ssh", name="SshKeyPair"):
    """An SSH key pair; `private_key` is secret."""

    private_key: pulumi.Output[str]
    public_key: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["private_key"])
        super().__init__(
            SshKeyPairProvider(),
            name,
            {"private_key": None, "public_key": None},
            pulumi.ResourceOptions.merge(secret, opts),
        )
