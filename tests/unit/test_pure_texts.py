"""The texts that nodes and people get: K3s's configuration, user data, /etc/hosts, endpoints, kubeconfig."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from cloud_init import HostKey, user_data
from k3s_cluster import hardening
from k3s_cluster.datastore_endpoint import DatabaseAddress, datastore_endpoint
from k3s_cluster.k3s_config import NodeAddresses, NodeMarks, Tokens, agent_config, server_config
from k3s_cluster.kubeconfig import rewrite
from k3s_cluster.over_ssh import reboot
from k3s_cluster.over_ssh.datastore_grants import DatastoreGrantsProvider, grants
from k3s_cluster.over_ssh.hosts_file import with_servers
from k3s_cluster.settings import SECRET_KEYS, ClusterSettings, parse_settings
from tests.unit.k3s_kubeconfig import K3S_YAML
from tests.unit.stack_files import CHECKOUT, config

TOKENS = Tokens(server="server-secret", agent="agent-secret")
NODE = NodeAddresses(name="k3s-server-1a2b", public="203.0.113.7", private="10.10.10.2")


def settings(**changes: object) -> ClusterSettings:
    return parse_settings(config(**changes), stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)


def test_a_server_on_a_database() -> None:
    told = yaml.safe_load(server_config(settings(), NODE, TOKENS, "203.0.113.9", "postgres://u:p@h:1/k3s"))
    assert told == {
        "token": "server-secret",
        "agent-token": "agent-secret",
        "tls-san": ["203.0.113.9", "k3s-api.internal"],
        "secrets-encryption": True,
        "write-kubeconfig-mode": "0600",
        "node-name": "k3s-server-1a2b",
        "node-ip": "10.10.10.2",
        "node-external-ip": "203.0.113.7",
        "advertise-address": "10.10.10.2",
        "flannel-iface": "eth1",
        "datastore-endpoint": "postgres://u:p@h:1/k3s",
        "datastore-cafile": "/etc/rancher/k3s/datastore-ca.pem",
    }


def test_a_server_on_sqlite_has_no_datastore_and_leaves_out_what_is_disabled() -> None:
    text = server_config(settings(topology="single-node", disable=["traefik"]), NODE, TOKENS, "203.0.113.7", None)
    told = yaml.safe_load(text)
    assert told["disable"] == ["traefik"]
    assert not {key for key in told if key.startswith("datastore")}


def test_a_server_on_an_external_datastore_verifies_it_against_the_ca_that_was_given() -> None:
    external = {"datastoreEngine": "external", "datastoreEndpoint": "https://10.0.0.1:2379"}
    with_ca = settings(**external, datastoreCa="-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----")
    for asked, ca in ((settings(**external), None), (with_ca, "/etc/rancher/k3s/datastore-ca.pem")):
        told = yaml.safe_load(server_config(asked, NODE, TOKENS, "203.0.113.9", "https://10.0.0.1:2379"))
        assert told["datastore-endpoint"] == "https://10.0.0.1:2379"
        assert told.get("datastore-cafile") == ca


def test_servers_with_etcd_inside_are_told_of_snapshots_and_not_who_begins() -> None:
    text = server_config(settings(datastoreEngine="etcd"), NODE, TOKENS, "203.0.113.9", None)
    told = yaml.safe_load(text)
    etcd = {key: value for key, value in told.items() if key.startswith("etcd")}
    assert etcd == {"etcd-snapshot-schedule-cron": "0 */12 * * *", "etcd-snapshot-retention": 5}
    assert not {"cluster-init", "server", "datastore-endpoint"} & set(told)


def test_snapshots_go_to_the_bucket_that_was_given() -> None:
    bucket = {
        "endpoint": "fra1.digitaloceanspaces.com",
        "bucket": "b",
        "accessKey": "a",
        "secretKey": "s",
        "folder": "f",
    }

    def told(**more: object) -> dict[str, object]:
        asked = settings(datastoreEngine="etcd", etcdS3={**bucket, **more})
        config = yaml.safe_load(server_config(asked, NODE, TOKENS, "203.0.113.9", None))
        return {key: value for key, value in config.items() if key.startswith("etcd-s3")}

    assert told() == {
        "etcd-s3": True,
        "etcd-s3-endpoint": "fra1.digitaloceanspaces.com",
        "etcd-s3-bucket": "b",
        "etcd-s3-region": "us-east-1",
        "etcd-s3-folder": "f",
        "etcd-s3-retention": 5,
        "etcd-s3-access-key": "a",
        "etcd-s3-secret-key": "s",
    }
    for retention in (60, "60"):
        assert told(retention=retention)["etcd-s3-retention"] == 60


def test_an_agent_knows_its_own_token_only_and_finds_servers_by_name() -> None:
    text = agent_config(settings(), NODE, TOKENS, NodeMarks())
    assert yaml.safe_load(text)["server"] == "https://k3s-api.internal:6443"
    assert yaml.safe_load(text)["token"] == "agent-secret"
    assert "server-secret" not in text


def test_marks_and_further_settings_reach_k3s() -> None:
    told = yaml.safe_load(
        agent_config(
            settings(k3sAgentConfig={"kubelet-arg": ["max-pods=50"]}),
            NODE,
            TOKENS,
            NodeMarks((("disk", "ssd"),), ("dedicated=batch:NoSchedule",)),
        )
    )
    assert told["node-label"] == ["disk=ssd"]
    assert told["node-taint"] == ["dedicated=batch:NoSchedule"]
    assert told["kubelet-arg"] == ["max-pods=50"]
    tainted = yaml.safe_load(server_config(settings(serverTaint=True), NODE, TOKENS, "203.0.113.9", None))
    assert tainted["node-taint"] == ["node-role.kubernetes.io/control-plane:NoSchedule"]


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("disk", True),
        ("example.com/disk", True),
        ("notkubernetes.io/disk", True),
        ("kubernetes.io/role", False),
        ("node-role.kubernetes.io/worker", False),
        ("k8s.io/disk", False),
        ("custom.k8s.io/disk", False),
    ],
)
def test_labels_in_kubernetes_own_namespaces_never_reach_the_kubelet(label: str, told: bool) -> None:
    """The kubelet ends of them: cmd/kubelet/app/options/options.go, ValidateKubeletFlags."""
    text = agent_config(settings(), NODE, TOKENS, NodeMarks(((label, "a"),), ()))
    assert (yaml.safe_load(text).get("node-label") == [f"{label}=a"]) is told


def test_user_data_plants_the_host_key_and_holds_no_other_secret() -> None:
    text = user_data("server", "v1.36.4+k3s1", HostKey("PRIVATE", "ssh-ed25519 AAAA"), ("ssh-ed25519 BBBB me",))
    assert text.startswith("#cloud-config\n")
    told = yaml.safe_load(text)
    assert told["ssh_keys"] == {"ed25519_private": "PRIVATE", "ed25519_public": "ssh-ed25519 AAAA"}
    assert told["ssh_authorized_keys"] == ["ssh-ed25519 BBBB me"]
    assert told["ssh_pwauth"] is False
    files = {file["path"]: file for file in told["write_files"]}
    assert files["/etc/k3s-first-boot.env"]["content"] == "K3S_ROLE=server\nK3S_VERSION=v1.36.4+k3s1\n"
    assert told["runcmd"] == [["/usr/local/sbin/k3s-first-boot"]]
    assert files["/usr/local/sbin/k3s-first-boot"]["permissions"] == "0755"


def test_first_boot_closes_what_is_to_be_closed_before_it_installs_k3s() -> None:
    told = yaml.safe_load(user_data("agent", "v1.36.4+k3s1", HostKey("PRIVATE", "ssh-ed25519 AAAA"), ()))
    files = {file["path"]: file["content"] for file in told["write_files"]}
    assert "ip daddr 169.254.169.254 counter drop" in files["/etc/node-firewall.nft"]
    unit = files["/etc/systemd/system/node-firewall.service"]
    assert "RequiredBy=k3s.service k3s-agent.service" in unit
    assert "Before=network-pre.target k3s.service k3s-agent.service" in unit
    script = files["/usr/local/sbin/k3s-first-boot"]
    assert script.index("enable --quiet --now node-firewall.service") < script.index("https://get.k3s.io")
    assert "PasswordAuthentication no" in files["/etc/ssh/sshd_config.d/00-k3s-node.conf"].splitlines()
    assert 'Automatic-Reboot "false"' in files["/etc/apt/apt.conf.d/90-k3s-node"]


def test_nothing_of_the_cis_guide_is_there_unless_it_is_asked_for() -> None:
    text = server_config(settings(), NODE, TOKENS, "203.0.113.9", None)
    assert not {"kube-apiserver-arg", "kubelet-arg", "protect-kernel-defaults"} & set(yaml.safe_load(text))
    assert hardening.files(settings(), "server") == {}


def test_an_audit_log_alone_needs_no_hardening() -> None:
    asked = settings(auditLog="metadata")
    told = yaml.safe_load(server_config(asked, NODE, TOKENS, "203.0.113.9", None))
    assert "audit-policy-file=/etc/rancher/k3s/audit-policy.yaml" in told["kube-apiserver-arg"]
    assert "audit-log-maxsize=100" in told["kube-apiserver-arg"]
    assert "protect-kernel-defaults" not in told
    (policy,) = hardening.files(asked, "server").values()
    assert yaml.safe_load(policy)["rules"][-1] == {"level": "Metadata"}
    assert hardening.files(asked, "agent") == {}


def test_an_audit_policy_of_one_s_own_is_taken_as_it_is(tmp_path: Path) -> None:
    own = tmp_path / "policy.yaml"
    own.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Request}]\n")
    files = hardening.files(settings(auditLog=str(own)), "server")
    assert files == {"/etc/rancher/k3s/audit-policy.yaml": own.read_text()}


def test_hardened_applies_the_cis_guide_to_both_roles() -> None:
    asked = settings(hardened=True)
    server = yaml.safe_load(server_config(asked, NODE, TOKENS, "203.0.113.9", None))
    agent = yaml.safe_load(agent_config(asked, NODE, TOKENS, NodeMarks()))
    assert server["protect-kernel-defaults"] is agent["protect-kernel-defaults"] is True
    assert "enable-admission-plugins=NodeRestriction,EventRateLimit" in server["kube-apiserver-arg"]
    assert any(argument.startswith("audit-log-path=") for argument in server["kube-apiserver-arg"])
    assert server["kube-controller-manager-arg"] == ["terminated-pod-gc-threshold=100"]
    assert "kube-apiserver-arg" not in agent
    assert "streaming-connection-idle-timeout=5m" in agent["kubelet-arg"]
    files = hardening.files(asked, "server")
    named = {value for argument in server["kube-apiserver-arg"] for value in argument.split("=")[1:] if "/etc" in value}
    assert named == set(files) - {"/etc/sysctl.d/90-kubelet.conf"}
    assert set(hardening.files(asked, "agent")) == {"/etc/sysctl.d/90-kubelet.conf"}
    defaults = yaml.safe_load(files["/etc/rancher/k3s/admission.yaml"])["plugins"][0]["configuration"]["defaults"]
    assert defaults["enforce"] == "restricted"


def test_one_s_own_arguments_come_after_ours_and_win() -> None:
    asked = settings(auditLog="metadata", k3sServerConfig={"kube-apiserver-arg": ["audit-log-maxage=90"]})
    arguments = yaml.safe_load(server_config(asked, NODE, TOKENS, "203.0.113.9", None))["kube-apiserver-arg"]
    assert arguments[-1] == "audit-log-maxage=90"
    assert "audit-log-maxbackup=10" in arguments


def test_a_reboot_that_is_due_says_why_and_what_to_do() -> None:
    assert reboot.notice("k3s-agent-1a2b", ["libc6", "linux-image-6.8"]).startswith(
        "k3s-agent-1a2b needs a reboot for its updates (libc6, linux-image-6.8). When it suits you: `kubectl drain"
    )


PASSWORDS = ["plain", "a/b@c:d?e#f%g h", "ünïcode+&=;'\"", "tcp(evil:1)/db?x=y"]
HOSTS = ["db.example.com", "10.10.10.4", "2001:db8::4"]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("host", HOSTS)
def test_a_postgres_endpoint_survives_special_characters(password: str, host: str) -> None:
    parts = urlsplit(datastore_endpoint(DatabaseAddress("pg", host, 25060, "k3s user", password, "k3s")))
    assert (parts.scheme, parts.hostname, parts.port) == ("postgres", host, 25060)
    assert (parts.path, parts.query) == ("/k3s", "sslmode=verify-ca")
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == ("k3s user", password)


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize(
    ("host", "address"),
    [(HOSTS[0], "db.example.com:25060"), (HOSTS[1], "10.10.10.4:25060"), (HOSTS[2], "[2001:db8::4]:25060")],
)
def test_a_mysql_endpoint_is_a_dsn_that_keeps_the_password_as_it_is(password: str, host: str, address: str) -> None:
    endpoint = datastore_endpoint(DatabaseAddress("mysql", host, 25060, "k3s_default_user", password, "k3s"))
    assert endpoint == f"mysql://k3s_default_user:{password}@tcp({address})/k3s"


def test_a_mysql_user_that_a_dsn_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="holds a colon"):
        datastore_endpoint(DatabaseAddress("mysql", "db.example.com", 25060, "a:b", "p", "k3s"))


def test_an_address_does_not_show_its_password() -> None:
    assert "hidden" not in repr(DatabaseAddress("pg", "db.example.com", 25060, "u", "hidden", "k3s"))


def test_grants_quote_what_they_name() -> None:
    postgres = grants("pg", "k3s", "k3s\"x'")
    assert 'GRANT "k3s_owner" TO "k3s""x\'"' in postgres.administrator
    assert postgres.user[-2] == 'ALTER ROLE "k3s""x\'" SET role = \'k3s_owner\''
    assert grants("mysql", "k`s_1", "k3s'x").administrator == (r"GRANT ALL PRIVILEGES ON `k``s\_1`.* TO 'k3s''x'@'%'",)


def test_another_user_is_granted_before_the_former_goes_and_new_addresses_in_place() -> None:
    known = {"engine": "pg", "database_host": "h", "database_port": 1, "database": "k3s", "user": "old"}
    provider = DatastoreGrantsProvider()
    assert provider.diff("id", known, known).changes is False
    another = provider.diff("id", known, {**known, "user": "new"})
    assert (another.replaces, another.delete_before_replace) == (["user"], False)
    # What a stack has that was made before there was a choice of engines.
    former = {name: value for name, value in known.items() if name != "engine"}
    assert (provider.diff("id", former, known).changes, provider.diff("id", former, known).replaces) == (True, [])


def test_a_user_made_anew_under_its_name_gets_its_rights_again() -> None:
    known = {"engine": "pg", "database_host": "h", "database_port": 1, "database": "k3s", "user": "u", "password": "a"}
    found = DatastoreGrantsProvider().diff("id", known, {**known, "password": "b"})
    assert (found.changes, found.replaces) == (True, [])


def test_a_cluster_of_an_earlier_program_is_not_rotated_before_its_tables_are_handed_over() -> None:
    former, news = {"user": "old"}, {"engine": "pg", "user": "old"}
    provider = DatastoreGrantsProvider()
    assert provider.check(former, news).failures == []
    (refused,) = provider.check(former, {**news, "user": "old_2"}).failures
    assert "datastorePasswordVersion: the cluster was made by an earlier version of this program" in refused.reason
    assert provider.check({**former, "engine": "pg"}, {**news, "user": "old_2"}).failures == []
    assert provider.check({}, {**news, "user": "old_2"}).failures == []


def test_hosts_keeps_what_was_there_and_replaces_only_its_own_part() -> None:
    first = with_servers("127.0.0.1 localhost\n", "k3s-api.internal", ["10.0.0.2", "10.0.0.3"])
    assert first.startswith("127.0.0.1 localhost\n")
    assert "10.0.0.2 k3s-api.internal\n10.0.0.3 k3s-api.internal\n" in first
    second = with_servers(first + "10.9.9.9 mine\n", "k3s-api.internal", ["10.0.0.4"])
    assert "10.9.9.9 mine" in second
    assert [line for line in second.splitlines() if line.endswith("k3s-api.internal")] == ["10.0.0.4 k3s-api.internal"]
    assert with_servers(second, "k3s-api.internal", ["10.0.0.4"]) == second


def test_kubeconfig_points_at_the_api_and_bears_the_stack_s_name() -> None:
    made = yaml.safe_load(rewrite(K3S_YAML, "https://203.0.113.9:6443", "fra1", "k3s/fra1"))
    assert made["current-context"] == "fra1"
    mark = {"name": "k3s-digitalocean", "extension": {"owner": "k3s/fra1"}}
    assert made["contexts"] == [{"context": {"cluster": "fra1", "user": "fra1", "extensions": [mark]}, "name": "fra1"}]
    assert made["clusters"][0]["name"] == made["users"][0]["name"] == "fra1"
    assert made["clusters"][0]["cluster"] == {
        "certificate-authority-data": "Q0E=",
        "server": "https://203.0.113.9:6443",
    }
    assert made["users"][0]["user"] == {"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"}
