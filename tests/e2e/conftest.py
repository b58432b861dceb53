"""One running cloud for all end-to-end tests; the clusters are the modules' own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_cloud import control
from tests.e2e.stack import CHECKOUT, LOCAL_CLOUD, Stack, run

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session", autouse=True)
def cloud() -> Iterator[None]:
    """The local cloud, up, and still up afterwards: bringing it up is slow, and `make down` ends it."""
    assert os.geteuid() == 0, "end-to-end tests make machines, which needs root: use `make test`"
    run(LOCAL_CLOUD, "up")
    # Everything that is asked and answered from here on is held against the API's specification, in the last module.
    recording = CHECKOUT / ".local" / "cloud" / "traffic.jsonl"
    recording.unlink(missing_ok=True)
    control.call("PUT", "recording", {"path": str(recording)})
    yield
    control.call("DELETE", "recording")


def brought_up(stack: Stack, up: Callable[[], object] | None = None) -> Iterator[Stack]:
    """`stack`, brought up by `up` or as usual; destroyed and forgotten afterwards, even if coming up failed."""
    stack.init()
    try:
        (up or stack.up)()
        yield stack
    finally:
        stack.pulumi("cancel", "--yes", check=False)
        stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
        stack.remove()
