"""The plugins against the local cloud's API without machines; all traffic must conform to the OpenAPI description."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud.openapi import MISSING, Conformance, find_specification
from tests.plugins.cloud_server import TOKEN, CloudServer
from tests.plugins.plugin_process import Plugin


@pytest.fixture(scope="session")
def conformance() -> Conformance | None:
    specification = find_specification()
    if specification is None:
        warnings.warn(f"traffic is not checked: {MISSING}", stacklevel=1)
        return None
    return Conformance(specification)


@pytest.fixture
def cloud(tmp_path: Path, conformance: Conformance | None) -> Iterator[CloudServer]:
    server = CloudServer(tmp_path)
    try:
        yield server
        exchanges = server.exchanges()
    finally:
        server.close()
    if conformance:
        problems = {
            problem
            for exchange in exchanges
            if exchange["status"] < 400
            for problem in conformance.problems_of(exchange)
        }
        assert not problems, "\n".join(sorted(problems))


@pytest.fixture(scope="session")
def digitalocean_process() -> Iterator[Plugin]:
    plugin = Plugin("digitalocean", {})
    try:
        yield plugin
    finally:
        code = plugin.close()
    assert code == 0


@pytest.fixture
def digitalocean(digitalocean_process: Plugin, cloud: CloudServer) -> Plugin:
    """The plugin, told to use this test's cloud."""
    digitalocean_process.configure(token=TOKEN, apiEndpoint=cloud.url, httpRetryWaitMin=0.05, httpRetryWaitMax=0.2)
    return digitalocean_process


@pytest.fixture(scope="session")
def random_plugin() -> Iterator[Plugin]:
    plugin = Plugin("random", {})
    try:
        plugin.configure()
        yield plugin
    finally:
        code = plugin.close()
    assert code == 0
