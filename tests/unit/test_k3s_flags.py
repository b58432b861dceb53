"""k3sServerConfig and k3sAgentConfig: what K3s has and a stack may set goes into config.yaml, and nothing else."""

from __future__ import annotations

import re

import pytest

from k3s_cluster import immutable_settings
from k3s_cluster.settings import SettingsError, parse_settings
from k3s_cluster.settings.k3s_flags import FLAGS, SETTINGS, SHORT, Role
from k3s_cluster.settings.managed_flags import MANAGED, refusals
from tests.unit.stack_files import CHECKOUT, config

VERSION = "v1.34.2+k3s1"
STAND_IN = CHECKOUT / "local_cloud/k3s/program/settings/flags.go"

#: Role, key, value, and all that is said of it.
REFUSED: dict[str, tuple[Role, str, object, str]] = {
    # Unknown: the smallest inputs are those of people's own files.
    "a typo": ("server", "kubelet-args", ["v=1"], "has no such flag for a server; the nearest is `kubelet-arg`."),
    "an underscore": ("agent", "kubelet_arg", "v=1", "has no such flag for an agent; the nearest is `kubelet-arg`."),
    "a plus": ("server", "kubelet-arg+", ["v=1"], "has no such flag for a server; the nearest is `kubelet-arg`."),
    "a typo of a managed flag": (
        "agent",
        "node-labels",
        ["a=b"],
        "the nearest is `node-label`, which is not set here: set labels and taints in agentPools, or serverTaint.",
    ),
    "like no other": (
        "server",
        "zzz",
        "1",
        "has no such flag for a server; docs.k3s.io/cli/server has those there are.",
    ),
    "a server's": (
        "agent",
        "kube-apiserver-arg",
        ["v=1"],
        "has no such flag for an agent; it is a server's: set it in k3sServerConfig.",
    ),
    "an agent's": (
        "server",
        "disable-apiserver-lb",
        True,
        "has no such flag for a server; it is an agent's: set it in k3sAgentConfig.",
    ),
    "of later releases": (
        "server",
        "helm-controller-arg",
        ["v=1"],
        "no such flag for a server; it came with v1.34.10 or v1.35.7 or v1.36.3: raise k3sVersion.",
    ),
    # Wrong kind.
    "a text for a switch": (
        "server",
        "debug",
        "true",
        "`debug` must be `true` or `false`, without quotes, not a text.",
    ),
    "a number for a switch": ("agent", "selinux", 1, "must be `true` or `false`, without quotes, not a number."),
    "a text for a number": ("agent", "lb-server-port", "6444", "must be a whole number, without quotes, not a text."),
    "a switch for a number": ("server", "v", True, "must be a whole number, without quotes, not `true` or `false`."),
    "a fraction": ("server", "v", 1.5, "must be a whole number, without quotes, not a fraction."),
    "a list for a text": ("agent", "snapshotter", ["native"], "`snapshotter` must be a text, not a list."),
    "a switch for a text": ("agent", "pause-image", False, "`pause-image` must be a text, not `true` or `false`."),
    "a switch for a list": ("agent", "kubelet-arg", True, "a list of texts, or one text, not `true` or `false`."),
    "a list of numbers": ("agent", "kubelet-arg", [1], "a list of texts, or one text, not a list of other things."),
    "nothing": ("server", "system-default-registry", None, "`system-default-registry` must be a text, not nothing."),
    "no duration": ("server", "etcd-s3-timeout", "soon", "must be a duration such as `5m0s`, not another text."),
    # Values that K3s, or a cluster of this program, does not take.
    "no backend": (
        "server",
        "flannel-backend",
        "wireguard",
        "`flannel-backend` must be `vxlan`, `host-gw` or `wireguard-native`, not `wireguard`.",
    ),
    "no CNI": (
        "server",
        "flannel-backend",
        "none",
        "`flannel-backend: none` needs a CNI of your own, without which no node would be Ready.",
    ),
    # Short names are names.
    "a short name": ("server", "t", "secret", "may not hold `t`, which is `token`: the stack makes the tokens itself."),
    "another short name": ("agent", "d", "/mnt", "may not hold `d`, which is `data-dir`: K3s would start an empty"),
}


@pytest.mark.parametrize(("role", "key", "value", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(role: Role, key: str, value: object, said: str) -> None:
    (line,) = refusals(role, {key: value}, VERSION)
    assert line.startswith(f"{SETTINGS[role]}: ")
    assert f"`{key}" in line
    assert said in line


@pytest.mark.parametrize(
    "key",
    # Each of these was accepted once, and broke a cluster (or made none) without a word in the plan.
    [
        "data-dir",
        "https-listen-port",
        "bind-address",
        "advertise-port",
        "write-kubeconfig",
        "write-kubeconfig-group",
        "config",
        "disable-agent",
        "disable-apiserver",
        "disable-controller-manager",
        "disable-scheduler",
        "disable-etcd",
        "cluster-reset",
        "cluster-reset-restore-path",
        "with-node-id",
        "disable-cloud-controller",
        "rootless",
        "vpn-auth",
        "vpn-auth-file",
        "log",
        "node-internal-dns",
        "node-external-dns",
        "cluster-secret",
        "no-flannel",
        "no-deploy",
        "disable-kube-proxy",
        "flannel-external-ip",
        "kube-controller-arg",
        "t",
        "d",
        "o",
        "s",
        "i",
        "c",
        "l",
    ],
)
def test_what_breaks_a_cluster_is_refused_whatever_its_value_is(key: str) -> None:
    for role in SETTINGS:
        for value in (True, False, "x", 8443):
            (line,) = refusals(role, {key: value}, VERSION)
            assert line.startswith(f"{SETTINGS[role]}: may not hold `{key}`")
            assert "no such flag" not in line


@pytest.mark.parametrize(
    ("role", "key", "value"),
    [
        ("server", "kubelet-arg", ["max-pods=50"]),
        ("agent", "kubelet-arg", "max-pods=50"),
        ("server", "cluster-cidr", "10.50.0.0/16"),
        ("server", "cluster-cidr", ["10.50.0.0/16"]),
        ("server", "flannel-backend", "wireguard-native"),
        ("server", "secrets-encryption", False),
        ("server", "embedded-registry", True),
        ("server", "service-node-port-range", "30000-31000"),
        ("server", "etcd-snapshot-name", 5),
        ("server", "etcd-snapshot-reconcile-interval", "1h30m"),
        ("server", "etcd-s3-bucket-lookup-type", "path"),
        ("agent", "v", 4),
        ("agent", "disable-apiserver-lb", True),
        ("agent", "snapshotter", "native"),
        ("agent", "prefer-bundled-bin", True),
    ],
)
def test_what_k3s_has_goes_into_config_yaml(role: Role, key: str, value: object) -> None:
    settings = parse_settings(config(**{SETTINGS[role]: {key: value}}), stack="dev", folder=CHECKOUT)
    assert (settings.server_config if role == "server" else settings.agent_config) == {key: value}


@pytest.mark.parametrize(
    ("key", "value", "has", "has_not"),
    [
        ("helm-controller-arg", ["v=1"], "v1.34.10+k3s1 v1.36.3+k3s1 v1.37.0+k3s1", "v1.34.9+k3s1 v1.36.2+k3s1"),
        ("secrets-encryption-provider", "secretbox", "v1.32.4+k3s1 v1.34.2+k3s1", "v1.32.3+k3s1 v1.29.15+k3s1"),
        ("embedded-registry", True, "v1.29.1+k3s1 v1.30.0+k3s1", "v1.29.0+k3s1 v1.25.16+k3s1"),
        ("kubelet-arg", ["v=1"], "v1.24.1+k3s1 v1.99.0+k3s1", ""),
    ],
)
def test_a_release_has_the_flags_of_its_time(key: str, value: object, has: str, has_not: str) -> None:
    assert not [version for version in has.split() if refusals("server", {key: value}, version)]
    for version in has_not.split():
        (line,) = refusals("server", {key: value}, version)
        assert f"K3s {version} has no such flag for a server; it came with v1." in line


def test_every_wrong_key_of_both_settings_comes_at_once_and_no_value_is_shown() -> None:
    given = {
        "k3sServerConfig": {"token": "hush-1", "agent-tokens": "hush-2", "debug": "hush-3", "kubelet-arg": ["v=1"]},
        "k3sAgentConfig": {"etcd-s3-session-token": "hush-4"},
    }
    with pytest.raises(SettingsError) as refused:
        parse_settings(config(**given), stack="dev", folder=CHECKOUT)
    assert [line.split("`")[1] for line in refused.value.problems] == [
        "token",
        "agent-tokens",
        "debug",
        "etcd-s3-session-token",
    ]
    assert "hush" not in str(refused.value)


def test_what_is_fixed_for_a_cluster_can_be_set_at_its_creation() -> None:
    assert set(immutable_settings.REASONS) <= set(FLAGS)
    assert not set(immutable_settings.REASONS) & set(MANAGED)


def _of_the_stand_in() -> dict[str, tuple[str, set[str], str]]:
    """Kind, roles and short name of every flag in the Go program of the local cloud."""
    found = {}
    for line in STAND_IN.read_text().splitlines():
        if line.startswith("\t{Name: "):
            fields = dict(re.findall(r'(\w+): "?([^",}]*)', line))
            roles = {role for role, field in (("server", "Server"), ("agent", "Agent")) if field in fields}
            found[fields["Name"]] = (fields.get("Kind", "Text"), roles, fields.get("Short", ""))
    return found


def test_the_local_cloud_s_k3s_has_the_same_flags() -> None:
    kinds = {"text": "Text", "duration": "Text", "list": "List", "switch": "Bool", "number": "Number"}
    short = {name: letter for letter, name in SHORT.items()}
    ours = {flag.name: (kinds[flag.kind], set(flag.roles), short.get(flag.name, "")) for flag in FLAGS.values()}
    assert _of_the_stand_in() == ours
