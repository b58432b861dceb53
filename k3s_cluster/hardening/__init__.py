"""What `auditLog` and `hardened` add to a node: parts of K3s's config.yaml, and files that they name.

Source of every step, where nothing else is said: docs.k3s.io/security/hardening-guide. What of it K3s does by itself
(no anonymous access, no profiling, RBAC, network policies enforced) or this program always asks for (secrets
encryption, kubeconfig for root only) is not repeated here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from k3s_cluster.settings import ClusterSettings, component_arguments
from k3s_cluster.settings.component_arguments import ADMISSION_PATH, AUDIT_POLICY_PATH

KERNEL_PARAMETERS_PATH = "/etc/sysctl.d/90-kubelet.conf"


def k3s_config(settings: ClusterSettings, role: Literal["server", "agent"]) -> dict[str, object]:
    """What goes into config.yaml of a node with this role."""
    config: dict[str, object] = {
        **component_arguments.of(role, audit=settings.audit_policy is not None, hardened=settings.hardened)
    }
    if settings.hardened:
        config["protect-kernel-defaults"] = True
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
