"""K3s on one node: install, configure, start, and ask whether it is well."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from k3s_cluster.hardening import KERNEL_PARAMETERS_PATH
from k3s_cluster.k3s_config import CONFIG_PATH, DATASTORE_CA_PATH, KUBECONFIG_PATH, Role, read_config
from k3s_cluster.over_ssh.connection import Connection, NodeError
from k3s_cluster.over_ssh.hosts_file import HOSTS_PATH, with_servers
from k3s_cluster.over_ssh.progress import Progress
from k3s_cluster.over_ssh.redaction import redacted

#: The real installer downloads some 70 MB.
INSTALL_TIMEOUT_SECONDS = 600
#: K3s's unit is of type notify: `systemctl start` returns when it is up, on a small droplet after a minute or so.
START_TIMEOUT_SECONDS = 300
#: How often K3s may end and be started anew before we say that it does not start.
STARTS_AT_MOST = 4
READY_DEADLINE_SECONDS = 300
POLL_SECONDS = 0.5
JOURNAL_LINES = 25

#: Files that are right say nothing of the process that read them when they were others.
RESTART_OWED_PATH = "/etc/rancher/node/restart-owed"
INSTALLER_PATH = "/usr/local/lib/k3s-installer.sh"


@dataclass(frozen=True)
class NodeState:
    """What the cluster says of a node."""

    ready: bool
    version: str


def unit(role: Role) -> str:
    """The systemd unit that the installer makes for a role."""
    return "k3s" if role == "server" else "k3s-agent"


def has_served(connection: Connection) -> bool:
    """True if K3s's server has begun on the node: it writes its kubeconfig when its own checks are passed.

    Source: github.com/k3s-io/k3s, pkg/server/server.go, StartServer.
    """
    return connection.attempt("test", "-e", KUBECONFIG_PATH)[0] == 0


def installed_version(connection: Connection) -> str | None:
    """The version of K3s on the node, as `v1.36.4+k3s1`; None where there is none."""
    status, output, _ = connection.attempt("k3s", "--version")
    found = re.search(r"^k3s version (\S+)", output, re.MULTILINE)
    return found.group(1) if status == 0 and found else None


def install(connection: Connection, role: Role, version: str, progress: Progress) -> bool:
    """Bring the K3s binary to `version` without starting it. True if that changed the node.

    Source of the variables: docs.k3s.io/reference/env-variables.
    """
    if installed_version(connection) == version and _unit_exists(connection, role):
        return False
    progress(f"installing K3s {version}")
    connection.run(
        *("curl", "--fail", "--silent", "--show-error", "--location", "--retry", "5", "--retry-connrefused"),
        *("--max-time", "60", "--output", INSTALLER_PATH, "https://get.k3s.io"),
        timeout=INSTALL_TIMEOUT_SECONDS,
    )
    connection.run(
        *("env", f"INSTALL_K3S_VERSION={version}", f"INSTALL_K3S_EXEC={role}"),
        *("INSTALL_K3S_SKIP_START=true", "INSTALL_K3S_SKIP_ENABLE=true", "sh", INSTALLER_PATH),
        timeout=INSTALL_TIMEOUT_SECONDS,
    )
    found = installed_version(connection)
    if found != version:
        raise NodeError(f"{connection.target.host} has K3s {found} after the installer ran for {version}")
    # It unpacks itself while the old one still serves: see cloud_init/first_boot.sh.
    connection.attempt("k3s", "kubectl", "version", "--client")
    return True


def write_config(
    connection: Connection, config: str, datastore_ca: str | None, files: Mapping[str, str], unwanted: Iterable[str]
) -> bool:
    """Bring the node's K3s configuration to what is given. True if that changed it.

    `files` are what the configuration needs beside it; those in `unwanted` go. All but systemd's are for root only.
    """
    changed = connection.write_file(CONFIG_PATH, config)
    for path, text in files.items():
        mode = "0644" if path.startswith("/etc/systemd/") else "0600"
        changed = connection.write_file(path, text, mode=mode) or changed
    for path in unwanted:
        changed = connection.attempt("test", "-e", path)[0] == 0 or changed
        connection.run("rm", "-f", path)
    if KERNEL_PARAMETERS_PATH in files:
        # freedesktop.org/software/systemd/man/systemd-sysctl.html; at every boot the file is read with all others.
        connection.run("/usr/lib/systemd/systemd-sysctl", KERNEL_PARAMETERS_PATH)
    if datastore_ca is not None:
        changed = connection.write_file(DATASTORE_CA_PATH, datastore_ca) or changed
    return changed


def write_hosts(connection: Connection, api_name: str, addresses: list[str]) -> None:
    """Name every server in /etc/hosts, which is read at each connection: nothing needs a restart for it."""
    hosts = connection.read_file(HOSTS_PATH) or ""
    connection.write_file(HOSTS_PATH, with_servers(hosts, api_name, addresses), mode="0644")


def runs(connection: Connection, role: Role) -> bool:
    """True if K3s runs, whether or not it is started at boot: the installer takes that away until `start`."""
    return connection.attempt("systemctl", "is-active", "--quiet", unit(role))[0] == 0


def owe_restart(connection: Connection) -> None:
    """Note on the node that K3s may run with less than what is written: from before a change until its restart."""
    connection.write_file(RESTART_OWED_PATH, "")


def restart_is_owed(connection: Connection) -> bool:
    """True if a run ended between a change and the restart that brings it about."""
    return connection.attempt("test", "-e", RESTART_OWED_PATH)[0] == 0


def restart_is_done(connection: Connection) -> None:
    """K3s runs with what is written."""
    connection.run("rm", "-f", RESTART_OWED_PATH)


def is_active(connection: Connection, role: Role) -> bool:
    """True if K3s's unit runs and is started at boot."""
    return all(connection.attempt("systemctl", question, "--quiet", unit(role))[0] == 0 for question in _QUESTIONS)


_QUESTIONS = ("is-active", "is-enabled")


def start_at_boot(connection: Connection, role: Role) -> None:
    """Let systemd start K3s at every boot."""
    connection.run("systemctl", "daemon-reload")
    connection.run("systemctl", "enable", "--quiet", unit(role))


def prepare_start(connection: Connection, role: Role) -> None:
    """What comes before `start`, and takes time that a server's clients need not wait for."""
    start_at_boot(connection, role)
    connection.run("systemctl", "reset-failed", unit(role))


def start(connection: Connection, role: Role, *, restart: bool, progress: Progress) -> None:
    """Start K3s, or restart it, after `prepare_start`. Raises NodeError with the journal's end if it does not."""
    progress("K3s starting")
    connection.run("systemctl", "restart" if restart else "start", "--no-block", unit(role))
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        state = _properties(connection, role)
        if state["ActiveState"] == "active" and not state["Job"]:
            return
        # Its unit starts K3s anew when it ends: it may just have come too early for its datastore or its servers.
        if state["ActiveState"] == "failed" or int(state["NRestarts"]) >= STARTS_AT_MOST:
            break
        progress("K3s starting")
        time.sleep(POLL_SECONDS)
    raise NodeError(
        f"K3s did not start on {connection.target.host}; the end of its journal:\n{journal(connection, role)}"
    )


def _properties(connection: Connection, role: Role) -> dict[str, str]:
    """What systemd says of K3s's unit. `Job` is there as long as a start or restart is under way."""
    names = ("ActiveState", "NRestarts", "Job")
    shown = connection.run("systemctl", "show", "--property", ",".join(names), unit(role))
    found = dict(line.partition("=")[::2] for line in shown.splitlines())
    return {name: found.get(name, "").removeprefix("0") if name == "Job" else found.get(name, "0") for name in names}


def journal(connection: Connection, role: Role) -> str:
    """The last lines that K3s wrote to the node's journal, without the secrets in its config.yaml."""
    command = ("journalctl", "--no-pager", "--output=cat", "--lines", str(JOURNAL_LINES), "--unit", unit(role))
    return redacted(connection.attempt(*command)[1], read_config(connection.read_file(CONFIG_PATH)) or {})


def kubectl(server: Connection, *arguments: str, timeout: float = 60) -> str:
    """Output of kubectl, run on a server. Raises NodeError if it fails."""
    return server.run("k3s", "kubectl", *arguments, timeout=timeout)


def answers(server: Connection) -> bool:
    """True if the API on this server is ready."""
    return server.attempt("k3s", "kubectl", "get", "--raw=/readyz", "--request-timeout=5s")[0] == 0


def node_state(server: Connection, name: str) -> NodeState | None:
    """What the cluster says of the node `name`; None where it does not know it or does not answer."""
    status, output, _ = server.attempt("k3s", "kubectl", "get", "node", name, "--output", "json")
    if status != 0:
        return None
    found = json.loads(output)["status"]
    conditions = {condition["type"]: condition["status"] for condition in found.get("conditions", [])}
    return NodeState(ready=conditions.get("Ready") == "True", version=str(found["nodeInfo"]["kubeletVersion"]))


def wait_until_ready(
    node: Connection, server: Connection, role: Role, name: str, version: str, progress: Progress
) -> None:
    """Return when the cluster calls the node Ready, at `version`. Raises NodeError with the journal's end if not."""
    deadline = time.monotonic() + READY_DEADLINE_SECONDS
    state: NodeState | None = None
    while time.monotonic() < deadline:
        progress("waiting for Ready")
        state = node_state(server, name)
        if state is not None and state.ready and state.version == version:
            return
        time.sleep(POLL_SECONDS)
    raise NodeError(
        f"{name} was not Ready with K3s {version} within {READY_DEADLINE_SECONDS} s (the cluster says: {state}); "
        f"the end of its journal:\n{journal(node, role)}"
    )


def _unit_exists(connection: Connection, role: Role) -> bool:
    return connection.attempt("systemctl", "cat", unit(role))[0] == 0
