"""One running cloud for all of a worker's end-to-end tests; the clusters are the modules' own."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_cloud import control, paths
from tests.cloud.openapi import MISSING, Conformance, find_specification
from tests.e2e.stack import LOCAL_CLOUD, Stack, run

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session", autouse=True)
def cloud() -> Iterator[None]:
    """The local cloud, up, and still up afterwards: bringing it up is slow, and `make down` ends it."""
    assert os.geteuid() == 0, "end-to-end tests make machines, which needs root: use `make test`"
    run(sys.executable, "-m", "local_cloud.toolchain")
    run(LOCAL_CLOUD, "up")
    recording = paths.CLOUD / "traffic.jsonl"
    recording.unlink(missing_ok=True)
    control.call("PUT", "recording", {"path": str(recording)})
    yield
    control.call("DELETE", "recording")
    _check_traffic(recording)


def _check_traffic(recording: Path) -> None:
    """Everything that the program asked in this run, and was answered, is as DigitalOcean's API describes it."""
    exchanges = [json.loads(line) for line in recording.read_text().splitlines()]
    methods = {exchange["method"] for exchange in exchanges if exchange["status"] < 300}
    assert methods, "nothing was recorded of what the program asked"
    assert "POST" not in methods or methods >= {"GET", "DELETE"}, methods
    specification = find_specification()
    if specification is None:
        warnings.warn(f"traffic is not checked: {MISSING}", stacklevel=1)
        return
    # What a token may do is told by the control panel, which that specification does not describe.
    described = [exchange for exchange in exchanges if exchange["path"] != "/v1/oauth/token/info"]
    conformance = Conformance(specification)
    problems = {problem for exchange in described for problem in conformance.problems_of(exchange)}
    assert not problems, "\n".join(sorted(problems))


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
