"""Where the token and the API's address come from: as the DigitalOcean provider finds them."""

from __future__ import annotations

import pulumi
import pytest

from k3s_cluster.stack_config import ENDPOINT, credentials

GIVEN: dict[str, tuple[dict[str, str], dict[str, str], tuple[str, str, str]]] = {
    "the environment": ({}, {"DIGITALOCEAN_TOKEN": "a"}, (ENDPOINT, "a", "DIGITALOCEAN_TOKEN")),
    "the other variable": ({}, {"DIGITALOCEAN_ACCESS_TOKEN": "b"}, (ENDPOINT, "b", "DIGITALOCEAN_ACCESS_TOKEN")),
    "the config before the environment": (
        {"digitalocean:token": "c"},
        {"DIGITALOCEAN_TOKEN": "a"},
        (ENDPOINT, "c", "the config's digitalocean:token"),
    ),
    "an API elsewhere": (
        {},
        {"DIGITALOCEAN_TOKEN": "a", "DIGITALOCEAN_API_URL": "http://192.0.2.1"},
        ("http://192.0.2.1", "a", "DIGITALOCEAN_TOKEN"),
    ),
    "an API elsewhere in the config": (
        {"digitalocean:apiEndpoint": "http://192.0.2.2"},
        {"DIGITALOCEAN_TOKEN": "a", "DIGITALOCEAN_API_URL": "http://192.0.2.1"},
        ("http://192.0.2.2", "a", "DIGITALOCEAN_TOKEN"),
    ),
}


@pytest.mark.parametrize(("config", "environment", "expected"), GIVEN.values(), ids=GIVEN.keys())
def test_found(config: dict[str, str], environment: dict[str, str], expected: tuple[str, str, str]) -> None:
    found = credentials(config, environment)
    assert found is not None
    assert (found.endpoint, found.token, found.source) == expected
    assert repr(found.token) not in repr(found)


def test_an_empty_token_is_none() -> None:
    assert credentials({"digitalocean:token": ""}, {"DIGITALOCEAN_TOKEN": ""}) is None


@pytest.mark.parametrize("token", ["dop_v1_secret\n", " dop_v1_secret", "dop_v1_s\u00e9cret", "a b"])
@pytest.mark.parametrize("place", ["digitalocean:token", "DIGITALOCEAN_TOKEN"])
def test_a_token_that_cannot_be_sent_is_refused_without_showing_it(place: str, token: str) -> None:
    given = {place: token}
    config, environment = (given, {}) if ":" in place else ({}, given)
    with pytest.raises(pulumi.RunError, match=rf"^{place}: holds a space, a line break") as refused:
        credentials(config, environment)
    assert "dop_v1" not in str(refused.value)
