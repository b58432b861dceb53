"""The flags that `k3s server` and `k3s agent` have, which are the keys of K3s's config.yaml.

Source: github.com/k3s-io/k3s, pkg/cli/cmds, server.go (ServerFlags; as of v1.33, its hidden flags too), agent.go
(NewAgentCommand), root.go, log.go and config.go; later flags by docs.k3s.io/release-notes. Those that K3s has given up
are in managed_flags.py. An agent ends at a key that is not its own; a server skips it with a warning
(pkg/configfilearg, stripInvalidFlags in parser.go, and ValidFlags in defaultparser.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from k3s_cluster import k3s_version

Role = Literal["server", "agent"]
#: The setting that holds the flags of each role.
SETTINGS: Mapping[Role, str] = {"server": "k3sServerConfig", "agent": "k3sAgentConfig"}
#: What the command line library makes of a value: String, StringSlice, Bool, Int and Duration.
Kind = Literal["text", "list", "switch", "number", "duration"]


@dataclass(frozen=True)
class Flag:
    """One flag, with the roles that have it and, if it takes only some values, these."""

    name: str
    kind: Kind
    roles: tuple[Role, ...]
    choices: tuple[str, ...] = ()
    #: Minor versions and the first patch of each that has the flag; none of the minor versions before has it, and all
    #: after do. Empty: all have it.
    since: tuple[tuple[int, int], ...] = ()

    def known_to(self, version: str) -> bool:
        minor, patch, *_ = k3s_version.parse(version) or (0, 0)
        firsts = dict(self.since)
        return not firsts or patch >= firsts[minor] if minor in firsts else minor > max(firsts, default=0)

    def refusal(self, value: object) -> str | None:
        """What the flag takes, where it does not take `value`."""
        if not _TAKES[self.kind](value):
            found = "another text" if self.kind == "duration" and isinstance(value, str) else _named(value)
            return f"must be {_EXPECTED[self.kind]}, not {found}"
        if self.choices and value not in self.choices:
            return f"must be {', '.join(f'`{c}`' for c in self.choices[:-1])} or `{self.choices[-1]}`, not `{value}`"
        return None


def _is_duration(value: object) -> bool:
    # pkg.go.dev/time, ParseDuration; a zero needs no unit.
    return isinstance(value, str) and bool(re.fullmatch(r"0|(\d+(\.\d+)?(ns|us|ms|s|m|h))+", value, re.ASCII))


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_TAKES = {
    # Pulumi makes a number of a text of digits, and K3s a text of a number.
    "text": lambda value: isinstance(value, str) or _is_number(value),
    "list": lambda value: isinstance(value, str) or _is_list(value),
    "switch": lambda value: isinstance(value, bool),
    "number": _is_number,
    "duration": _is_duration,
}
_EXPECTED: Mapping[Kind, str] = {
    "text": "a text",
    "list": "a list of texts, or one text",
    "switch": "`true` or `false`, without quotes",
    "number": "a whole number, without quotes",
    "duration": "a duration such as `5m0s`",
}


def _named(value: object) -> str:
    """What a value is, without the value, which may be a secret."""
    match value:
        case bool():
            return "`true` or `false`"
        case str():
            return "a text"
        case int():
            return "a number"
        case float():
            return "a fraction"
        case list():
            return "a list" if _is_list(value) else "a list of other things"
        case dict():
            return "a map"
        case _:
            return "nothing"


#: Names of one letter, which config.yaml may hold too.
SHORT = {
    "c": "config",
    "d": "data-dir",
    "i": "node-ip",
    "l": "log",
    "o": "write-kubeconfig",
    "s": "server",
    "t": "token",
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    # The flags' texts in pkg/cli/cmds/server.go. Since v1.27 `ipsec` and `wireguard` end K3s: its issue 7297.
    # `none` is K3s's too; managed_flags.py refuses it with a reason of its own.
    "flannel-backend": ("vxlan", "host-gw", "wireguard-native"),
    "egress-selector-mode": ("agent", "cluster", "pod", "disabled"),
    "secrets-encryption-provider": ("aescbc", "secretbox"),
    "etcd-s3-bucket-lookup-type": ("auto", "dns", "path"),
}
#: Releases since which a flag is there. A patch of 0 stands for a minor version whose first patch no source names.
_SINCE: Mapping[str, tuple[tuple[int, int], ...]] = {
    # Rancher's list of K3s's arguments by release: github.com/rancher/kontainer-driver-metadata, channels.yaml.
    "helm-job-image": ((24, 16), (25, 12), (26, 7)),
    "tls-san-security": ((24, 17), (25, 13), (26, 8)),
    # docs.k3s.io/installation/registry-mirror and /private-registry ("January 2024 releases").
    "embedded-registry": ((26, 13), (27, 10), (28, 6), (29, 1)),
    "disable-default-registry-endpoint": ((26, 13), (27, 10), (28, 6), (29, 1)),
    # Pull requests and issues of github.com/k3s-io/k3s: their numbers, and the releases that they were validated on.
    "etcd-s3-proxy": ((28, 12), (29, 7), (30, 3)),  # 10487, 10488
    "node-internal-dns": ((28, 0),),  # 10852, 10857
    "node-external-dns": ((28, 0),),
    "nonroot-devices": ((28, 0),),  # 11200
    "etcd-s3-session-token": ((29, 0),),  # 11609
    "etcd-snapshot-reconcile-interval": ((29, 15), (30, 11), (31, 7), (32, 3)),  # 11881: releases of March 2025
    "secrets-encryption-provider": ((30, 12), (31, 8), (32, 4)),  # 12222 to 12225
    "etcd-s3-bucket-lookup-type": ((30, 13), (31, 9), (32, 5), (33, 1)),  # 12272 to 12275: releases of May 2025
    "etcd-s3-retention": ((31, 12), (32, 8), (33, 4)),  # 13769
    "helm-controller-arg": ((33, 14), (34, 10), (35, 7), (36, 3)),  # 14300; for v1.33 in v1.33.13+k3s2
    "write-kubeconfig-name": ((37, 0),),  # 14440
}


def _flags(roles: tuple[Role, ...], kind: Kind, names: str) -> Iterable[Flag]:
    return (Flag(name, kind, roles, _CHOICES.get(name, ()), _SINCE.get(name, ())) for name in names.split())


_SERVER: tuple[Role, ...] = ("server",)
_AGENT: tuple[Role, ...] = ("agent",)
_BOTH: tuple[Role, ...] = ("server", "agent")

FLAGS: Mapping[str, Flag] = {
    flag.name: flag
    for flags in (
        _flags(
            _BOTH,
            "text",
            "config vmodule log bind-address token token-file server data-dir node-name "
            "image-credential-provider-bin-dir image-credential-provider-config container-runtime-endpoint "
            "default-runtime image-service-endpoint pause-image snapshotter private-registry resolv-conf "
            "flannel-iface flannel-conf flannel-cni-conf vpn-auth vpn-auth-file",
        ),
        _flags(
            _BOTH,
            "list",
            "node-label node-taint node-ip node-external-ip node-internal-dns node-external-dns kubelet-arg "
            "kube-proxy-arg airgap-extra-registry",
        ),
        _flags(
            _BOTH,
            "switch",
            "debug alsologtostderr with-node-id docker disable-default-registry-endpoint nonroot-devices "
            "protect-kernel-defaults enable-pprof rootless prefer-bundled-bin selinux",
        ),
        _flags(_BOTH, "number", "v lb-server-port"),
        _flags(_AGENT, "switch", "disable-apiserver-lb"),
        _flags(
            _SERVER,
            "text",
            "apiserver-bind-address advertise-address service-node-port-range cluster-domain flannel-backend "
            "egress-selector-mode servicelb-namespace write-kubeconfig write-kubeconfig-mode write-kubeconfig-group "
            "write-kubeconfig-name helm-job-image agent-token agent-token-file cluster-reset-restore-path "
            "datastore-endpoint datastore-cafile datastore-certfile datastore-keyfile etcd-snapshot-name "
            "etcd-snapshot-schedule-cron etcd-snapshot-dir etcd-s3-endpoint etcd-s3-endpoint-ca etcd-s3-access-key "
            "etcd-s3-secret-key etcd-s3-session-token etcd-s3-bucket etcd-s3-bucket-lookup-type etcd-s3-region "
            "etcd-s3-folder etcd-s3-proxy etcd-s3-config-secret default-local-storage-path system-default-registry "
            "secrets-encryption-provider",
        ),
        _flags(
            _SERVER,
            "list",
            "tls-san cluster-cidr service-cidr cluster-dns kube-apiserver-arg etcd-arg kube-scheduler-arg "
            "kube-controller-manager-arg kube-controller-arg kube-cloud-controller-manager-arg "
            "kube-cloud-controller-arg helm-controller-arg disable",
        ),
        _flags(
            _SERVER,
            "switch",
            "tls-san-security flannel-ipv6-masq flannel-external-ip cluster-init cluster-reset kine-tls "
            "etcd-expose-metrics etcd-disable-snapshots etcd-snapshot-compress etcd-s3 etcd-s3-skip-ssl-verify "
            "etcd-s3-insecure disable-scheduler disable-cloud-controller disable-kube-proxy disable-network-policy "
            "disable-helm-controller disable-apiserver disable-controller-manager disable-etcd embedded-registry "
            "supervisor-metrics secrets-encryption disable-agent",
        ),
        _flags(
            _SERVER,
            "number",
            "https-listen-port supervisor-port apiserver-port advertise-port etcd-snapshot-retention etcd-s3-retention",
        ),
        _flags(_SERVER, "duration", "etcd-s3-timeout etcd-snapshot-reconcile-interval"),
    )
    for flag in flags
}
