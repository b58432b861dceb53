"""Everything that the program asked in this run, and was answered, is as DigitalOcean's API describes it."""

from __future__ import annotations

import json

import pytest

from tests.cloud.openapi import MISSING, Conformance, find_specification
from tests.e2e.stack import CHECKOUT


def test_all_requests_and_answers_conform() -> None:
    specification = find_specification()
    if specification is None:
        pytest.skip(MISSING)
    recording = CHECKOUT / ".local" / "cloud" / "traffic.jsonl"
    exchanges = [json.loads(line) for line in recording.read_text().splitlines()]
    assert {exchange["method"] for exchange in exchanges} >= {"GET", "POST", "PUT", "DELETE"}
    # What a token may do is told by the control panel, which that specification does not describe.
    exchanges = [exchange for exchange in exchanges if exchange["path"] != "/v1/oauth/token/info"]
    conformance = Conformance(specification)
    problems = {problem for exchange in exchanges for problem in conformance.problems_of(exchange)}
    assert problems == set()
