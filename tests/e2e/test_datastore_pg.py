"""PostgreSQL as the datastore: the suite that every engine passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import brought_up
from tests.e2e.datastore_suite import End, Life, database_id, highly_available
from tests.e2e.stack import LOCAL_CLOUD, Stack, run


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    yield from brought_up(highly_available("e2e-pg", "10.30.0.0/24", datastoreEngine="pg"))


class TestLife(Life):
    def stored(self, stack: Stack, key: str) -> int:
        query = f"SELECT count(*) FROM kine WHERE name = '{key}'"
        return int(run(LOCAL_CLOUD, "sql", "--cluster", database_id(stack), "k3s", query).stdout.strip())


class TestEnd(End):
    pass
