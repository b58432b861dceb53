"""A server that was told of another bucket for its snapshots is asked whether it can use it."""

from __future__ import annotations

import pytest

from k3s_cluster.over_ssh import etcd_bucket
from k3s_cluster.over_ssh.connection import NodeError

CONFIG = "token: x\netcd-s3: true\netcd-s3-bucket: one\netcd-s3-secret-key: hidden\n"


class Server:
    """K3s on a server that can use the bucket `one`."""

    def __init__(self, config: str) -> None:
        self.bucket = etcd_bucket.settings(config).get("etcd-s3-bucket")
        self.asked = 0

    def run(self, *command: str, stdin: str = "", timeout: float = 60) -> str:
        assert command == ("k3s", "etcd-snapshot", "ls")
        self.asked += 1
        if self.bucket != "one":
            raise NodeError(f"bucket {self.bucket} does not exist")
        return "Name Location Size Created\n"


def check(config: str, before: str) -> int:
    server = Server(config)
    etcd_bucket.check(server, "srv-1", config, before, lambda _text: None)  # type: ignore[arg-type]
    return server.asked


def test_what_k3s_cannot_use_ends_the_run_with_what_it_said() -> None:
    with pytest.raises(NodeError, match=r"srv-1 runs, but cannot use .* make the bucket. bucket two does not exist"):
        check(CONFIG.replace("one", "two"), CONFIG)


@pytest.mark.parametrize(
    ("config", "before", "asked"),
    [
        (CONFIG, "", 1),
        (CONFIG, "token: x\n", 1),
        (CONFIG.replace("hidden", "rotated"), CONFIG, 1),
        # A store that is away holds up nobody who changes something else.
        (CONFIG + "debug: true\n", CONFIG, 0),
        ("token: x\n", CONFIG, 0),
    ],
)
def test_it_is_asked_for_when_its_settings_are_others(config: str, before: str, asked: int) -> None:
    assert check(config, before) == asked
