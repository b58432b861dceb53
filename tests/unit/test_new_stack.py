"""`make stack`: what it writes is a stack that can be brought up beside the others, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from k3s_cluster.settings import ClusterSettings, parse_settings
from new_stack.__main__ import REFUSED, WRITTEN, main
from tests.unit.stack_files import CHECKOUT, config, declared

PROJECT = "k3s-digitalocean:"


def settings_in(file: Path) -> ClusterSettings:
    """As Pulumi would hand the file to the program."""
    given = yaml.safe_load(file.read_text())["config"]
    own = config(**{key.removeprefix(PROJECT): value for key, value in given.items()})
    return parse_settings(own, stack=file.name.split(".")[1], folder=CHECKOUT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The repository's own stack files, and room for more."""
    for file in CHECKOUT.glob("Pulumi.*.yaml"):
        if file.name.split(".")[1] in ("fra1", "single", "local"):
            shutil.copy(file, tmp_path)
    (tmp_path / "kubeconfig").mkdir()
    return tmp_path


@pytest.mark.parametrize("topology", ["ha", "single-node"])
def test_a_stack_of_each_topology_is_written(folder: Path, topology: str) -> None:
    assert main(["prod", topology], folder) == WRITTEN
    settings = settings_in(folder / "Pulumi.prod.yaml")
    assert (settings.topology, settings.name_prefix) == (topology, "k3s-prod")


def test_every_setting_is_in_it_with_its_default_and_what_it_is_for(folder: Path) -> None:
    main(["prod", "ha"], folder)
    text = (folder / "Pulumi.prod.yaml").read_text()
    shown = yaml.safe_load(text.replace(f"  #{PROJECT}", f"  {PROJECT}"))["config"]
    assert list(shown) == [PROJECT + key for key in declared()]
    for key, entry in declared().items():
        if key not in ("topology", "namePrefix", "vpcCidr"):
            assert shown[PROJECT + key] == entry.get("default", "")
    joined = " ".join(text.replace("\n  # ", " ").split())
    assert all(" ".join(entry["description"].split()) in joined for entry in declared().values())
    assert max(map(len, text.splitlines())) <= 120


def test_two_stacks_share_neither_prefix_nor_range(folder: Path) -> None:
    for name in ("blue", "Blue", "blue.2"):
        assert main([name, "ha"], folder) == WRITTEN
    made = [settings_in(file) for file in folder.glob("Pulumi.*.yaml")]
    theirs = [settings for settings in made if settings.name_prefix.startswith("k3s-")]
    assert {settings.name_prefix for settings in theirs} == {"k3s-blue", "k3s-blue-2", "k3s-blue-2-2", "k3s-single"}
    new = {settings.vpc_cidr for settings in theirs if settings.name_prefix != "k3s-single"}
    assert len(new) == 3
    old = {settings_in(folder / f"Pulumi.{name}.yaml").vpc_cidr for name in ("fra1", "single", "local")}
    assert not any(one.overlaps(other) for one in new for other in old)


def test_a_long_name_makes_a_prefix_that_fits(folder: Path) -> None:
    for name in ("platform-engineering-production", "platform-engineering-production-2"):
        assert main([name, "ha"], folder) == WRITTEN
    assert settings_in(folder / "Pulumi.platform-engineering-production.yaml").name_prefix == "k3s-platform-engineering"
    other = settings_in(folder / "Pulumi.platform-engineering-production-2.yaml").name_prefix
    assert other == "k3s-platform-engineeri-2"


REFUSALS: dict[str, tuple[list[str], str]] = {
    "no name": ([""], "make stack: it needs a name: make stack NAME=prod TOPOLOGY=ha"),
    "no stack's name": (
        ["a b"],
        "make stack: NAME: `a b` is no stack's name; use letters, digits, `-`, `_` and `.`, a letter or digit first",
    ),
    "an option": (
        ["--help"],
        "make stack: NAME: `--help` is no stack's name; use letters, digits, `-`, `_` and `.`, a letter or digit first",
    ),
    "there already": (["fra1"], "make stack: Pulumi.fra1.yaml is there already; edit it, or choose another NAME"),
    "no topology": (["prod", "big"], "make stack: TOPOLOGY: `big` must be `single-node` or `ha`."),
}


@pytest.mark.parametrize("text", [b"<<<<<<< HEAD\n", b"config: [1]\n", b"\xff\xfe", b"a:\n\tb: 1\n"])
def test_another_stack_s_broken_file_is_named(folder: Path, capsys: pytest.CaptureFixture[str], text: bytes) -> None:
    (folder / "Pulumi.broken.yaml").write_bytes(text)
    assert main(["prod", "ha"], folder) == REFUSED
    assert capsys.readouterr().err.startswith(
        "make stack: Pulumi.broken.yaml cannot be read as a stack's file; mend it"
    )
    assert not (folder / "Pulumi.prod.yaml").exists()


@pytest.mark.parametrize(("arguments", "message"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    before = sorted(folder.iterdir())
    assert main(arguments, folder) == REFUSED
    assert capsys.readouterr().err.strip() == message
    assert sorted(folder.iterdir()) == before
