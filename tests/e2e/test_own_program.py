"""examples/two-clusters as somebody else has it: copied elsewhere, with the package installed, not this checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.stack import CHECKOUT, LOCAL, rented, rented_with_prefix, run

pytestmark = pytest.mark.thorough

NAMES = ("blue", "green")


@dataclass(frozen=True)
class OwnProgram:
    folder: Path

    def pulumi(self, *arguments: str, check: bool = True) -> str:
        command = (LOCAL, "pulumi", "--non-interactive", "--cwd", str(self.folder), *arguments)
        return run(*command, check=check, PULUMI_STACK="e2e-own").stdout

    def nodes(self, cluster: str) -> list[str]:
        kubeconfig = self.folder / f"{cluster}.kubeconfig.yaml"
        told = run(LOCAL, "kubectl", "--kubeconfig", str(kubeconfig), "get", "nodes", "--output", "json").stdout
        return [node["metadata"]["name"] for node in json.loads(told)["items"]]


def environment(folder: Path) -> Path:
    """A virtual environment with the package in it, built as `pip install` builds it; the rest is the checkout's."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (packages / "checkout.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    # Building leaves things behind in the folder that is built.
    source = folder.parent / "source"
    for part in ("k3s_cluster", "cloud_init"):
        shutil.copytree(CHECKOUT / part, source / part, symlinks=True)
    for part in ("pyproject.toml", "requirements.in", "Pulumi.yaml"):
        shutil.copy(CHECKOUT / part, source)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    run(*pip, "--no-build-isolation", "--target", str(packages), str(source))
    return folder


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnProgram]:
    folder = tmp_path_factory.mktemp("own") / "program"
    shutil.copytree(CHECKOUT / "examples" / "two-clusters", folder, ignore=shutil.ignore_patterns(".venv", "*.yaml"))
    shutil.copy(CHECKOUT / "examples" / "two-clusters" / "Pulumi.yaml", folder)
    environment(folder / ".venv")
    own = OwnProgram(folder)
    own.pulumi("stack", "init", "e2e-own")
    try:
        own.pulumi("up", "--yes", "--skip-preview")
        yield own
    finally:
        own.pulumi("cancel", "--yes", check=False)
        own.pulumi("destroy", "--yes", "--skip-preview", check=False)
        own.pulumi("stack", "rm", "--yes", "--force", "e2e-own", check=False)


def test_each_cluster_answers_to_its_own_kubeconfig(program: OwnProgram) -> None:
    for name in NAMES:
        (node,) = program.nodes(name)
        assert node.startswith(f"{name}-server-")
    addresses = json.loads(program.pulumi("stack", "output", "--json"))
    assert sorted(addresses) == list(NAMES)
    assert len(set(addresses.values())) == 2


def test_nothing_changes_after_up(program: OwnProgram) -> None:
    program.pulumi("preview", "--expect-no-changes")


def test_one_cluster_goes_and_the_other_stays(program: OwnProgram) -> None:
    (kept,) = program.nodes("green")
    main = program.folder / "__main__.py"
    text = main.read_text()
    assert '"blue": "10.40.0.0/24", ' in text
    main.write_text(text.replace('"blue": "10.40.0.0/24", ', ""))
    program.pulumi("up", "--yes", "--skip-preview")
    assert rented_with_prefix("blue") == []
    assert not (program.folder / "blue.kubeconfig.yaml").exists()
    assert program.nodes("green") == [kept]
    assert kept in rented()["droplets"]
