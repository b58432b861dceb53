"""What `auditLog` and `hardened` add to a node: parts of K3s's config.yaml, and files that they name.

Source of every step, where nothing else is said: docs.k3s.io/security/hardening-guide. What of it K3s does by itself
(no anonymous access, no profiling, RBAC, network policies enforced) or this program always asks for (secrets
encryption, kubeconfig for root only) is not repeated here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from k3s_cluster.settings import ClusterSettings

AUDIT_POLICY_PATH = "/etc/rancher/k3s/audit-policy.yaml"
AUDIT_LOG_PATH = "/var/lib/rancher/k3s/server/logs/audit.log"
ADMISSION_PATH = "/etc/rancher/k3s/admission.yaml"
KERNEL_PARAMETERS_PATH = "/etc/sysctl.d/90-kubelet.conf"

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
_KUBELET = ("streaming-connection-idle-timeout=5m", f"tls-cipher-suites={','.join(_CIPHERS)}")


def k3s_config(settings: ClusterSettings, role: Literal["server", "agent"]) -> dict[str, object]:
    """What goes into config.yaml of a node with this role."""
    api_server = (*(_AUDIT_LOG if settings.audit_policy else ()), *(_API_SERVER if settings.hardened else ()))
    config: dict[str, object] = {}
    if role == "server":
        config["kube-apiserver-arg"] = list(api_server)
    if settings.hardened:
        config |= {"protect-kernel-defaults": True, "kubelet-arg": list(_KUBELET)}
        if role == "server":
            config["kube-controller-manager-arg"] = list(_CONTROLLER_MANAGER)
    return config


def files(settings: ClusterSettings, role: Literal["server", "agent"]) -> dict[str, str]:
    """Paths and texts of what config.yaml names, and of what the kernel is told."""
    found = {}
    if role == "server" and settings.audit_policy:
        packaged = settings.audit_policy == "metadata"
        found[AUDIT_POLICY_PATH] = _text("audit_policy.yaml") if packaged else settings.audit_policy
    if settings.hardened:
        found[KERNEL_PARAMETERS_PATH] = _text("kernel_parameters.conf")
        if role == "server":
            found[ADMISSION_PATH] = _text("admission.yaml")
    return found


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
