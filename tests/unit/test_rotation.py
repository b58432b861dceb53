"""How long a load balancer's health checks are behind what a server does."""

from __future__ import annotations

import pytest

from k3s_cluster.over_ssh.rotation import seconds_until_avoided, seconds_until_trusted


@pytest.mark.parametrize(
    ("out_for", "expected"),
    [(0, 0), (19, 0), (20, 51), (300, 51)],
    ids=["not out", "before the third failed check can be", "maybe taken out", "surely taken out"],
)
def test_a_server_that_was_taken_out_needs_five_good_checks(out_for: float, expected: float) -> None:
    assert seconds_until_trusted(out_for, interval=10, healthy=5, unhealthy=3) == expected


def test_a_server_that_refuses_is_avoided_after_three_checks() -> None:
    assert seconds_until_avoided(interval=10, unhealthy=3) == 31
