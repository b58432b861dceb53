"""`pulumi up` and `pulumi destroy` on an API that fails three times in a row at every kind of call."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.cloud_server import TOKEN, CloudServer
from tests.plugins.test_engine import Engine, pytestmark

__all__ = ["pytestmark"]

FAILURES: dict[str, dict[str, Any]] = {
    "429": {"status": 429},
    "500": {"status": 500},
    # No answer at all for longer than the plugin waits.
    "hang": {"hang_seconds": 3},
}
#: The plugin's own settings; only so that its waits between two attempts do not make this slow.
IMPATIENT = {"DIGITALOCEAN_HTTP_RETRY_WAIT_MIN": "0.1", "LOCAL_CLOUD_READ_SECONDS": "1.5"}
#: What stands for one thing in a path: an id, or the name of a tag, a database or a user.
ONE_OF_MANY = re.compile(
    r"(?<=/)(?:[0-9a-f]{8}-[0-9a-f-]{27}|\d+)(?=/|$)|(?<=/tags/)[^/]+|(?<=/dbs/)[^/]+|(?<=/users/)[^/]+"
)


@pytest.fixture
def everything(tmp_path: Path, cloud: CloudServer) -> Engine:
    folder = tmp_path / "engine"
    folder.mkdir()
    environment = {"DIGITALOCEAN_API_URL": cloud.url, "DIGITALOCEAN_TOKEN": TOKEN, **IMPATIENT}
    return Engine(folder, "everything", environment)


def kinds_of_call(cloud: CloudServer) -> set[tuple[str, str]]:
    """Method and pattern of every call so far."""
    return {(one["method"], ONE_OF_MANY.sub("[^/]+", one["path"])) for one in cloud.exchanges()}


@pytest.mark.parametrize("failure", FAILURES)
def test_up_and_destroy_end_well_when_every_kind_of_call_fails_three_times(
    everything: Engine, cloud: CloudServer, failure: str
) -> None:
    everything.ok("up", "--yes", "--skip-preview")
    made = {kind: len(names) for kind, names in cloud.state().items()}
    everything.ok("destroy", "--yes", "--skip-preview")
    empty = cloud.state()
    kinds = sorted(kinds_of_call(cloud))

    for method, path in kinds:
        cloud.fault(method=method, path=path, times=3, **FAILURES[failure])
    began = time.monotonic()
    everything.ok("up", "--yes", "--skip-preview")
    up = time.monotonic() - began
    assert {kind: len(names) for kind, names in cloud.state().items()} == made
    everything.ok("destroy", "--yes", "--skip-preview")
    took = time.monotonic() - began
    assert cloud.state() == empty
    faults = cloud.control("GET", "/_local/faults")["faults"]
    assert [f"{fault['method']} {fault['path']}" for fault in faults if fault["times"]] == []
    print(
        f"\n{failure} three times at each of {len(kinds)} kinds of call: up in {up:.0f} s, destroy in {took - up:.0f} s"
    )
