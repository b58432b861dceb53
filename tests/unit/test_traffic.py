"""A server leaves the load balancer's clients to another one only when that one has had the time to be trusted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from k3s_cluster.over_ssh import traffic

SEED = traffic.HealthCheck(interval=10, healthy=5, unhealthy=3)


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(traffic, "time", clock)
    return clock


class Server:
    """A server that sees another one pass from one time until another; None: it never does."""

    def __init__(self, clock: Clock, since: float | None, until: float = float("inf")) -> None:
        self.clock, self.since, self.until = clock, since, until
        self.told: list[tuple[str, ...]] = []

    def run(self, *command: str) -> str:
        if command[1:] != ("another",):
            self.told.append(command[1:])
            return ""
        passes = self.since is not None and self.since <= self.clock.now < self.until
        return f"{int(self.clock.now - (self.since or 0))}\n" if passes else "0\n"


def leave(clock: Clock, check: traffic.HealthCheck, server: Server) -> tuple[bool, float]:
    """Whether another server serves, and how long leaving took."""
    began = clock.now
    found = traffic.leave(server, check, lambda _: None)  # type: ignore[arg-type]
    assert server.told[-1][0] == "leave"
    assert int(server.told[-1][1]) > check.seconds_until_avoided
    return found, clock.now - began


def test_it_waits_until_the_health_checks_have_taken_it_out(clock: Clock) -> None:
    assert leave(clock, SEED, Server(clock, since=clock.now - 100)) == (True, 32)


@pytest.mark.parametrize("passed", [0, 20, 50])
def test_it_waits_first_until_another_one_is_trusted(clock: Clock, passed: int) -> None:
    assert leave(clock, SEED, Server(clock, since=clock.now - passed)) == (True, 52 - passed + 32)


def test_one_that_starts_just_now_is_waited_for(clock: Clock) -> None:
    assert leave(clock, SEED, Server(clock, since=clock.now + 20)) == (True, 20 + 52 + 32)


def test_one_that_fails_while_this_one_leaves_is_waited_for_anew(clock: Clock) -> None:
    class Failing(Server):
        """The other one fails 10 s after this one began to leave, and passes again 20 s later."""

        def run(self, *command: str) -> str:
            if command[1:2] == ("leave",) and not self.told:
                self.until = self.clock.now + 10
            if self.clock.now >= self.until + 20:
                self.since, self.until = self.until + 20, float("inf")
            return super().run(*command)

    server = Failing(clock, since=clock.now - 100)
    assert leave(clock, SEED, server) == (True, 30 + 52 + 32)
    assert [told[0] for told in server.told] == ["leave", "enter", "leave"]


def test_a_slower_health_check_of_this_run_counts_for_servers_that_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "_now", {})
    old = {"interval": 5.0, "healthy": 5.0, "unhealthy": 3.0}
    assert traffic.check_of("a", old) == traffic.HealthCheck(5, 5, 3)
    traffic.note("a", {"interval": 30, "healthy": 2, "unhealthy": 3})
    traffic.note("b", None)
    assert traffic.check_of("a", old) == traffic.HealthCheck(30, 5, 3)
    assert traffic.check_of("b", old) == traffic.HealthCheck(5, 5, 3)


def test_one_that_does_not_serve_is_not_waited_for_for_long(clock: Clock) -> None:
    assert leave(clock, SEED, Server(clock, None)) == (False, traffic.NOBODY_SERVES_SECONDS)


def test_one_that_dies_meanwhile_is_no_other(clock: Clock) -> None:
    found, took = leave(clock, SEED, Server(clock, since=clock.now, until=clock.now + 10))
    assert not found
    assert took < 60


def test_one_that_comes_and_goes_is_waited_for_no_longer_than_its_checks_take(clock: Clock) -> None:
    class Flapping(Server):
        seconds: Iterator[int] = iter([3, 0, 5] * 200)

        def run(self, *command: str) -> str:
            return f"{next(self.seconds)}\n" if command[1:] == ("another",) else super().run(*command)

    found, took = leave(clock, SEED, Flapping(clock, None))
    assert not found
    assert took < 180
