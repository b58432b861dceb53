"""Safe by default: what is open, who gets in, where the secrets are, and what the CIS guide's settings do.

One highly available cluster, `hardened`, brought up with Pulumi's most talkative log, so that it can be searched.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from local_cloud import addresses, paths
from tests.e2e.datastore_login import another_authority, attempt, from_droplet, login_of, refuses_another_authority
from tests.e2e.stack import CHECKOUT, COMMAND_SECONDS, LOCAL, LOCAL_CLOUD, CommandFailed, Stack, run, wait_for

HERE = Path(__file__).parent
PORT_SCAN = HERE / "port_scan.py"
UDP_ECHO = HERE / "udp_echo.py"
METADATA = "http://169.254.169.254/metadata/v1"
IN_POD = ("ip", "netns", "exec", "pod")
#: Long enough for a packet that goes through, in seconds; a dropped one never comes.
PATIENCE = "3"
AUDIT_LOG = "/var/lib/rancher/k3s/server/logs/audit.log"
#: Lines of private keys and certificates that are the same in all of them are shorter or come first.
DISTINCTIVE = 40


@dataclass
class Cluster:
    """The stack, its nodes by name, and what `pulumi up` showed and logged on the way."""

    stack: Stack
    shown: str
    log: str
    servers: list[dict[str, str]] = field(default_factory=list)
    agents: list[dict[str, str]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def nodes(self) -> list[dict[str, str]]:
        return [*self.servers, *self.agents]

    @property
    def load_balancer(self) -> str:
        return str(urlsplit(self.outputs["apiEndpoint"]).hostname)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    stack = Stack(
        "e2e-security",
        {
            "topology": "ha",
            "namePrefix": "e2e-sec",
            "vpcCidr": "10.29.0.0/24",
            "healthCheckInterval": 3,
            "healthCheckHealthy": 2,
            "healthCheckUnhealthy": 2,
            "adminCidrs": [f"{addresses.OPERATOR}/32"],
            "hardened": True,
        },
    )
    stack.init()
    try:
        shown, log = up_with_log(stack)
        outputs = stack.outputs()
        yield Cluster(stack, shown, log, outputs["servers"], outputs["agents"], outputs)
    finally:
        stack.pulumi("cancel", "--yes", check=False)
        stack.pulumi("destroy", "--yes", "--skip-preview", check=False)
        stack.remove()


def up_with_log(stack: Stack) -> tuple[str, str]:
    """`pulumi up` at its most talkative: what it shows and what it logs, which on one pipe would break each other."""
    done = subprocess.run(
        [LOCAL, "pulumi", "--non-interactive", "up", "--yes", "--skip-preview", "-v=9", "--logtostderr"],
        cwd=CHECKOUT,
        env={**os.environ, "PULUMI_STACK": stack.name},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(f"pulumi up ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout, done.stderr


def on(node: dict[str, str], *command: str, check: bool = True, stdin: str = "") -> str:
    """What a command run by root on the node prints, without SSH."""
    return run(LOCAL_CLOUD, "shell", node["name"], *command, check=check, stdin=stdin).stdout


def works_on(node: dict[str, str], *command: str) -> bool:
    return run(LOCAL_CLOUD, "shell", node["name"], *command, check=False).returncode == 0


def account(path: str) -> Any:
    """What DigitalOcean's API answers to the stack's own token."""
    script = f'curl -s -H "Authorization: Bearer $DIGITALOCEAN_TOKEN" "$DIGITALOCEAN_API_URL/v2/{path}"'
    return json.loads(run(LOCAL, "bash", "-c", script).stdout)


# --- the network ---


def scanned(*command: str, of: list[str]) -> dict[str, dict[str, list[int]]]:
    """A scan of the addresses `of`, by a Python that `command` starts somewhere."""
    found: dict[str, dict[str, list[int]]] = json.loads(
        run(*command, "python3", "-", *of, stdin=PORT_SCAN.read_text()).stdout
    )
    return found


def table(title: str, rows: list[tuple[str, list[int], list[int]]]) -> str:
    lines = [f"{who:<34} {opened!s:<22} {refused}" for who, opened, refused in rows]
    return "\n".join([f"\n{title}", f"{'':<34} {'open':<22} let through, nobody there", *lines])


def test_from_outside_nothing_is_open_but_ingress_and_for_the_administrator_ssh_and_the_api(cluster: Cluster) -> None:
    hosts = {node["publicAddress"]: node["name"] for node in cluster.nodes}
    hosts[cluster.load_balancer] = "load balancer"
    outsider = scanned(LOCAL, "--as", "outsider", of=list(hosts))
    operator = scanned(LOCAL, of=list(hosts))
    for who, found in (("somebody on the internet", outsider), ("the administrator", operator)):
        print(table(f"seen by {who}", [(hosts[host], f["open"], f["refused"]) for host, f in found.items()]))
    # Traefik would answer on 80 and 443; on the local cloud nothing does, and the firewall lets through to nobody.
    for host, name in hosts.items():
        if name == "load balancer":
            assert outsider[host]["open"] == []
            assert operator[host]["open"] == [6443]
        else:
            assert outsider[host] == {"open": [], "refused": [80, 443]}
            assert operator[host] == {"open": [22], "refused": [80, 443]}


#: Flannel's, WireGuard's, the kubelet's number, rpcbind's, mDNS's, and the first and last of NodePorts.
UDP_PORTS = (111, 5353, 8472, 10250, 30000, 32767, 51820, 51821)


def test_of_udp_only_flannel_s_port_is_open_and_between_nodes_alone(cluster: Cluster) -> None:
    ports = [str(port) for port in UDP_PORTS]
    public = {node["publicAddress"]: node["name"] for node in cluster.nodes}
    private = {node["privateAddress"]: node["name"] for node in cluster.nodes}
    with contextlib.ExitStack() as stack:
        for node in cluster.nodes:
            listening = subprocess.Popen(
                [LOCAL_CLOUD, "shell", node["name"], "python3", "-c", UDP_ECHO.read_text(), "answer", *ports],
                cwd=CHECKOUT,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(listening.wait, 30)
            stack.callback(listening.terminate)
            assert listening.stdout
            assert listening.stdout.readline() == "ready\n"

        def answered(*command: str, hosts: dict[str, str]) -> dict[str, list[int]]:
            asked = run(*command, "python3", "-", "ask", *ports, "--", *hosts, stdin=UDP_ECHO.read_text())
            found: dict[str, list[int]] = json.loads(asked.stdout)
            return {hosts[host]: seen for host, seen in found.items()}

        outsider = answered(LOCAL, "--as", "outsider", hosts=public)
        operator = answered(LOCAL, hosts=public)
        print(f"\nUDP seen from outside: {outsider}, by the administrator: {operator}")
        assert outsider == operator == {node["name"]: [] for node in cluster.nodes}
        for node in cluster.nodes:
            others = {address: name for address, name in private.items() if name != node["name"]}
            seen = answered(LOCAL_CLOUD, "shell", node["name"], hosts=others)
            print(f"UDP seen from {node['name']}: {seen}")
            assert seen == {name: [8472] for name in others.values()}


@pytest.fixture(scope="module")
def pod(cluster: Cluster) -> dict[str, str]:
    """The agent, with a pod's network on it."""
    (agent,) = cluster.agents
    on(agent, "sh", "-s", stdin=(HERE / "pod_network.sh").read_text())
    return agent


def scanned_by_a_pod(on_node: dict[str, str], nodes: list[dict[str, str]]) -> dict[str, dict[str, list[int]]]:
    """What a pod on `on_node` finds open on `nodes`, at their private and public addresses; printed as a table."""
    hosts = {node["privateAddress"]: node["name"] for node in nodes}
    hosts |= {node["publicAddress"]: f"{node['name']} (public)" for node in nodes}
    found = scanned(LOCAL_CLOUD, "shell", on_node["name"], *IN_POD, of=list(hosts))
    rows = [(hosts[host], seen["open"], seen["refused"]) for host, seen in found.items()]
    print(table(f"seen by a pod on {on_node['name']}", rows))
    return found


def test_a_pod_on_an_agent_reaches_of_the_servers_only_what_kubernetes_needs(
    cluster: Cluster, pod: dict[str, str]
) -> None:
    found = scanned_by_a_pod(pod, cluster.servers)
    # 6440 leads to 6443, for the load balancer's health checks and those of the other servers.
    for server in cluster.servers:
        assert found[server["privateAddress"]] == {"open": [6440, 6443, 10250], "refused": [80, 443]}
        assert found[server["publicAddress"]] == {"open": [], "refused": [80, 443]}


def test_a_pod_on_a_server_reaches_of_the_other_nodes_only_what_kubernetes_needs(cluster: Cluster) -> None:
    first, *others = cluster.servers
    on(first, "sh", "-s", stdin=(HERE / "pod_network.sh").read_text())
    try:
        found = scanned_by_a_pod(first, [*others, *cluster.agents])
    finally:
        on(first, "sh", "-s", "remove", stdin=(HERE / "pod_network.sh").read_text())
    for other in others:
        assert found[other["privateAddress"]] == {"open": [6440, 6443, 10250], "refused": [80, 443]}
    for agent in cluster.agents:
        assert found[agent["privateAddress"]] == {"open": [10250], "refused": [80, 443]}
    for node in [*others, *cluster.agents]:
        assert found[node["publicAddress"]] == {"open": [], "refused": [80, 443]}


def metadata_answers(node: dict[str, str], *where: str) -> bool:
    return works_on(node, *where, "curl", "--silent", "--max-time", PATIENCE, "--output", "/dev/null", METADATA + "/id")


def test_a_pod_cannot_read_metadata_and_its_node_can(pod: dict[str, str]) -> None:
    assert metadata_answers(pod)
    assert not metadata_answers(pod, *IN_POD)
    # That it is the node's firewall that keeps it away, and nothing else:
    on(pod, "nft", "delete", "table", "inet", "node_firewall")
    assert metadata_answers(pod, *IN_POD)
    on(pod, "systemctl", "reload", "node-firewall")
    assert not metadata_answers(pod, *IN_POD)


def property_of(node: dict[str, str], unit: str, name: str) -> str:
    return on(node, "systemctl", "show", "--value", "--property", name, unit).strip()


def test_the_node_s_firewall_was_there_before_k3s_was_installed(cluster: Cluster) -> None:
    for node in cluster.nodes:
        began = on(node, "sh", "-c", 'date +%s%N -d "$(systemctl show --value -p ActiveEnterTimestamp node-firewall)"')
        installed = on(node, "sh", "-c", "date +%s%N -r /usr/local/bin/k3s")
        assert int(began) <= int(installed)
        unit = "k3s" if node in cluster.servers else "k3s-agent"
        assert "node-firewall.service" in property_of(node, unit, "Requires").split()
        assert "node-firewall.service" in property_of(node, unit, "After").split()


def test_after_a_reboot_a_pod_still_cannot_read_metadata(cluster: Cluster, pod: dict[str, str]) -> None:
    boot = on(pod, "cat", "/proc/1/stat").split()[21]
    # A local droplet's network outlives its reboot, rules and all; a real one comes up with none.
    on(pod, "nft", "flush", "ruleset")
    run(LOCAL_CLOUD, "shell", pod["name"], "systemctl", "reboot", check=False)

    def came_back() -> bool:
        found = on(pod, "cat", "/proc/1/stat", check=False).split()
        return len(found) > 21 and found[21] != boot and works_on(pod, "systemctl", "is-active", "k3s-agent")

    wait_for("the agent's reboot", came_back, 90)
    firewall = int(property_of(pod, "node-firewall", "ActiveEnterTimestampMonotonic"))
    agent = int(property_of(pod, "k3s-agent", "ExecMainStartTimestampMonotonic"))
    assert 0 < firewall < agent
    on(pod, "sh", "-s", stdin=(HERE / "pod_network.sh").read_text())
    assert metadata_answers(pod)
    assert not metadata_answers(pod, *IN_POD)
    wait_for("the agent to be Ready", lambda: cluster.stack.nodes()[pod["name"]], 90)


# --- secrets ---


def needles(text: str) -> list[str]:
    """What to search for to find `text`: itself, or those lines of a PEM text that no other has."""
    if "-----BEGIN" not in text:
        return [text]
    lines = [line for line in text.splitlines() if not line.startswith("-----")]
    return [line for line in lines[1:] if len(line) >= DISTINCTIVE][-2:]


@pytest.fixture(scope="module")
def secrets(cluster: Cluster) -> dict[str, list[str]]:
    """The real secrets, each from where it is used, and what to search for to find it elsewhere."""
    config = yaml.safe_load(on(cluster.servers[0], "cat", "/etc/rancher/k3s/config.yaml"))
    databases = account("databases")["databases"]
    (database,) = (found for found in databases if found["name"].startswith("e2e-sec"))
    user = yaml.safe_load(cluster.stack.kubeconfig.read_text())["users"][0]["user"]
    found = {
        "server token": config["token"],
        "agent token": config["agent-token"],
        "datastore password": unquote(str(urlsplit(config["datastore-endpoint"]).password)),
        "datastore endpoint": config["datastore-endpoint"],
        "datastore administrator's password": database["connection"]["password"],
        "SSH key of the stack": cluster.outputs["sshPrivateKey"],
        "kubeconfig's key": base64.b64decode(user["client-key-data"]).decode(),
        "kubeconfig's key, encoded": user["client-key-data"],
    }
    for node in cluster.nodes:
        found[f"node password of {node['name']}"] = on(node, "cat", "/etc/rancher/node/password").strip()
        found[f"SSH host key of {node['name']}"] = on(node, "cat", "/etc/ssh/ssh_host_ed25519_key")
    searched = {what: needles(value) for what, value in found.items()}
    assert all(words and all(len(word) >= 12 for word in words) for words in searched.values())
    return searched


def seen_in(text: str, secrets: dict[str, list[str]], *, besides: tuple[str, ...] = ()) -> list[str]:
    """Names of the secrets that `text` gives away."""
    return [
        what
        for what, words in secrets.items()
        if not what.startswith(besides or ("-",)) and any(word in text for word in words)
    ]


def test_pulumi_s_state_holds_no_secret_in_the_clear(cluster: Cluster, secrets: dict[str, list[str]]) -> None:
    # That the search can find them: all but the kubeconfig's decoded key are in the state when it is asked to tell.
    told = cluster.stack.pulumi("stack", "export", "--show-secrets").stdout
    assert set(secrets) - set(seen_in(told, secrets)) <= {"kubeconfig's key"}
    assert seen_in(cluster.stack.pulumi("stack", "export").stdout, secrets) == []
    assert seen_in(cluster.stack.pulumi("stack", "output", "--json").stdout, secrets) == []
    assert seen_in(cluster.stack.pulumi("stack", "output").stdout, secrets) == []


def test_pulumi_s_most_talkative_log_shows_no_secret(cluster: Cluster, secrets: dict[str, list[str]]) -> None:
    logged: list[dict[str, Any]] = []
    other = []
    for line in cluster.log.splitlines():
        try:
            logged.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            other.append(line)
    assert any(record.get("v") == 9 for record in logged), "not at -v=9?"
    # The CLI of pulumi 3.259.0 wrote each property down, in the clear, from -v=3 on.
    texts = [text for record in logged for text in (json.dumps(record, ensure_ascii=False), str(record.get("msg")))]
    assert [text[:80] for text in texts if seen_in(text, secrets)] == []
    # What a person sees without asking for a log, and what our providers say.
    assert "created" in cluster.shown
    assert seen_in(cluster.shown, secrets) == []
    assert seen_in("\n".join(other), secrets) == []


def test_user_data_holds_no_secret_but_the_node_s_own_host_key(cluster: Cluster, secrets: dict[str, list[str]]) -> None:
    for node in cluster.nodes:
        told = on(node, "curl", "--silent", "--max-time", PATIENCE, METADATA + "/user-data")
        assert seen_in(told, secrets) == [f"SSH host key of {node['name']}"]
    droplets = json.dumps(account("droplets?per_page=200"))
    assert all(node["name"] in droplets for node in cluster.nodes)
    assert seen_in(droplets, secrets) == []


def test_no_process_and_no_journal_shows_a_secret(cluster: Cluster, secrets: dict[str, list[str]]) -> None:
    for node in cluster.nodes:
        unit = "k3s" if node in cluster.servers else "k3s-agent"
        processes = on(node, "sh", "-c", "ps -eww -o args; cat /proc/[0-9]*/environ | tr '\\0' '\\n'")
        assert "kubelet" in processes
        journal = on(node, "journalctl", "--no-pager", "--output", "export")
        assert f"_SYSTEMD_UNIT={unit}.service" in journal
        units = on(node, "sh", "-c", "systemctl cat '*' 2>/dev/null; cat /etc/systemd/system/*.env")
        assert f"{unit}.service" in units
        logs = on(node, "sh", "-c", "cat /var/log/cloud-init*.log /var/log/*.log 2>/dev/null")
        for text in (processes, journal, units, logs):
            assert seen_in(text, secrets) == []


def holders(node: dict[str, str], words: list[str]) -> dict[str, tuple[str, int]]:
    """Files of the node that hold one of `words`, each with its owner and mode."""
    script = (
        "grep -rlsFf /dev/stdin --devices=skip /etc /root /home /opt /run /srv /tmp /usr/local /var "
        "| while read -r file; do stat --format '%U %a %n' \"$file\"; done"
    )
    found = on(node, "sh", "-c", script, stdin="\n".join(words) + "\n")
    return {name: (owner, int(mode, 8)) for owner, mode, name in (line.split(" ", 2) for line in found.splitlines())}


def test_on_nodes_secrets_are_in_root_s_files_only_and_where_they_are_needed(
    cluster: Cluster, secrets: dict[str, list[str]]
) -> None:
    for node in cluster.nodes:
        server = node in cluster.servers
        files = holders(node, [word for words in secrets.values() for word in words])
        assert "/etc/rancher/k3s/config.yaml" in files
        assert {name: held for name, held in files.items() if held[0] != "root" or held[1] & 0o077} == {}
        foreign = ["datastore administrator's password", "SSH key of the stack"]
        if not server:
            foreign += ["server token", "datastore password", "kubeconfig's key"]
        foreign += [
            f"{kind} of {other['name']}"
            for kind in ("node password", "SSH host key")
            for other in cluster.nodes
            if other != node and not server
        ]
        assert holders(node, [word for what in foreign for word in secrets[what]]) == {}


def test_the_checkout_holds_secrets_in_the_kubeconfig_only(cluster: Cluster, secrets: dict[str, list[str]]) -> None:
    # This is the cloud itself: its droplets' disks, its databases, its records. So are other workers' clouds.
    clouds = {paths.CLOUD, paths.LOCAL / "cloud", *paths.CLOUDS.glob("*/cloud")}
    apart = {CHECKOUT / ".git", CHECKOUT / ".venv", *clouds}
    words = {word.encode() for words in secrets.values() for word in words}
    found, searched = [], []
    for folder, folders, files in os.walk(CHECKOUT):
        folders[:] = [name for name in folders if Path(folder, name) not in apart]
        for file in (Path(folder, name) for name in files):
            if file.is_symlink() or not file.is_file():
                continue
            try:
                text = file.read_bytes()
            except FileNotFoundError:  # another worker's, and gone meanwhile
                continue
            searched.append(file)
            if any(word in text for word in words):
                found.append(file)
    assert any(".pulumi" in file.parts and cluster.stack.name in file.name for file in searched), "not the state?"
    assert found == [cluster.stack.kubeconfig]
    assert stat.S_IMODE(cluster.stack.kubeconfig.stat().st_mode) == 0o600


# --- the datastore ---


def test_only_servers_get_into_the_database_and_only_with_tls_that_they_verify(
    cluster: Cluster, tmp_path: Path
) -> None:
    right = login_of(cluster.servers[0]["name"])
    server, agent = from_droplet(cluster.servers[0]["name"]), from_droplet(cluster.agents[0]["name"])
    assert attempt(server, **right) == {"answers": [[[1]]]}
    # The same, with one thing wrong each.
    assert "Can't create a connection" in attempt(agent, **right)["error"]
    assert "Can't create a connection" in attempt([LOCAL], **right)["error"]
    assert "no pg_hba.conf entry" in attempt(server, **{**right, "ca": ""})["error"]
    wrong = attempt(server, **{**right, "ca": another_authority(tmp_path)})
    assert "certificate verify failed" in wrong["error"]
    assert "password authentication failed" in attempt(server, **{**right, "password": "guessed"})["error"]


def test_the_database_user_owns_nothing_but_what_is_in_its_own_database(cluster: Cluster) -> None:
    right = login_of(cluster.servers[0]["name"])
    server = from_droplet(cluster.servers[0]["name"])
    rights = (
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles "
        "WHERE rolname IN (session_user, current_user)"
    )
    databases = "SELECT count(*) FROM pg_database WHERE pg_get_userbyid(datdba) IN (session_user, current_user)"
    tables = "SELECT tablename FROM pg_tables WHERE tableowner IN (session_user, current_user)"
    answers = attempt(server, **{**right, "queries": [rights, databases, tables]})["answers"]
    # The login, and the role that it acts as.
    assert answers == [[[False] * 5] * 2, [[0]], [["kine"]]]
    elsewhere = attempt(server, **{**right, "database": "defaultdb", "queries": ["CREATE TABLE public.mine (id int)"]})
    assert "permission denied for schema public" in elsewhere["error"]


def test_k3s_does_not_start_on_a_datastore_whose_certificate_it_cannot_verify(cluster: Cluster, tmp_path: Path) -> None:
    refuses_another_authority(cluster.servers[1]["name"], tmp_path)


# --- K3s ---


def test_nobody_is_anonymous(cluster: Cluster) -> None:
    ask = (
        "curl",
        "--silent",
        "--insecure",
        "--max-time",
        PATIENCE,
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    )
    for path in ("/api", "/version", "/healthz", "/apis"):
        assert run(LOCAL, *ask, cluster.outputs["apiEndpoint"] + path).stdout == "401"
    for node in cluster.nodes:
        assert on(cluster.servers[0], *ask, f"https://{node['privateAddress']}:10250/pods") == "401"


def test_the_audit_log_says_who_did_what_and_not_what_it_held(cluster: Cluster) -> None:
    cluster.stack.kubectl("create", "secret", "generic", "audited", "--from-literal=word=never-written-down")
    events = []
    for server in cluster.servers:
        assert on(server, "stat", "--format", "%U %a", AUDIT_LOG) == "root 600\n"
        text = on(server, "cat", AUDIT_LOG)
        assert "never-written-down" not in text
        assert base64.b64encode(b"never-written-down").decode() not in text
        events += [json.loads(line) for line in text.splitlines()]
    (event,) = (
        event for event in events if event["verb"] == "create" and event.get("objectRef", {}).get("name") == "audited"
    )
    assert event["user"]["username"] == "system:admin"
    assert event["level"] == "Metadata"
    assert event["responseStatus"]["code"] == 201
    assert not any(event.get("objectRef", {}).get("resource") == "leases" for event in events)


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "tried"},
    "spec": {"containers": [{"name": "only", "image": "nginx", "securityContext": {"privileged": True}}]},
}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def test_pods_are_restricted_in_every_namespace_but_k3s_s_own(cluster: Cluster) -> None:
    def created(namespace: str, context: dict[str, Any]) -> str:
        container = {"name": "only", "image": "nginx", "securityContext": context}
        pod = {**POD, "spec": {"containers": [container]}}
        command = (LOCAL, "kubectl", "--namespace", namespace, "create", "--dry-run=server", "--filename", "-")
        return run(*command, check=False, stdin=json.dumps(pod), PULUMI_STACK=cluster.stack.name).stdout

    assert 'violates PodSecurity "restricted:latest"' in created("default", {"privileged": True})
    assert "pod/tried created" in created("default", RESTRICTED)
    assert "pod/tried created" in created("kube-system", {"privileged": True})


def test_the_kernel_is_asked_for_what_the_kubelet_insists_on(cluster: Cluster) -> None:
    for node in cluster.nodes:
        assert "vm.overcommit_memory=1" in on(node, "cat", "/etc/sysctl.d/90-kubelet.conf").splitlines()
        journal = on(node, "journalctl", "--no-pager", "--output", "cat", "--unit", "k3s", "--unit", "k3s-agent")
        assert "protect-kernel-defaults" in journal
        kubelet = on(node, "ps", "-eww", "-o", "args")
        assert "--streaming-connection-idle-timeout=5m" in kubelet


# --- the system ---


def test_sshd_takes_keys_only(cluster: Cluster) -> None:
    for node in cluster.nodes:
        settings = dict(line.split(" ", 1) for line in on(node, "sshd", "-T").splitlines())
        assert settings["passwordauthentication"] == settings["kbdinteractiveauthentication"] == "no"
        assert settings["permitrootlogin"] in ("without-password", "prohibit-password")
        refused = run(
            *(LOCAL, "ssh", "-o", "BatchMode=yes", "-o", "PubkeyAuthentication=no", "-o", "StrictHostKeyChecking=no"),
            *("-o", "UserKnownHostsFile=/dev/null", f"root@{node['publicAddress']}", "true"),
            check=False,
        )
        assert "Permission denied (publickey)" in refused.stdout


def test_security_updates_come_by_themselves_and_reboots_do_not(cluster: Cluster) -> None:
    for node in cluster.nodes:
        told = on(node, "apt-config", "dump")
        assert 'APT::Periodic::Unattended-Upgrade "1";' in told
        assert 'Unattended-Upgrade::Automatic-Reboot "false";' in told
        origins = re.findall(r'^Unattended-Upgrade::(?:Origins-Pattern|Allowed-Origins):: "(.*)";$', told, re.MULTILINE)
        assert origins
        assert all("security" in origin or origin == "origin=Ubuntu,archive=${distro_codename}" for origin in origins)
        assert works_on(node, "sh", "-c", "command -v unattended-upgrade")


def test_a_reboot_that_updates_wait_for_is_seen_by_refresh_and_changes_nothing(cluster: Cluster) -> None:
    (agent,) = cluster.agents
    on(agent, "sh", "-c", "touch /run/reboot-required; echo libc6 > /run/reboot-required.pkgs")
    try:
        shown = cluster.stack.pulumi("refresh", "--yes", "--skip-preview").stdout
        assert f"{agent['name']} needs a reboot for its updates (libc6)" in shown
        assert shown.count("needs a reboot") >= 1
        cluster.stack.preview("--expect-no-changes")
    finally:
        on(agent, "rm", "/run/reboot-required", "/run/reboot-required.pkgs")


def test_a_node_with_another_host_key_is_refused(cluster: Cluster) -> None:
    (agent,) = cluster.agents
    key = "/etc/ssh/ssh_host_ed25519_key"
    on(agent, "sh", "-c", f"mv {key} {key}.right && ssh-keygen -q -t ed25519 -N '' -f {key} && systemctl restart ssh")
    try:
        cluster.stack.configure(drainTimeout=200)
        refused = cluster.stack.up(check=False)
        assert refused.returncode != 0
        assert (
            f"{agent['publicAddress']} answered SSH with another host key than the one this stack gave it"
            in refused.stdout
        )
        assert "Nothing was sent." in refused.stdout
        assert "Traceback" not in refused.stdout
    finally:
        on(agent, "sh", "-c", f"mv {key}.right {key} && systemctl restart ssh")
    cluster.stack.up()


def test_many_ssh_connections_are_slowed_down_and_nobody_is_locked_out(cluster: Cluster) -> None:
    address = cluster.agents[0]["publicAddress"]
    script = f"""
import select, socket, time
clients = [socket.socket() for _ in range(150)]
poller = select.epoll()
for client in clients:
    client.setblocking(False)
    client.connect_ex(({address!r}, 22))
    poller.register(client.fileno(), select.EPOLLOUT)
through, until = set(), time.monotonic() + 0.7  # Linux sends a lost SYN again after a second.
while time.monotonic() < until:
    through |= {{descriptor for descriptor, event in poller.poll(0.05) if not event & select.EPOLLERR}}
for client in clients:
    client.close()
print(len(through))
"""
    through = int(run(LOCAL, "python3", "-", stdin=script).stdout)
    print(f"\nof 150 SSH connections at once {through} came through")
    assert 1 <= through <= 62
    # Who comes back with patience gets in: Pulumi itself.
    cluster.stack.preview("--refresh", "--expect-no-changes")
