"""Tools are built once and linked where the engine looks for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local_cloud import paths
from local_cloud.toolchain import plugins, pulumi_cli
from local_cloud.toolchain.cache import ensure_folder, exclusive
from local_cloud.toolchain.go import ToolchainError, go_build, parse_version, required_version

GREETER = """package main

import "fmt"

var greeting = "hello"

func main() { fmt.Println(greeting) }
"""

needs_go = pytest.mark.skipif(not shutil.which("go"), reason="no go on PATH")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")


@pytest.fixture
def greeter(tmp_path: Path) -> Path:
    source = tmp_path / "greeter"
    source.mkdir()
    (source / "go.mod").write_text("module greeter\n\ngo 1.24.0\n")
    (source / "main.go").write_text(GREETER)
    return source


def said_by(binary: Path) -> str:
    return subprocess.run([binary], check=True, capture_output=True, text=True).stdout.strip()


@needs_go
def test_a_program_is_built_once_per_source_and_flags(greeter: Path) -> None:
    steps: list[str] = []
    first = go_build(greeter, "greeter", report=steps.append)
    assert said_by(first) == "hello"
    assert steps[0] == "greeter: go build ..."
    assert steps[-1].startswith("greeter: go build: done in")
    steps.clear()
    assert go_build(greeter, "greeter", report=steps.append) == first
    assert steps == []
    other = go_build(greeter, "greeter", ldflags="-X main.greeting=hi", report=steps.append)
    assert said_by(other) == "hi"
    assert said_by(first) == "hello"
    (greeter / "main.go").write_text(GREETER.replace("hello", "changed"))
    assert said_by(go_build(greeter, "greeter", report=steps.append)) == "changed"


@needs_go
def test_a_program_that_does_not_compile_says_why_and_leaves_nothing(greeter: Path) -> None:
    (greeter / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(ToolchainError, match="undefined: nonsense"):
        go_build(greeter, "greeter", report=lambda line: None)
    assert [found.name for found in paths.CACHE.iterdir()] == ["locks"]


def test_only_one_of_several_at_a_time_fills_a_folder() -> None:
    filled: list[Path] = []
    barrier = threading.Barrier(4)

    def fill(draft: Path) -> None:
        filled.append(draft)
        (draft / "file").write_text("done")

    def work() -> None:
        barrier.wait()
        assert (ensure_folder("thing", fill) / "file").read_text() == "done"

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(filled) == 1


@needs_go
def test_a_build_that_waits_for_another_says_so(greeter: Path) -> None:
    said: list[str] = []
    waits = threading.Event()

    def report(line: str) -> None:
        said.append(line)
        if "waits for another Go build" in line:
            waits.set()

    with exclusive("go-build"):
        build = threading.Thread(target=go_build, args=(greeter, "greeter"), kwargs={"report": report})
        build.start()
        assert waits.wait(30)
    build.join()
    assert said[-1].startswith("greeter: go build: done in")


def test_versions_are_compared_as_numbers(greeter: Path) -> None:
    assert required_version(greeter / "go.mod") == (1, 24, 0)
    assert parse_version("go1.26.8") > parse_version("go1.9.2")


# Plugins


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home without anything of Pulumi's."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'home' / 'bin'}{os.pathsep}{os.defpath}")
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    monkeypatch.setattr(paths, "TOOLS_BIN", tmp_path / "tools")
    (tmp_path / "home" / "bin").mkdir(parents=True)
    return tmp_path / "home"


def make_executable(file: Path, text: str = "#!/bin/sh\n") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)
    return file


def test_without_official_plugins_the_stand_ins_are_linked(user: Path, tmp_path: Path) -> None:
    used = plugins.ensure_plugins(None, tmp_path / "pulumi", lambda line: None)
    assert used == {"digitalocean": "stand-in", "random": "stand-in"}
    for name in used:
        (linked,) = (tmp_path / "pulumi" / "plugins").glob(f"resource-{name}-v*/pulumi-resource-{name}")
        assert linked.resolve() == pulumi_cli.SHIMS / f"pulumi-resource-{name}"


def test_the_users_official_plugin_is_used(user: Path, tmp_path: Path) -> None:
    wanted = plugins.version("pulumi-digitalocean")
    folder = f"resource-digitalocean-v{wanted}"
    official = make_executable(user / ".pulumi" / "plugins" / folder / "pulumi-resource-digitalocean")
    used = plugins.ensure_plugins(None, tmp_path / "pulumi", lambda line: None)
    assert used["digitalocean"] == "official"
    assert (tmp_path / "pulumi" / "plugins" / folder / "pulumi-resource-digitalocean").resolve() == official


def test_a_new_enough_cli_on_path_is_used_with_its_own_language_host(user: Path) -> None:
    official = make_executable(user / "bin" / "pulumi", "#!/bin/sh\necho v3.999.0\n")
    make_executable(user / "bin" / "pulumi-language-python")
    command = pulumi_cli.ensure_pulumi(None, lambda line: None)
    assert command.resolve() == official
    assert not (paths.TOOLS_BIN / "pulumi-language-python").exists()
    assert (paths.TOOLS_BIN / "pulumi-resource-pulumi-python").exists()


def test_an_old_cli_on_path_is_not_used(user: Path) -> None:
    make_executable(user / "bin" / "pulumi", "#!/bin/sh\necho v3.100.0\n")
    assert pulumi_cli.installed_pulumi() is None


def test_every_plugin_is_started_by_a_script_that_names_no_path_of_this_machine() -> None:
    for script in pulumi_cli.SHIMS.iterdir():
        assert os.access(script, os.X_OK)
        assert str(paths.CHECKOUT) not in script.read_text()
    launcher = [sys.executable, "-P", str(pulumi_cli.SHIMS.parent), "no-such-plugin"]
    assert "language|random|digitalocean" in subprocess.run(launcher, capture_output=True, text=True).stderr
