"""The API over a machine room that only remembers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from local_cloud.api.app import create_app, new_cloud, shut_down
from local_cloud.api.cloud import EXTENSION
from local_cloud.api.durations import Durations
from local_cloud.api.no_machines import NoMachines
from local_cloud.api.store import Store
from tests.cloud.api_client import CONTROL_KEY, TOKEN, Api, RecordingRoom
from tests.cloud.openapi import MISSING, Conformance, find_specification


@pytest.fixture(scope="session")
def checker() -> Conformance | None:
    """What checks every call of every test; None where the description is not at hand."""
    specification = find_specification()
    return None if specification is None else Conformance(specification)


@pytest.fixture
def conformance(checker: Conformance | None) -> Conformance:
    if checker is None:
        pytest.skip(MISSING)
    return checker


@pytest.fixture
def room() -> RecordingRoom:
    return RecordingRoom()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "cloud.db")
    store.add_token(TOKEN)
    store.set_control_key(CONTROL_KEY)
    return store


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """One for all tests, because its routes take long to compile; each test gives it a cloud of its own."""
    return create_app(Store(tmp_path_factory.mktemp("unused") / "cloud.db"), NoMachines(), Durations.fast())


@pytest.fixture
def api(app: Flask, store: Store, room: RecordingRoom, checker: Conformance | None) -> Iterator[Api]:
    app.extensions[EXTENSION] = new_cloud(store, room, Durations.fast())
    yield Api(app, checker)
    for gate in room.gates.values():
        gate.set()
    shut_down(app)
