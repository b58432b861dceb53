"""The cheapest cluster: one droplet, SQLite, the API at the droplet's own address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import brought_up
from tests.e2e.stack import LOCAL, LOCAL_CLOUD, Stack, api, open_to_outsider, rented_with_prefix, run
from tests.e2e.status import status

PREFIX = "e2e-single"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    yield from brought_up(
        Stack("e2e-single", {"topology": "single-node", "namePrefix": PREFIX, "vpcCidr": "10.21.0.0/24"})
    )


def test_one_droplet_is_ready_and_answers_at_its_own_address(stack: Stack) -> None:
    outputs = stack.outputs()
    (server,) = outputs["servers"]
    assert stack.nodes() == {server["name"]: True}
    assert outputs["apiEndpoint"] == f"https://{server['publicAddress']}:6443"
    assert outputs["agents"] == []
    assert outputs["datastore"]["engine"] == "sqlite"
    assert f"server: https://{server['publicAddress']}:6443" in stack.kubeconfig.read_text()


def test_there_is_no_load_balancer_and_no_database(stack: Stack) -> None:
    (server,) = stack.outputs()["servers"]
    kept = [f"{PREFIX}_server", f"{PREFIX}_agent", f"{PREFIX}-vpc-01", f"{PREFIX}-cluster"]
    access = [f"{PREFIX}-servers", f"{PREFIX}-agents", f"{PREFIX}-e2e-single"]
    assert sorted(rented_with_prefix(PREFIX)) == sorted([server["name"], *kept, *access])


def test_state_lies_in_sqlite_on_the_droplet(stack: Stack) -> None:
    stack.kubectl("create", "configmap", "kept-in-sqlite")
    (server,) = stack.outputs()["servers"]
    query = "select count(*) from kine where name = '/registry/configmaps/default/kept-in-sqlite'"
    database = "/var/lib/rancher/k3s/server/db/state.db"
    counted = run(LOCAL_CLOUD, "shell", server["name"], "sqlite3", "-readonly", database, query).stdout.strip()
    assert int(counted) >= 1


def test_nothing_changes_after_up(stack: Stack) -> None:
    stack.preview("--expect-no-changes")


def test_drift_is_shown_and_up_mends_it(stack: Stack, tmp_path: Path) -> None:
    (server,) = stack.outputs()["servers"]
    run(LOCAL_CLOUD, "shell", server["name"], "sh", "-c", "echo '# by hand' >>/etc/rancher/k3s/config.yaml")
    shown = status(stack, "--drift")
    assert shown.returncode == 1
    assert "drift          found: `pulumi preview --refresh --diff` shows what" in shown.stdout
    # What the nightly workflow would write into an issue:
    issue = tmp_path / "drift.md"
    nightly = (".github/scripts/preview-stack.sh", stack.name, str(issue), "--refresh", "--expect-no-changes")
    assert run(LOCAL, *nightly, check=False).returncode != 0
    assert f"<b>{stack.name}</b>: failed" in issue.read_text()
    assert "over_ssh:Node" in issue.read_text()
    stack.pulumi("refresh", "--yes", "--skip-preview")
    stack.up()
    mended = status(stack, "--drift")
    assert mended.returncode == 0, mended.stdout
    assert "cost           $24.00 a month" in mended.stdout


def test_the_user_data_is_what_cloud_init_takes(stack: Stack) -> None:
    (server,) = stack.outputs()["servers"]
    said = run(LOCAL_CLOUD, "shell", server["name"], "cloud-init", "schema", "--system").stdout
    assert "Valid cloud-config: system userdata" in said


def test_the_cluster_survives_a_reboot(stack: Stack) -> None:
    (server,) = stack.outputs()["servers"]
    run(LOCAL_CLOUD, "fault", "kill", server["name"])
    run(LOCAL_CLOUD, "fault", "boot", server["name"])
    stack.pulumi("refresh", "--yes", "--skip-preview")
    stack.up()
    assert stack.nodes() == {server["name"]: True}
    stack.kubectl("get", "configmap", "kept-in-sqlite")


def test_an_outsider_reaches_ssh_and_the_api_and_nothing_else(stack: Stack) -> None:
    (server,) = stack.outputs()["servers"]
    ports = (22, 80, 443, 2379, 6443, 6444, 8472, 10250, 10257, 10259)
    assert {port for port in ports if open_to_outsider(server["publicAddress"], port)} == {22, 6443}


def test_admin_ranges_and_further_rules_are_changed_in_place(stack: Stack) -> None:
    (server,) = stack.outputs()["servers"]
    listener = ("systemd-run", "--quiet", "--unit=listener", "python3", "-m", "http.server", "30080")
    run(LOCAL_CLOUD, "shell", server["name"], *listener)
    assert not open_to_outsider(server["publicAddress"], 30080)
    rules = [{"ports": "30080-30081", "sources": ["0.0.0.0/0"], "nodes": "servers"}]
    stack.configure(adminCidrs=["198.51.100.10/32"], firewallRules=rules)
    done = stack.up()
    assert "replace" not in done.stdout
    for port in (22, 6443):
        assert not open_to_outsider(server["publicAddress"], port)
    assert open_to_outsider(server["publicAddress"], 30080)
    assert stack.nodes() == {server["name"]: True}
    stack.configure()
    stack.up()


def test_keys_of_people_are_let_in_and_taken_off_a_node_that_is_there(stack: Stack, tmp_path: Path) -> None:
    (server,) = stack.outputs()["servers"]
    keys = {name: tmp_path / name for name in ("ann", "bob", "eve")}
    for key in keys.values():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key.name, "-f", str(key))
    text = {name: key.with_suffix(".pub").read_text().strip() for name, key in keys.items()}
    added = {
        name: api("POST", "account/keys", {"name": f"e2e-{name}", "public_key": text[name]})["ssh_key"]
        for name in ("ann", "bob")
    }

    options = ("BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=no")
    given = [word for option in (*options, "UserKnownHostsFile=/dev/null") for word in ("-o", option)]
    host = f"root@{server['publicAddress']}"

    def may_log_in() -> list[str]:
        tried = {
            name: run(LOCAL, "ssh", *given, "-i", str(key), host, "true", check=False) for name, key in keys.items()
        }
        return [name for name, done in tried.items() if done.returncode == 0]

    def began() -> str:
        return run(LOCAL_CLOUD, "shell", server["name"], "systemctl", "show", "--property=MainPID", "k3s").stdout

    before = began()
    assert may_log_in() == []
    # By name, by fingerprint, by file.
    stack.configure(sshKeys=["e2e-ann", added["bob"]["fingerprint"], f"{keys['eve']}.pub"])
    stack.up()
    assert may_log_in() == ["ann", "bob", "eve"]
    stack.preview("--expect-no-changes")
    stack.configure(sshKeys=["e2e-ann"])
    stack.up()
    assert may_log_in() == ["ann"]
    # Taken off by hand: found by a refresh, and put back.
    run(LOCAL_CLOUD, "shell", server["name"], "sed", "-i", "/ ann$/d", "/root/.ssh/authorized_keys")
    stack.up("--refresh")
    assert may_log_in() == ["ann"]
    stack.configure()
    stack.up()
    assert may_log_in() == []
    assert began() == before, "K3s was restarted for it"
    for key in added.values():
        api("DELETE", f"account/keys/{key['id']}")


def test_a_new_size_keeps_the_droplet_and_its_data(stack: Stack) -> None:
    (server,) = stack.outputs()["servers"]
    stack.config["serverSize"] = "s-4vcpu-8gb"
    stack.configure()
    assert "replaced" not in stack.up().stdout
    (resized,) = stack.outputs()["servers"]
    assert resized == {**server, "size": "s-4vcpu-8gb"}
    assert stack.nodes() == {server["name"]: True}
    stack.kubectl("get", "configmap", "kept-in-sqlite")


def test_a_new_image_is_refused_with_what_to_do_instead(stack: Stack) -> None:
    stack.configure(image="debian-12-x64")
    done = stack.up(check=False)
    stack.configure()
    assert done.returncode != 0
    assert "image cannot change from `ubuntu-24-04-x64` to `debian-12-x64` on a single node" in done.stdout
    stack.preview("--expect-no-changes")


def test_destroy_leaves_nothing(stack: Stack) -> None:
    stack.destroy()
    assert rented_with_prefix(PREFIX) == []
    assert not stack.kubeconfig.exists()
