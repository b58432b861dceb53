"""The installer with a site on disk, a k3s that is a script, and a systemctl that only writes down what it is told."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_cloud.k3s.releases import HERE

VERSION = "v1.36.4+k3s1"
PROGRAM = b"#!/bin/sh\necho k3s\n"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the installer is for root")


@dataclass(frozen=True)
class Droplet:
    root: Path

    @property
    def commands(self) -> Path:
        return self.root / "bin"

    @property
    def units(self) -> Path:
        return self.root / "systemd"

    def install(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("K3S_", "INSTALL_K3S_"))}
        return subprocess.run(
            ["sh", str(HERE / "installer" / "install.sh"), *arguments],
            env={
                **inherited,
                "PATH": f"{self.root / 'fake'}:{os.environ['PATH']}",
                "INSTALL_K3S_BIN_DIR": str(self.commands),
                "INSTALL_K3S_SYSTEMD_DIR": str(self.units),
                "GITHUB_URL": f"file://{self.root}/site/releases",
                "INSTALL_K3S_CHANNEL_URL": f"file://{self.root}/site/channels",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def systemctl(self) -> list[str]:
        log = self.root / "systemctl.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def droplet(tmp_path: Path) -> Droplet:
    release = tmp_path / "site" / "releases" / "download" / VERSION
    release.mkdir(parents=True)
    (release / "k3s").write_bytes(PROGRAM)
    (release / "sha256sum-amd64.txt").write_text(f"{hashlib.sha256(PROGRAM).hexdigest()}  k3s\n")
    (release / "k3s-arm64").write_bytes(PROGRAM)
    (release / "sha256sum-arm64.txt").write_text(f"{hashlib.sha256(PROGRAM).hexdigest()}  k3s-arm64\n")
    channels = tmp_path / "site" / "channels"
    channels.mkdir()
    (channels / "stable").write_text(f"{VERSION}\n")
    (tmp_path / "systemd").mkdir()
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/systemctl.log\n')
    (fake / "systemctl").chmod(0o755)
    return Droplet(tmp_path)


def exec_start(unit: Path) -> str:
    return next(line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))


def test_a_server_from_the_stable_channel(droplet: Droplet) -> None:
    result = droplet.install()
    assert result.returncode == 0, result.stderr
    assert (droplet.commands / "k3s").read_bytes() == PROGRAM
    assert exec_start(droplet.units / "k3s.service") == f"ExecStart={droplet.commands}/k3s server"
    assert "Type=notify" in (droplet.units / "k3s.service").read_text()
    assert (droplet.commands / "k3s-uninstall.sh").stat().st_mode & stat.S_IXUSR
    assert "restart k3s" in droplet.systemctl()


def test_an_agent_keeps_its_token_to_itself(droplet: Droplet) -> None:
    result = droplet.install(INSTALL_K3S_VERSION=VERSION, K3S_URL="https://k3s:6443", K3S_TOKEN="sekrit")
    assert result.returncode == 0, result.stderr
    environment = droplet.units / "k3s-agent.service.env"
    assert "K3S_TOKEN=sekrit" in environment.read_text().splitlines()
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    assert exec_start(droplet.units / "k3s-agent.service") == f"ExecStart={droplet.commands}/k3s agent"
    assert (droplet.commands / "k3s-agent-uninstall.sh").exists()


def test_installing_without_starting(droplet: Droplet) -> None:
    result = droplet.install(INSTALL_K3S_EXEC="agent", INSTALL_K3S_SKIP_START="true", INSTALL_K3S_SKIP_ENABLE="true")
    assert result.returncode == 0, result.stderr
    assert (droplet.units / "k3s-agent.service").exists()
    assert droplet.systemctl() == ["disable k3s-agent"]


def test_exec_and_arguments_reach_the_unit_as_they_were_given(droplet: Droplet) -> None:
    marker = droplet.root / "owned"
    line = f"server --node-label 'a=b c' --token $(touch {marker}) --tls-san=*"
    result = droplet.install("--node-name", "it's 100%", INSTALL_K3S_EXEC=line)
    assert result.returncode == 0, result.stderr
    assert not marker.exists(), "a word of INSTALL_K3S_EXEC was run as a command"
    expected = (
        rf"server '--node-label' 'a=b c' '--token' '$$(touch' '{marker})' '--tls-san=*' '--node-name' 'it\'s 100%%'"
    )
    assert exec_start(droplet.units / "k3s.service") == f"ExecStart={droplet.commands}/k3s {expected}"


def test_a_damaged_download_changes_nothing(droplet: Droplet) -> None:
    assert droplet.install().returncode == 0
    for name in ("k3s", "k3s-arm64"):
        (droplet.root / "site" / "releases" / "download" / VERSION / name).write_bytes(b"damaged")
    (droplet.commands / "k3s").write_bytes(b"the one before")
    result = droplet.install()
    assert result.returncode != 0
    assert "Download sha256 does not match" in result.stderr
    assert (droplet.commands / "k3s").read_bytes() == b"the one before"
    assert [path for path in droplet.commands.iterdir() if path.name.startswith(".")] == []


def test_an_unknown_version_is_an_error(droplet: Droplet) -> None:
    result = droplet.install(INSTALL_K3S_VERSION="v9.9.9+k3s1")
    assert result.returncode != 0
    assert "Download failed" in result.stderr
    assert "v9.9.9+k3s1" in result.stderr
    assert not (droplet.units / "k3s.service").exists()


def test_an_agent_without_a_token_is_refused(droplet: Droplet) -> None:
    result = droplet.install(K3S_URL="https://k3s:6443")
    assert result.returncode != 0
    assert "K3S_TOKEN" in result.stderr


def test_the_same_again_does_not_restart(droplet: Droplet) -> None:
    assert droplet.install().returncode == 0
    before = droplet.systemctl().count("restart k3s")
    result = droplet.install()
    assert "installed k3s matches hash" in result.stdout
    assert "No change detected" in result.stdout
    assert droplet.systemctl().count("restart k3s") == before
    assert droplet.install(INSTALL_K3S_FORCE_RESTART="true").returncode == 0
    assert droplet.systemctl().count("restart k3s") == before + 1
