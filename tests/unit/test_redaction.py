"""What is quoted from a node's journal holds none of its secrets."""

from __future__ import annotations

import pytest

from k3s_cluster.over_ssh.redaction import PLACEHOLDER, redacted

CONFIG = {
    "token": "server-token-1234",
    "datastore-endpoint": "postgres://k3s:Sup3r#S3cret%2Fzz@10.10.10.9:5432/k3s",
    "etcd-s3-secret-key": "bucket-secret",
    "node-name": "fra1-server-0",
}


@pytest.mark.parametrize(
    "line",
    [
        'failed: parse "postgres://k3s:Sup3r": invalid port ":Sup3r" after host',
        "cannot parse `postgres://k3s:Sup3r#S3cret%2Fzz@10.10.10.9:5432/k3s`",
        "password authentication failed for Sup3r#S3cret/zz",
        "token server-token-1234 is none",
        "signature with bucket-secret",
    ],
)
def test_no_part_of_a_secret_is_left(line: str) -> None:
    shown = redacted(line, CONFIG)
    assert PLACEHOLDER in shown
    for secret in ("Sup3r", "S3cret", "server-token", "bucket-secret"):
        assert secret not in shown


def test_what_is_no_secret_is_quoted_as_it_is() -> None:
    line = "fra1-server-0: dial tcp 10.10.10.9:5432: connect: connection refused, see https://docs.k3s.io/a@b"
    assert redacted(line, CONFIG) == line
    query = {"datastore-endpoint": "postgres://h/d?user=u&password=hunter%2022"}
    assert redacted("password=hunter 22 is wrong", query) == f"password={PLACEHOLDER} is wrong"
    assert redacted("mysql://u:p@tcp(h:1)/d", {}) == f"mysql://{PLACEHOLDER}@tcp(h:1)/d"
