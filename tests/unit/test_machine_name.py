"""No two droplets have one name, whatever is drawn."""

from __future__ import annotations

import threading

import pytest

from k3s_cluster.cloud.machine_name import DRAWS_AT_MOST, NoName, draw


def test_a_name_that_a_droplet_has_is_not_given() -> None:
    draws = iter(["1f3a", "1f3a", "2b4c"])
    name = draw("a-agent-", lambda name: name == "a-agent-1f3a", lambda _: next(draws))
    assert name == "a-agent-2b4c"


def test_a_name_that_was_given_in_this_run_is_not_given_again() -> None:
    first, second = iter(["0001"]), iter(["0001", "0002"])
    assert draw("b-agent-", lambda _: False, lambda _: next(first)) == "b-agent-0001"
    assert draw("b-agent-", lambda _: False, lambda _: next(second)) == "b-agent-0002"


def test_names_that_are_drawn_side_by_side_differ() -> None:
    names: list[str] = []
    twice = iter([f"{number // 2:04x}" for number in range(80)])
    threads = [
        threading.Thread(target=lambda: names.append(draw("c-agent-", lambda _: False, lambda _: next(twice))))
        for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 40


def test_an_id_is_four_hexadecimal_digits() -> None:
    name = draw("d-agent-", lambda _: False)
    assert len(name) == len("d-agent-") + 4
    int(name[-4:], 16)


def test_it_ends_where_every_name_is_taken() -> None:
    with pytest.raises(NoName, match=f"no name that begins with e-agent- was free in {DRAWS_AT_MOST} draws"):
        draw("e-agent-", lambda _: True)
