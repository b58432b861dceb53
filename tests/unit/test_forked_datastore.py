"""What the old cluster's rows say of it, and whether the new one may go on with them."""

from __future__ import annotations

import json

import pytest

from k3s_cluster.backup.datastore import Found
from k3s_cluster.backup.kine_rows import kubelet_version, server_arguments
from k3s_cluster.over_ssh.forked_datastore import unfit

NEW = {"secrets-encryption": "True"}
HAD = {"secrets-encryption": "true", "disable": "traefik"}


def node(arguments: list[str]) -> bytes:
    """Some of a Node object as Kubernetes stores it."""
    text = json.dumps(arguments, separators=(",", ":")).encode()
    length = bytes([len(text)]) if len(text) < 128 else bytes([len(text) & 0x7F | 0x80, len(text) >> 7])
    entry = b"\n\x10k3s.io/node-args\x12" + length + text
    return b"k8s\x00\n\n\n\x02v1\x12\x04Node\x12" + entry + b"b\x12another\x12\x03xyz:\x0cv1.36.4+k3s1B\x01"


@pytest.mark.parametrize("more", [[], ["--kubelet-arg", "x" * 300]])
def test_a_server_s_arguments_are_read_from_its_node_object(more: list[str]) -> None:
    value = node(["server", "--cluster-cidr", "10.50.0.0/16", "--secrets-encryption", "true", *more])
    arguments = server_arguments(value)
    assert arguments is not None
    assert (arguments["cluster-cidr"], arguments["secrets-encryption"]) == ("10.50.0.0/16", "true")
    assert kubelet_version(value) == "v1.36.4+k3s1"


@pytest.mark.parametrize(
    "value", [b"", node(["agent", "--server", "x"]), node([])[:-30], b"\n\x10k3s.io/node-args\x12\xff"]
)
def test_what_is_no_server_s_node_object_says_nothing(value: bytes) -> None:
    assert server_arguments(value) is None


def test_equal_settings_fit_and_so_does_what_is_not_known() -> None:
    assert unfit(Found(1, "v1.36.4+k3s1", HAD), "v1.37.0+k3s1", NEW) == []
    assert unfit(Found(1, "", {}), "v1.36.4+k3s1", NEW) == []


def test_what_must_stay_as_it_was_is_named() -> None:
    had = {**HAD, "cluster-cidr": "10.50.0.0/16"}
    (version, cidr) = unfit(Found(1, "v1.36.4+k3s1", had), "v1.35.6+k3s1", NEW)
    assert version.startswith("the old cluster had K3s v1.36.4+k3s1, and k3sVersion `v1.35.6+k3s1` is older")
    assert cidr.startswith("the old cluster had `10.50.0.0/16` for k3sServerConfig.cluster-cidr, and it must stay so")
    assert unfit(Found(1, "v1.36.4+k3s1", {}), "v1.35.6+k3s1", NEW) == [version]
    (missing,) = unfit(Found(1, "", {"disable": "x"}), "v1.36.4+k3s1", NEW)
    assert missing.startswith("the old cluster had K3s's default for k3sServerConfig.secrets-encryption")
