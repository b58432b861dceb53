"""The stack's own kubeconfig: a file that is somebody else's is neither replaced nor removed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from k3s_cluster.kubeconfig import merge, rewrite
from k3s_cluster.kubeconfig_place import require_place
from k3s_cluster.over_ssh import kubeconfig as over_ssh
from k3s_cluster.over_ssh.connection import NodeError
from k3s_cluster.settings import ClusterSettings
from tests.unit.k3s_kubeconfig import K3S_YAML

OWNER = "k3s-digitalocean/fra1"
OURS = rewrite(K3S_YAML, "https://203.0.113.9:6443", "fra1", OWNER)
SOMEBODY_S = rewrite(K3S_YAML, "https://198.51.100.7:6443", "work", "another-project/work")
UNMARKED = K3S_YAML
BESIDE_OURS = merge(SOMEBODY_S, OURS, OWNER)
#: Files that hold something which nobody can give back.
FOREIGN = {
    "another cluster's": UNMARKED,
    "another stack's": SOMEBODY_S,
    "ours with another's beside it": BESIDE_OURS,
    "a YAML file": "precious: true\n",
    "a list": "- precious\n",
    "no YAML": "a: [\n",
    "strange contexts": "contexts: [{name: 1, context: 2}, {name: 3, context: {extensions: [4, {name: 5}]}}]\n",
    "notes": "# remember the milk\n",
}
#: What may be replaced: nothing, or ours in any layout, with the context's name and namespace as the person has them.
REPLACED = {
    "an empty file": "",
    "ours": OURS,
    "ours with another address": OURS.replace("203.0.113.9", "203.0.113.77"),
    "ours renamed": OURS.replace("fra1", "work", 4).replace("k3s-digitalocean/work", OWNER),
    "ours in another layout": "# Monday\n" + yaml.safe_dump(yaml.safe_load(OURS), default_flow_style=True),
}


def settings(path: object, **others: object) -> ClusterSettings:
    return ClusterSettings.of("fra1", {"kubeconfigPath": str(path), **others})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The provider, with a server whose kubeconfig is K3s's, and what it says."""

    class Server:
        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None: ...

        def run(self, *_: str) -> str:
            return K3S_YAML

    said: list[str] = []
    monkeypatch.setattr(over_ssh, "connect", lambda *_: Server())
    monkeypatch.setattr(over_ssh, "_wait_for_answer", lambda *_: None)
    monkeypatch.setattr(over_ssh.roll, "cluster_is_going", lambda _: None)
    monkeypatch.setattr(over_ssh, "tell", lambda _, text: said.append(text))
    return said


def props(path: Path) -> dict[str, Any]:
    return {
        **{"urn": "urn", "host": "203.0.113.1", "host_key": "KEY", "private_key": "PRIVATE", "droplet_id": None},
        **{"api_address": "203.0.113.9", "context": "fra1", "path": str(path), "merge": False, "owner": OWNER},
    }


PROVIDER = over_ssh.KubeconfigProvider()


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_somebody_else_s_is_refused_before_anything_is_made(text: str, tmp_path: Path) -> None:
    file = tmp_path / "precious.yaml"
    file.write_text(text)
    with pytest.raises(pulumi.RunError) as refused:
        require_place(settings(file), OWNER)
    said = str(refused.value)
    assert said.startswith(f"kubeconfigPath: `{file}` cannot be written: it ")
    assert "Choose another path" in said
    assert "kubeconfigMerge" in said


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_came_between_plan_and_run_is_not_replaced_and_not_removed(
    text: str, tmp_path: Path, cluster: list[str]
) -> None:
    file = tmp_path / "precious.yaml"
    file.write_text(text)
    with pytest.raises(NodeError, match=r"precious\.yaml could not be written"):
        PROVIDER.create(props(file))
    PROVIDER.update("fra1", props(file), props(tmp_path / "other.yaml"))
    PROVIDER.delete("fra1", props(file))
    assert file.read_text() == text
    assert len([line for line in cluster if f"{file} is left as it is" in line]) == 2
    assert (tmp_path / "other.yaml").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", REPLACED.values(), ids=REPLACED)
def test_what_the_stack_wrote_is_replaced_and_removed(text: str, tmp_path: Path, cluster: list[str]) -> None:
    file = tmp_path / "fra1.yaml"
    file.write_text(text)
    require_place(settings(file), OWNER)
    PROVIDER.create(props(file))
    assert file.read_text() == OURS
    file.write_text(text)
    PROVIDER.delete("fra1", props(file))
    assert list(tmp_path.iterdir()) == []
    assert cluster == []


def test_another_path_moves_it_and_the_same_path_written_otherwise_does_not(
    tmp_path: Path, cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    PROVIDER.create(props(Path("a.yaml")))
    PROVIDER.update("fra1", props(Path("a.yaml")), props(tmp_path / "a.yaml"))
    assert os.listdir() == ["a.yaml"]
    PROVIDER.update("fra1", props(tmp_path / "a.yaml"), props(Path("b.yaml")))
    assert os.listdir() == ["b.yaml"]


def test_a_link_stays_and_what_it_points_to_comes_and_goes(tmp_path: Path, cluster: list[str]) -> None:
    link, real = tmp_path / "link.yaml", tmp_path / "real.yaml"
    link.symlink_to(real)
    PROVIDER.create(props(link))
    assert (link.is_symlink(), real.read_text()) == (True, OURS)
    PROVIDER.delete("fra1", props(link))
    assert (link.is_symlink(), real.exists()) == (True, False)
    real.write_text(UNMARKED)
    with pytest.raises(pulumi.RunError, match="this stack did not write it"):
        require_place(settings(link), OWNER)


def test_one_file_is_not_both_the_stack_s_own_and_the_one_it_is_merged_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    (tmp_path / ".kube").mkdir()
    with pytest.raises(pulumi.RunError, match="kubeconfigPath names the same file: choose another kubeconfigPath"):
        require_place(settings("~/.kube/config", kubeconfigMerge=True), OWNER)
    require_place(settings("~/.kube/config"), OWNER)


def test_a_folder_that_nothing_can_be_written_into_stops_up_and_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root, as whom tests may run, may write everywhere.
    monkeypatch.setattr("k3s_cluster.kubeconfig_place.os.access", lambda *_: False)
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: True)
    require_place(settings(tmp_path / "a.yaml"), OWNER)
    monkeypatch.setattr("pulumi.runtime.is_dry_run", lambda: False)
    with pytest.raises(pulumi.RunError, match="cannot be written: you may not write into its folder"):
        require_place(settings(tmp_path / "a.yaml"), OWNER)
