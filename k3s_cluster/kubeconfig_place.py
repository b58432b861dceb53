"""Whether the files on this machine can take a cluster's kubeconfig: asked before anything is made."""

from __future__ import annotations

import os
from pathlib import Path

import pulumi

from k3s_cluster import kubeconfig_file
from k3s_cluster.kubeconfig import KubeconfigError
from k3s_cluster.settings import ClusterSettings


def require_place(settings: ClusterSettings, owner: str) -> None:
    """Raise RunError if a file that is not `owner`'s is where the kubeconfig goes, or one cannot take its context."""
    own = Path(settings.kubeconfig_path).expanduser()
    try:
        kubeconfig_file.refuse_foreign(own, owner)
    except KubeconfigError as error:
        raise pulumi.RunError(
            f"kubeconfigPath: `{settings.kubeconfig_path}` cannot be written: {error}. Choose another path, or move it "
            "away. To have the context beside others in your own kubeconfig, set kubeconfigMerge to `true`, and "
            "kubeconfigPath to another file."
        ) from None
    # A plan writes nothing.
    if not pulumi.runtime.is_dry_run() and not os.access(own.resolve().parent, os.W_OK | os.X_OK):
        raise pulumi.RunError(
            f"kubeconfigPath: `{settings.kubeconfig_path}` cannot be written: you may not write into its folder. "
            "Choose another path."
        )
    if not settings.kubeconfig_merge:
        return
    file = kubeconfig_file.of_person(own)
    if file.resolve() == own.resolve():
        raise pulumi.RunError(
            f"kubeconfigMerge: {settings.stack} is merged into {file} already, and kubeconfigPath names the same file: "
            "choose another kubeconfigPath."
        )
    try:
        kubeconfig_file.refuse_taken_name(file, settings.stack, owner)
    except KubeconfigError as error:
        raise pulumi.RunError(f"kubeconfigMerge: {settings.stack} cannot be merged into {file}: {error}.") from None
