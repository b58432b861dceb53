"""What rows in a database that was copied must stand, whichever engine it is. A module for an engine makes it its own:

    class TestCopiedRows(CopiedRows):
        engine, endpoint, rows, top = postgres, "postgres://u:p@h:1/k3s", ROWS, TOP

        def held(self, database: pg8000.native.Connection) -> list[Row]: ...

        def id_of_next_row(self, database: pg8000.native.Connection) -> int: ...

Its fixture `connect` makes connections to an empty database.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from k3s_cluster.backup import datastore
from k3s_cluster.backup.backup_file import BackupError
from k3s_cluster.backup.datastore import Found
from k3s_cluster.backup.kine_rows import Row, bootstrap_key
from k3s_cluster.over_ssh.connection import NodeError

KEY = bootstrap_key("server")
Connect = Callable[[], Any]


class CopiedRows:
    """`rows` are one cluster's, whose server token is `server`; `top` is the revision after which it goes on."""

    engine: ClassVar[ModuleType]
    endpoint: ClassVar[str]
    rows: ClassVar[list[Row]]
    top: ClassVar[int]

    def held(self, database: Any) -> list[Row]:
        """Every row there is."""
        raise NotImplementedError

    def id_of_next_row(self, database: Any) -> int:
        """The id of a row that is put in now."""
        raise NotImplementedError

    def test_keys_are_named_read_and_forgotten_with_all_their_revisions(self, connect: Connect) -> None:
        assert self.engine.names(connect()) == {}
        again = [
            Row(2300, "/registry/pods/a/6", 0, 0, 6, 6, 0, b"newer", b"x"),
            Row(2301, "/registry/pods/a/7", 0, 1, 7, 7, 0, b"gone", b"x"),
        ]
        self.engine.load(connect(), [*self.rows, *again], 2301, KEY)
        assert self.engine.names(connect()) == {row.name: row.name != again[1].name for row in self.rows}
        keys = ["/registry/pods/a/6", "/registry/pods/a/7", "/registry/pods/a/8", "/registry/pods/a/none"]
        assert sorted(self.engine.last_values(connect(), keys)) == [b"newer", b"x" * 999]
        self.engine.forget(connect(), keys)
        assert self.held(connect()) == [row for row in self.rows if row.name not in keys]

    def test_a_copy_is_taken_over_whole_or_not_at_all_and_can_be_again(
        self, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        top, old = self.top, "old-server-1a2b"
        of_machines = [
            Row(top - 4, f"/registry/minions/{old}", 1, 0, 0, 0, 0, b"x:\x0cv1.36.4+k3s1B", b""),
            Row(top - 3, f"/registry/leases/kube-node-lease/{old}", 1, 0, 0, 0, 0, b"x", b""),
            Row(top - 2, f"/registry/secrets/kube-system/{old}.node-password.k3s", 1, 0, 0, 0, 0, b"x", b""),
            Row(top - 1, f"/registry/minions/{old}", 0, 0, top - 4, top - 4, 0, b"y", b"x"),
            Row(top, "/registry/masterleases/10.10.10.3", 1, 0, 0, 0, 0, b"x", b""),
        ]
        self.engine.load(connect(), [*self.rows, *of_machines], top, KEY)
        monkeypatch.setattr(self.engine, "connect", lambda *_: connect())
        server: Any = SimpleNamespace(tunnel=lambda *_: contextlib.nullcontext())

        def take_over(token: str, check: Callable[[Found], None] = lambda _: None) -> Found:
            return datastore.take_over(server, self.endpoint, "", token, check)

        def unfit(_: Found) -> None:
            raise NodeError("unfit")

        with pytest.raises(BackupError, match="the rows of a cluster with another server token"):
            take_over("another")
        with pytest.raises(NodeError, match="unfit"):
            take_over("server", unfit)
        assert self.held(connect()) == [*self.rows, *of_machines]
        # Again, as after a run that was killed before it could say that it was done.
        assert [take_over("server").objects for _ in range(2)] == [len(self.rows) - 1] * 2
        assert self.held(connect()) == self.rows
        assert self.id_of_next_row(connect()) == top + 1
