"""Whether a node's updates wait for a reboot: said to the operator, who decides when."""

from __future__ import annotations

from k3s_cluster.over_ssh.connection import Connection

#: debian.org/doc/debian-policy/ch-opersys.html#signaling-that-a-reboot-is-required: who needs it is in the second file.
SENTINEL = "/run/reboot-required"
PACKAGES = "/run/reboot-required.pkgs"


def required_for(connection: Connection) -> list[str] | None:
    """The packages whose update needs a reboot, sorted; empty where nobody says which; None where none is needed."""
    if connection.attempt("test", "-e", SENTINEL)[0] != 0:
        return None
    return sorted(set((connection.read_file(PACKAGES) or "").split()))


def notice(name: str, packages: list[str]) -> str:
    """What to tell the operator."""
    why = f" ({', '.join(packages)})" if packages else ""
    return (
        f"{name} needs a reboot for its updates{why}. When it suits you: `kubectl drain {name} --ignore-daemonsets "
        f"--delete-emptydir-data`, `reboot` on the node, `kubectl uncordon {name}`."
    )
