"""Which of K3s's flags a stack may not set, and why: they are this program's own, or they break its cluster."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from k3s_cluster import k3s_version
from k3s_cluster.settings import component_arguments
from k3s_cluster.settings.k3s_flags import FLAGS, SETTINGS, SHORT, Role

_ARTICLES: Mapping[Role, str] = {"server": "a server", "agent": "an agent"}


def _for(reason: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


_OLD = "K3s has given it up; set `{}`"
_PORT = "load balancer, firewalls and joining nodes use port 6443"
_NEEDED = "every server of this stack runs all of the control plane"
#: Flags that no stack sets, and what to do instead.
MANAGED: Mapping[str, str] = {
    **_for("the stack makes the tokens itself", "token token-file agent-token agent-token-file"),
    **_for("the stack sets it to its own addresses", "server tls-san cluster-init"),
    **_for(
        "the stack makes the datastore itself; see the settings that begin with datastore",
        "datastore-endpoint datastore-cafile datastore-certfile datastore-keyfile",
    ),
    **_for("the stack sets it from the droplet", "node-name node-ip node-external-ip advertise-address flannel-iface"),
    **_for("a node bears the name of its droplet, by which the stack finds it", "with-node-id"),
    **_for(
        "all nodes of a role get these settings, and one name cannot be all of theirs",
        "node-internal-dns node-external-dns",
    ),
    **_for("set labels and taints in agentPools, or serverTaint", "node-label node-taint"),
    **_for(
        "see the settings that begin with etcd",
        "etcd-snapshot-schedule-cron etcd-snapshot-retention etcd-s3 etcd-s3-endpoint etcd-s3-bucket etcd-s3-region "
        "etcd-s3-folder etcd-s3-access-key etcd-s3-secret-key etcd-s3-retention etcd-s3-config-secret",
    ),
    # docs.k3s.io/cli/server: "Forget all peers and become sole member of a new cluster", after which K3s ends.
    **_for("a cluster is restored with restoreFile, or with bin/restore", "cluster-reset cluster-reset-restore-path"),
    **_for("set `disable`", "disable no-deploy"),
    **_for("the kubeconfig on a server is for root only", "write-kubeconfig-mode write-kubeconfig-group"),
    **_for(
        "the stack reads it from K3s's own place; kubeconfigPath says where yours is",
        "write-kubeconfig",
    ),
    **_for("the stack calls cluster, user and context after itself in your kubeconfig", "write-kubeconfig-name"),
    **_for("this is the file that K3s reads its settings from", "config"),
    **_for(
        "K3s would start an empty cluster there, and what this program reads on a node is in /var/lib/rancher/k3s",
        "data-dir",
    ),
    **_for(_PORT, "https-listen-port advertise-port supervisor-port apiserver-port"),
    # The health check and agents come over the VPC, K3s's own kubectl over 127.0.0.1.
    **_for(
        "the API is reached on the droplet's own addresses and on 127.0.0.1; adminCidrs says from where",
        "bind-address apiserver-bind-address",
    ),
    **_for(
        f"{_NEEDED}, and is a node; serverTaint keeps workloads off it",
        "disable-agent",
    ),
    **_for(_NEEDED, "disable-apiserver disable-controller-manager disable-scheduler"),
    **_for("set datastoreEngine; with `etcd` every server is a member", "disable-etcd"),
    # docs.k3s.io/networking/networking-services ("Deploying an External Cloud Controller Manager").
    **_for(
        "without it nodes keep the taint node.cloudprovider.kubernetes.io/uninitialized, and no pod runs",
        "disable-cloud-controller",
    ),
    **_for(
        "Services would lead nowhere: what stands in for kube-proxy is a CNI of its own, and this cluster has Flannel",
        "disable-kube-proxy",
    ),
    # docs.k3s.io/networking/basic-network-options: external addresses instead of internal ones.
    **_for("the firewalls let Flannel's traffic through inside the VPC only", "flannel-external-ip"),
    **_for("droplets run K3s as root", "rootless"),
    **_for("nodes reach each other in the stack's own VPC, and have no Tailscale", "vpn-auth vpn-auth-file"),
    **_for("K3s's log is in the journal (`journalctl -u k3s`), where this program quotes it from", "log"),
    # Flags that are hidden in pkg/cli/cmds, or were until K3s gave them up.
    **_for("the stack makes the tokens itself", "cluster-secret"),
    **_for("no node would be Ready without Flannel", "no-flannel"),
    **_for(_OLD.format("selinux"), "disable-selinux"),
    **_for(_OLD.format("kube-controller-manager-arg"), "kube-controller-arg"),
    **_for(_OLD.format("kube-cloud-controller-manager-arg"), "kube-cloud-controller-arg"),
}
#: Values that K3s takes and a stack does not.
_VALUES: Mapping[tuple[str, str], str] = {
    ("flannel-backend", "none"): "needs a CNI of your own, without which no node would be Ready"
}


def refusals(role: Role, config: Mapping[str, object], version: str) -> list[str]:
    """What is wrong with `config`, the settings for every node of `role` with this release of K3s: a line each.

    No line shows a value that may be a secret.
    """
    lines = ((key, _refusal(role, key, value, version)) for key, value in config.items())
    return [f"{SETTINGS[role]}: {line}." for _, line in lines if line]


def _refusal(role: Role, key: str, value: object, version: str) -> str | None:
    if key.startswith("-"):
        return f"may hold K3s's flags without their dashes in front, not `{key}`"
    name = SHORT.get(key, key)
    if name in MANAGED:
        return f"may not hold `{key}`{f', which is `{name}`' if name != key else ''}: {MANAGED[name]}"
    flag = FLAGS.get(name)
    if flag is None or role not in flag.roles or not flag.known_to(version):
        whose = f"K3s {version} has no such flag for {_ARTICLES[role]}"
        return f"may not hold `{key}`: {whose}; {_instead(role, key, version)}"
    if isinstance(value, str) and (reason := _VALUES.get((name, value))):
        return f"`{key}: {value}` {reason}"
    if wrong := flag.refusal(value):
        return f"`{key}` {wrong}"
    return component_arguments.unreadable(key, value) if name.endswith("-arg") else None


def _instead(role: Role, key: str, version: str) -> str:
    """What to do about a flag that a role does not have with this release."""
    flag = FLAGS.get(key)
    if flag and role not in flag.roles:
        (other,) = flag.roles
        return f"it is {_ARTICLES[other]}'s: set it in {SETTINGS[other]}"
    if flag:
        had = k3s_version.parse(version) or (0,)
        later = " or ".join(f"v1.{minor}.{patch}" for minor, patch in flag.since if minor >= had[0])
        return f"it came with {later}: raise k3sVersion"
    names = [flag.name for flag in FLAGS.values() if role in flag.roles and flag.known_to(version)]
    if not (near := difflib.get_close_matches(key, names, n=1)):
        return f"docs.k3s.io/cli/{role} has those there are"
    managed = f", which is not set here: {MANAGED[near[0]]}" if near[0] in MANAGED else ""
    return f"the nearest is `{near[0]}`{managed}"
