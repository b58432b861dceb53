"""Arguments of Kubernetes' components that `auditLog` and `hardened` set, beside those of a stack's own.

Source, where nothing else is said: docs.k3s.io/security/hardening-guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from k3s_cluster.settings.k3s_flags import SETTINGS, Role

AUDIT_POLICY_PATH = "/etc/rancher/k3s/audit-policy.yaml"
AUDIT_LOG_PATH = "/var/lib/rancher/k3s/server/logs/audit.log"
ADMISSION_PATH = "/etc/rancher/k3s/admission.yaml"
#: "API Server audit configuration", CIS 1.2.17 to 1.2.19: days, files, and megabytes of each: a gigabyte at most.
_AUDIT_LOG = (
    f"audit-policy-file={AUDIT_POLICY_PATH}",
    f"audit-log-path={AUDIT_LOG_PATH}",
    "audit-log-maxage=30",
    "audit-log-maxbackup=10",
    "audit-log-maxsize=100",
)
#: "Configuration for Kubernetes Components". NodeRestriction is K3s's own default, which the flag would replace.
_API_SERVER = (
    "enable-admission-plugins=NodeRestriction,EventRateLimit",
    f"admission-control-config-file={ADMISSION_PATH}",
    "service-account-extend-token-expiration=false",
)
_CONTROLLER_MANAGER = ("terminated-pod-gc-threshold=100",)
_CIPHERS = (
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
)
_IDLE_SECONDS = 300
_KUBELET = ("streaming-connection-idle-timeout=5m", f"tls-cipher-suites={','.join(_CIPHERS)}")
#: As pflag knows flags, with what K3s takes around them.
_ARGUMENT = r"(--)?[A-Za-z0-9][A-Za-z0-9_-]*\+?"
#: Lists that a stack's own value is added to.
_UNITED = ("enable-admission-plugins",)
#: Amounts that a stack may choose: with each of them the step is still taken.
_CHOSEN = ("audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize", "terminated-pod-gc-threshold")


def of(role: Role, *, audit: bool, hardened: bool) -> dict[str, list[str]]:
    """What goes into the lists of config.yaml on a node of this role; empty lists left out."""
    found: dict[str, list[str]] = {"kubelet-arg": list(_KUBELET) if hardened else []}
    if role == "server":
        found["kube-apiserver-arg"] = [*(_AUDIT_LOG if audit else ()), *(_API_SERVER if hardened else ())]
        found["kube-controller-manager-arg"] = list(_CONTROLLER_MANAGER) if hardened else []
    return {key: arguments for key, arguments in found.items() if arguments}


def refusals(role: Role, config: Mapping[str, object], *, audit: bool, hardened: bool) -> list[str]:
    """A line for each argument in `config`, the settings for nodes of `role`, that would take back one of those."""
    found = []
    for key, ours in of(role, audit=audit, hardened=hardened).items():
        values = dict(each.partition("=")[::2] for each in ours)
        for argument in as_list(config.get(key, [])):
            name, _, value = argument.partition("=")
            name = _name(name)
            if name in values and name not in (*_UNITED, *_CHOSEN) and not _as_strict(name, value, values[name]):
                by = "auditLog" if name.startswith("audit-") else "hardened"
                off = "`off`" if by == "auditLog" else "`false`"
                found.append(
                    f"{SETTINGS[role]}: `{name}` in `{key}` would take the place of what `{by}` sets ({values[name]}); "
                    f"remove it, or set {by} to {off}."
                )
    return found


def _as_strict(name: str, value: str, ours: str) -> bool:
    """Whether a value goes at least as far as `ours`."""
    if name == "tls-cipher-suites":
        return bool(value) and set(value.split(",")) <= set(_CIPHERS)
    if name == "streaming-connection-idle-timeout":
        found = re.fullmatch(r"([0-9]{1,6})(s|m)", value)
        return found is not None and 0 < int(found[1]) * (60 if found[2] == "m" else 1) <= _IDLE_SECONDS
    return value == ours


def _name(argument: str) -> str:
    """As K3s reads it: github.com/k3s-io/k3s, pkg/util/args.go, GetArgs. `+` and `-` add to K3s's own value."""
    return argument.removeprefix("--").rstrip("+-")


def unreadable(key: str, value: object) -> str | None:
    """What is wrong with a component's arguments under `key`. No value is shown."""
    for position, argument in enumerate(as_list(value), start=1):
        if not re.fullmatch(_ARGUMENT, argument.partition("=")[0]):
            return f"`{key}` has no name of an argument in entry {position}; write `name=value`"
    return None


def without_value(role: Role, config: Mapping[str, object]) -> list[str]:
    """A line for each argument in `config`, the settings for every node of `role`, that K3s takes for a switch."""
    return [
        f"{SETTINGS[role]}: `{argument}` in `{key}` has no value, so K3s makes `{argument}=true` of it; write that, or "
        f"`{argument}=VALUE`."
        for key, value in config.items()
        if key.endswith("-arg")
        for argument in as_list(value)
        if "=" not in argument
    ]


def as_list(value: object) -> list[str]:
    """K3s takes a text for a list of one."""
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def together(before: list[str], after: list[str]) -> list[str]:
    """Both lists. K3s hands on an argument that is there twice, and the component decides: what is united is one."""
    result = [*before, *after]
    for name in _UNITED:
        ours = any(each.startswith(f"{name}=") for each in before)
        same = [each for each in result if _name(each.partition("=")[0]) == name]
        if ours and len(same) > 1:
            items = dict.fromkeys(item for each in same for item in each.partition("=")[2].split(",") if item)
            result = [each for each in result if each not in same] + [f"{name}={','.join(items)}"]
    return result
