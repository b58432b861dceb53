"""The executable under test, and machines to run it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_cloud.k3s import releases
from tests.k3s.machines import Machine, make_switch, remove_networks


@pytest.fixture(scope="session")
def k3s() -> Path:
    return releases.build(releases.VERSIONS[0])


@pytest.fixture
def machine(k3s: Path, tmp_path: Path) -> Iterator[Callable[[int], Machine]]:
    """Makes machines by number; all of them are gone after the test."""
    remove_networks()
    make_switch()
    made: list[Machine] = []

    def make(number: int) -> Machine:
        new = Machine(number, tmp_path / str(number), k3s)
        new.wire()
        made.append(new)
        return new

    yield make
    for old in reversed(made):
        old.stop()
    remove_networks()
