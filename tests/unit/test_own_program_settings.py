"""Settings as a program of one's own gives them: Python values over the same defaults."""

from __future__ import annotations

import pytest

from k3s_cluster.settings import ClusterSettings, ExternalDatastoreSettings, SettingsError, parse_settings
from tests.unit.stack_files import CHECKOUT, config


def test_a_program_of_one_s_own_gets_the_same_defaults() -> None:
    own = ClusterSettings.of("k3s", {"kubeconfigPath": "kubeconfig/{stack}.yaml"})
    assert own == parse_settings(config(), stack="k3s", folder=CHECKOUT)


def test_a_program_of_one_s_own_gives_python_values() -> None:
    settings = ClusterSettings.of(
        "blue",
        {"agentCount": 3, "adminCidrs": ["198.51.100.7/32"], "serverTaint": True, "kubeconfigPath": "blue.yaml"},
    )
    assert (settings.stack, settings.name_prefix, settings.server_tag) == ("blue", "blue", "blue_server")
    assert (settings.agent_count, settings.server_taint, settings.access.open_to_everyone) == (3, True, False)


def test_a_program_of_one_s_own_may_give_a_secret_as_it_has_it() -> None:
    given = {"datastoreEngine": "external", "datastoreEndpoint": "postgres://k3s:word@db.example.com:5432/k3s"}
    settings = ClusterSettings.of("blue", {**given, "kubeconfigPath": "blue.yaml"})
    assert isinstance(settings.datastore, ExternalDatastoreSettings)


def test_a_program_of_one_s_own_is_told_of_which_cluster_all_is_wrong() -> None:
    with pytest.raises(SettingsError) as refused:
        ClusterSettings.of("blue", {"toplogy": "ha", "agentCount": -1, "kubeconfigPath": "blue.yaml"})
    assert str(refused.value).startswith("The settings of the cluster `blue` cannot be used:")
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["toplogy", "agentCount"]


def test_a_program_of_one_s_own_is_told_of_what_has_no_effect() -> None:
    (note,) = ClusterSettings.of("prod", {"topology": "single-node", "datastoreNodes": 3}).notes
    assert note.startswith("datastoreNodes: `3` has no effect, because datastoreEngine is `sqlite`")
