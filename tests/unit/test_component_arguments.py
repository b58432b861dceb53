"""Arguments of Kubernetes' components: a stack's own beside those that `auditLog` and `hardened` set."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from k3s_cluster.k3s_config import NodeAddresses, NodeMarks, Tokens, agent_config, server_config
from k3s_cluster.settings import parse_settings
from k3s_cluster.settings.parse import doubtful
from tests.unit.stack_files import CHECKOUT, config, refusals

NODE, TOKENS = NodeAddresses("a", "203.0.113.2", "10.10.10.2"), Tokens("server", "agent")


def server(**changes: object) -> dict[str, Any]:
    """config.yaml of a server."""
    settings = parse_settings(config(**changes), stack="dev", folder=CHECKOUT)
    found: dict[str, Any] = yaml.safe_load(server_config(settings, NODE, TOKENS, "203.0.113.250", None))
    return found


@pytest.mark.parametrize("own", ["v=1", ["v=1"]], ids=["text", "list"])
def test_a_text_is_a_list_of_one_beside_what_the_audit_log_needs(own: object) -> None:
    alone = server(auditLog="metadata")["kube-apiserver-arg"]
    assert any(argument.startswith("audit-log-path=") for argument in alone)
    assert server(auditLog="metadata", k3sServerConfig={"kube-apiserver-arg": own})["kube-apiserver-arg"] == [
        *alone,
        "v=1",
    ]


def test_hardening_s_arguments_stay_on_agents_too() -> None:
    settings = parse_settings(
        config(hardened=True, k3sAgentConfig={"kubelet-arg": "max-pods=50"}), stack="dev", folder=CHECKOUT
    )
    arguments = yaml.safe_load(agent_config(settings, NODE, TOKENS, NodeMarks()))["kubelet-arg"]
    assert "max-pods=50" in arguments
    assert any(argument.startswith("tls-cipher-suites=") for argument in arguments)


def test_admission_plugins_are_those_of_both() -> None:
    own = {"kube-apiserver-arg": ["enable-admission-plugins=AlwaysPullImages,NodeRestriction"]}
    arguments = server(hardened=True, k3sServerConfig=own)["kube-apiserver-arg"]
    assert [argument for argument in arguments if argument.startswith("enable-admission-plugins=")] == [
        "enable-admission-plugins=NodeRestriction,EventRateLimit,AlwaysPullImages"
    ]
    assert any(argument.startswith("admission-control-config-file=") for argument in arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"auditLog": "metadata", "k3sServerConfig": {"kube-apiserver-arg": ["audit-log-path=/dev/null"]}},
            "k3sServerConfig: `audit-log-path` in `kube-apiserver-arg` would take the place of what `auditLog` sets "
            "(/var/lib/rancher/k3s/server/logs/audit.log); remove it, or set auditLog to `off`.",
        ),
        (
            {"hardened": True, "k3sServerConfig": {"kubelet-arg": "streaming-connection-idle-timeout=0"}},
            "k3sServerConfig: `streaming-connection-idle-timeout` in `kubelet-arg` would take the place of what "
            "`hardened` sets (5m); remove it, or set hardened to `false`.",
        ),
        (
            {"hardened": True, "agentCount": 1, "k3sAgentConfig": {"kubelet-arg": ["tls-cipher-suites=RC4"]}},
            "k3sAgentConfig: `tls-cipher-suites` in `kubelet-arg` would take the place of what `hardened` sets",
        ),
        (
            {"auditLog": "metadata", "k3sServerConfig": {"kube-apiserver-arg": ["--audit-policy-file=/tmp/x"]}},
            "k3sServerConfig: `audit-policy-file` in `kube-apiserver-arg` would take the place",
        ),
        (
            {"k3sServerConfig": {"etcd-arg": ["quota-backend-bytes=1", "= secret"]}},
            "k3sServerConfig: `etcd-arg` has no name of an argument in entry 2; write `name=value`.",
        ),
    ],
    ids=["audit log", "a text", "an agent's", "with dashes", "no name"],
)
def test_an_argument_that_would_take_back_a_step_is_refused(changes: dict[str, object], message: str) -> None:
    (problem,) = refusals(config(**changes))
    assert message in problem


def test_what_is_as_strict_is_taken() -> None:
    stricter = ["tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "streaming-connection-idle-timeout=90s"]
    assert server(hardened=True, k3sServerConfig={"kubelet-arg": stricter})["kubelet-arg"][-2:] == stricter


def test_an_argument_without_a_value_is_warned_of_and_taken_as_k3s_takes_it() -> None:
    own = {"kubelet-arg": ["max-pods", "serialize-image-pulls=false"], "kube-apiserver-arg": "v=1"}
    settings = parse_settings(config(k3sServerConfig=own), stack="dev", folder=CHECKOUT)
    (line,) = doubtful(settings)
    assert line == (
        "k3sServerConfig: `max-pods` in `kubelet-arg` has no value, so K3s makes `max-pods=true` of it; write that, or "
        "`max-pods=VALUE`."
    )


def test_plugins_that_are_added_to_k3s_s_own_stay_so() -> None:
    own = ["enable-admission-plugins+=A", "enable-admission-plugins+=B"]
    assert server(auditLog="metadata", k3sServerConfig={"kube-apiserver-arg": own})["kube-apiserver-arg"][-2:] == own


def test_an_amount_is_the_stack_s_to_choose_and_so_is_everything_without_hardening() -> None:
    longer = {"kube-apiserver-arg": ["audit-log-maxage=365"]}
    assert server(auditLog="metadata", k3sServerConfig=longer)["kube-apiserver-arg"][-1] == "audit-log-maxage=365"
    ciphers = {"kubelet-arg": ["tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"]}
    assert server(k3sServerConfig=ciphers)["kubelet-arg"] == ciphers["kubelet-arg"]
