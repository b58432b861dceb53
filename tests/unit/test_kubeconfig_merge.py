"""A stack's context in a person's own kubeconfig: it comes, it goes, and nothing else changes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import yaml

from k3s_cluster import kubeconfig_file
from k3s_cluster.kubeconfig import KubeconfigError, merge, owner_of, rewrite, unmerge
from tests.unit.k3s_kubeconfig import K3S_YAML

OWNER = owner_of("k3s-digitalocean", "fra1")


def own(name: str = "fra1", server: str = "https://203.0.113.9:6443") -> str:
    return rewrite(K3S_YAML, server, name, OWNER)


#: Comments, an odd order, quotes, two indents, and three contexts of other people.
FOREIGN = """\
# my clusters
kind: Config
apiVersion: v1
current-context: "work"   # Monday to Friday
users:
  - name: work   # rotates in May
    user:
      exec: {command: aws, args: [eks, get-token], apiVersion: client.authentication.k8s.io/v1}
  - name: home
    user:
      token: abc

  # the lab's key is on the stick
  - name: lab
    user: {client-key: /media/stick/key}
preferences: {}
clusters:
- name: work
  cluster:
    server: https://work.example.com
- cluster: {server: "https://home.example.com"}
  name: home
- name: lab
  cluster:
    server: https://lab.example.com   # behind the VPN
# contexts come last
contexts:
- name: work
  context: {cluster: work, user: work, namespace: team}
- context:
    cluster: home
    user: home
  name: home
- name: lab
  context: {cluster: lab, user: lab}
# the end
"""


def names(text: str, key: str) -> list[str]:
    return [entry["name"] for entry in yaml.safe_load(text)[key]]


def test_a_context_comes_and_every_line_that_was_there_stays() -> None:
    merged = merge(FOREIGN, own(), OWNER)
    for key in ("clusters", "contexts", "users"):
        assert names(merged, key) == [*names(FOREIGN, key), "fra1"]
    following = iter(merged.splitlines())
    assert all(line in following for line in FOREIGN.splitlines())
    assert yaml.safe_load(merged)["current-context"] == "work"
    (cluster,) = (entry for entry in yaml.safe_load(merged)["clusters"] if entry["name"] == "fra1")
    assert cluster["cluster"]["server"] == "https://203.0.113.9:6443"


def test_it_goes_and_leaves_the_very_bytes_that_were_there() -> None:
    assert unmerge(merge(FOREIGN, own(), OWNER), "fra1", OWNER) == FOREIGN


def test_two_stacks_go_in_either_order() -> None:
    other = owner_of("k3s-digitalocean", "nyc")
    both = merge(merge(FOREIGN, own(), OWNER), own("nyc"), other)
    assert names(both, "contexts")[-2:] == ["fra1", "nyc"]
    assert unmerge(unmerge(both, "fra1", OWNER), "nyc", other) == FOREIGN
    assert unmerge(unmerge(both, "nyc", other), "fra1", OWNER) == FOREIGN


def test_a_second_merge_replaces_the_first() -> None:
    once = merge(FOREIGN, own(), OWNER)
    assert merge(once, own(), OWNER) == once
    moved = merge(once, own(server="https://203.0.113.77:6443"), OWNER)
    assert names(moved, "clusters").count("fra1") == 1
    assert "203.0.113.77" in moved
    assert "203.0.113.9" not in moved
    assert unmerge(moved, "fra1", OWNER) == FOREIGN


@pytest.mark.parametrize("kind", ["cluster", "context", "user"])
def test_a_name_that_is_taken_is_refused(kind: str) -> None:
    entry = {"name": "fra1", kind: {"cluster": "a", "user": "b"}}
    taken = yaml.safe_dump({"apiVersion": "v1", "kind": "Config", f"{kind}s": [entry]})
    with pytest.raises(KubeconfigError, match=rf"it has a {kind} called `fra1` already, which is not this stack's"):
        merge(taken, own(), OWNER)
    assert unmerge(taken, "fra1", OWNER) == taken


def test_another_stack_of_the_same_name_is_somebody_else() -> None:
    merged = merge(FOREIGN, own(), OWNER)
    assert unmerge(merged, "fra1", "other-project/fra1") == merged
    with pytest.raises(KubeconfigError):
        merge(merged, own(), "other-project/fra1")


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "apiVersion: v1\nkind: Config\n", "contexts: []\nusers: null\n"]
)
def test_an_empty_file_gets_a_current_context_and_loses_it_again(text: str) -> None:
    merged = merge(text, own(), OWNER)
    config = yaml.safe_load(merged)
    assert (config["apiVersion"], config["kind"], config["current-context"]) == ("v1", "Config", "fra1")
    assert names(merged, "users") == ["fra1"]
    left = yaml.safe_load(unmerge(merged, "fra1", OWNER))
    assert left["current-context"] == ""
    assert not any(left.get(key) for key in ("clusters", "contexts", "users"))


def test_what_cannot_be_edited_is_written_anew_with_every_value() -> None:
    flow = yaml.safe_dump(yaml.safe_load(FOREIGN), default_flow_style=True)
    merged = merge(flow, own(), OWNER)
    assert names(merged, "contexts") == ["work", "home", "lab", "fra1"]
    assert yaml.safe_load(unmerge(merged, "fra1", OWNER)) == yaml.safe_load(FOREIGN)


@pytest.mark.parametrize("name", ["123", "true", "null", "a.b"])
def test_a_name_that_yaml_would_take_for_something_else(name: str) -> None:
    merged = merge("", own(name), OWNER)
    assert yaml.safe_load(merged)["current-context"] == name
    assert names(merge(FOREIGN, own(name), OWNER), "contexts")[-1] == name


@pytest.mark.parametrize(
    ("text", "says"),
    [("a: [", "it is not YAML"), ("just words", "and no kubeconfig"), ("contexts: 3", "and no kubeconfig")],
)
def test_what_is_no_kubeconfig_is_refused(text: str, says: str) -> None:
    with pytest.raises(KubeconfigError, match=says):
        merge(text, own(), OWNER)


def test_the_file_is_private_a_link_stays_a_link_and_a_backup_is_kept(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "config"
    real.parent.mkdir()
    real.write_text(FOREIGN)
    link = tmp_path / "config"
    link.symlink_to(real)
    kubeconfig_file.merge(link, own(), OWNER)
    assert link.is_symlink()
    assert names(real.read_text(), "contexts")[-1] == "fra1"
    assert real.stat().st_mode & 0o777 == 0o600
    backup = kubeconfig_file.backup_of(real, "fra1")
    assert backup.read_text() == FOREIGN
    assert backup.stat().st_mode & 0o777 == 0o600
    kubeconfig_file.unmerge(link, "fra1", OWNER)
    assert real.read_text() == FOREIGN
    assert sorted(path.name for path in real.parent.iterdir()) == ["config", "config.before-fra1"]


def test_a_file_that_is_no_copy_of_the_kubeconfig_is_not_replaced_by_one(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(FOREIGN)
    there = kubeconfig_file.backup_of(file, "fra1")
    for precious in ("precious", "kind: Deployment\nmetadata: {}\n"):
        there.write_text(precious)
        with pytest.raises(KubeconfigError, match=r"config\.before-fra1 is there, .* is no kubeconfig: move it away"):
            kubeconfig_file.refuse_taken_name(file, "fra1", OWNER)
        with pytest.raises(KubeconfigError):
            kubeconfig_file.merge(file, own(), OWNER)
        assert (there.read_text(), file.read_text()) == (precious, FOREIGN)
    there.write_text(FOREIGN)
    kubeconfig_file.refuse_taken_name(file, "fra1", OWNER)


def test_a_missing_file_is_made_and_one_that_went_away_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "home" / ".kube" / "config"
    kubeconfig_file.unmerge(file, "fra1", OWNER)
    assert not file.parent.exists()
    kubeconfig_file.merge(file, own(), OWNER)
    assert names(file.read_text(), "contexts") == ["fra1"]


def test_many_stacks_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(FOREIGN)
    stacks = [f"stack-{number}" for number in range(12)]

    def come(name: str) -> None:
        kubeconfig_file.merge(file, own(name), owner_of("p", name))

    def go(name: str) -> None:
        kubeconfig_file.unmerge(file, name, owner_of("p", name))

    for act, expected in ((come, {"work", "home", "lab", *stacks}), (go, {"work", "home", "lab"})):
        threads = [threading.Thread(target=act, args=(name,)) for name in stacks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(names(file.read_text(), "contexts")) == expected
    assert file.read_text() == FOREIGN


def test_a_lock_that_stays_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig_file, "LOCK_SECONDS", 0.1)
    file = tmp_path / "config"
    file.write_text(FOREIGN)
    (tmp_path / "config.lock").touch()
    with pytest.raises(KubeconfigError, match=r"config\.lock is there"):
        kubeconfig_file.merge(file, own(), OWNER)
    assert file.read_text() == FOREIGN
    assert (tmp_path / "config.lock").exists()


def test_what_is_no_file_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "config"
    os.mkfifo(pipe)
    for change in (
        lambda: kubeconfig_file.refuse_taken_name(pipe, "fra1", OWNER),
        lambda: kubeconfig_file.merge(pipe, own(), OWNER),
        lambda: kubeconfig_file.unmerge(pipe, "fra1", OWNER),
    ):
        with pytest.raises(KubeconfigError, match="it is there, and is not a file"):
            change()
    assert pipe.is_fifo()
    assert [each.name for each in tmp_path.iterdir()] == ["config"]


def test_which_file_is_the_person_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    stack_s = tmp_path / "kubeconfig" / "fra1.yaml"
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert kubeconfig_file.of_person(stack_s) == tmp_path / ".kube" / "config"
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(["", "/one", "/two"]))
    assert kubeconfig_file.of_person(stack_s) == Path("/one")
    monkeypatch.setenv("KUBECONFIG", str(stack_s))
    assert kubeconfig_file.of_person(stack_s) == tmp_path / ".kube" / "config"
