"""Engines with which no cluster has come up yet are refused before anything is made."""

from __future__ import annotations

import pulumi
import pytest

from k3s_cluster.settings import parse_settings
from k3s_cluster.stack_config import require_proven_engine
from tests.unit.stack_files import CHECKOUT, config


@pytest.mark.parametrize("engine", ["etcd"])
def test_an_unproven_engine_is_refused(engine: str) -> None:
    settings = parse_settings(config(datastoreEngine=engine), stack="dev", folder=CHECKOUT)
    with pytest.raises(pulumi.RunError, match=f"datastoreEngine: `{engine}` is not finished"):
        require_proven_engine(settings)


@pytest.mark.parametrize(
    ("engine", "topology"), [("pg", "ha"), ("pg", "single-node"), ("mysql", "ha"), ("sqlite", "single-node")]
)
def test_a_proven_engine_is_not(engine: str, topology: str) -> None:
    settings = parse_settings(config(datastoreEngine=engine, topology=topology), stack="dev", folder=CHECKOUT)
    require_proven_engine(settings)
