"""What all dynamic providers have in common: secrets stay encrypted, and an error is its message alone."""

from __future__ import annotations

import sys
import traceback

import pulumi
from pulumi.dynamic import ConfigureRequest, ResourceProvider

_format_exc = traceback.format_exc
_OWN_PACKAGE = f"{__name__.partition('.')[0]}."


class DynamicProvider(ResourceProvider):
    """A provider whose process shows errors that are written for people without a traceback; all others with one.

    Pulumi's provider process ends a request that failed with `traceback.format_exc()`, and has no other way to say
    anything: pulumi 3.272.0, pulumi/dynamic/__main__.py:86 (`_abort_with_traceback`).
    """

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:  # noqa: ARG002 - what derives from this reads it
        traceback.format_exc = _shown


def _shown(limit: int | None = None, chain: bool = True) -> str:
    """The exception under way as a person is to read it. The signature is that of `traceback.format_exc`."""
    error = sys.exc_info()[1]
    if isinstance(error, pulumi.RunError) or type(error).__module__.startswith(_OWN_PACKAGE):
        return str(error)
    return _format_exc(limit, chain)
