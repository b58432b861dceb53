"""Pulumi's own releases, from a host of them on the loopback: good ones are used, all others are not."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_cloud import paths
from local_cloud.toolchain import __main__ as toolchain
from local_cloud.toolchain import plugins, pulumi_cli, pulumi_releases
from local_cloud.toolchain.download import Patience
from local_cloud.toolchain.pulumi_releases import CLI_MACHINES, PLUGIN_MACHINES, PulumiReleases
from tests.plugins.release_server import ReleaseServer, archive_of

CLI = plugins.version("pulumi")
DIGITALOCEAN = plugins.version("pulumi-digitalocean")
RANDOM = plugins.version("pulumi-random")
#: For what never comes: a test need not wait as long as a user may have to.
IMPATIENT_SECONDS = 0.5


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home without anything of Pulumi's, and nothing in the cache; a build is one that takes no time."""
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(paths, "TOOLS_BIN", tmp_path / "tools")
    monkeypatch.setattr(plugins, "PULUMI_HOME", tmp_path / "pulumi")
    monkeypatch.setattr(pulumi_cli, "build_pulumi", lambda report: executable(tmp_path / "built", "built"))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{home / 'bin'}{os.pathsep}{os.defpath}")
    for name in ("PULUMI_HOME", "LOCAL_CLOUD_DOWNLOADS", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    """The host of the releases, with a good one of everything."""
    folder = tmp_path / "host"
    folder.mkdir()
    server = ReleaseServer(folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    # As Pulumi names and packs them, and with the digests that it publishes: SHA-256 for the CLI, SHA-1 for plugins.
    server.publish(
        "sdk",
        cli_archive(),
        f"pulumi-{CLI}-checksums.txt",
        {f"pulumi/{name}": script(f"official {name}") for name in ("pulumi", *pulumi_cli.BUNDLED_PLUGINS)},
        hashlib.sha256,
    )
    for name, version in (("digitalocean", DIGITALOCEAN), ("random", RANDOM)):
        program = f"pulumi-resource-{name}"
        server.publish(
            "plugins",
            plugin_archive(name, version),
            f"pulumi-{name}_{version}_checksums.txt",
            {"README.md": "", f"./{program}": script(f"official {name}")},
            hashlib.sha1,
        )
    yield server
    server.close()


@pytest.fixture
def releases(host: ReleaseServer) -> PulumiReleases:
    return PulumiReleases(host.url)


def cli_archive() -> str:
    return f"pulumi-v{CLI}-linux-{CLI_MACHINES[platform.machine()]}.tar.gz"


def plugin_archive(name: str, version: str) -> str:
    return f"pulumi-resource-{name}-v{version}-linux-{PLUGIN_MACHINES[platform.machine()]}.tar.gz"


CLI_PATH = f"/sdk/{cli_archive()}"


def script(says: str) -> str:
    return f"#!/bin/sh\necho {says}\n"


def executable(file: Path, says: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(script(says))
    file.chmod(0o755)
    return file


def said_by(program: Path) -> str:
    return subprocess.run([program], check=True, capture_output=True, text=True).stdout.strip()


def in_cache() -> list[str]:
    return sorted(entry.name for entry in paths.CACHE.iterdir() if entry.name != "locks")


def installed_plugin(name: str, version: str) -> Path:
    return plugins.PULUMI_HOME / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"


def test_good_releases_are_downloaded_once_and_used(releases: PulumiReleases, host: ReleaseServer) -> None:
    lines: list[str] = []
    command = pulumi_cli.ensure_pulumi(releases, lines.append)
    used = plugins.ensure_plugins(releases, plugins.PULUMI_HOME, lines.append)
    assert said_by(command) == "official pulumi"
    # The engine finds the programs of its own distribution beside its real path.
    assert said_by(command.resolve().parent / "pulumi-language-python") == "official pulumi-language-python"
    assert not (paths.TOOLS_BIN / "pulumi-language-python").exists()
    assert used == {"digitalocean": "official", "random": "official"}
    assert said_by(installed_plugin("random", RANDOM)) == "official random"
    assert not [line for line in lines if "could not" in line]
    asked = len(host.asked)
    assert asked == 6
    assert said_by(pulumi_cli.ensure_pulumi(releases, lines.append)) == "official pulumi"
    plugins.ensure_plugins(releases, plugins.PULUMI_HOME, lines.append)
    assert len(host.asked) == asked
    assert not list(paths.CACHE.rglob("*.part"))


def test_a_plugin_is_installed_where_pulumi_had_left_half_of_one(releases: PulumiReleases) -> None:
    folder = installed_plugin("random", RANDOM).parent
    folder.mkdir(parents=True)
    mark = folder.with_name(f"{folder.name}.partial")
    mark.touch()
    plugins.ensure_plugins(releases, plugins.PULUMI_HOME, lambda line: None)
    assert said_by(folder / "pulumi-resource-random") == "official random"
    assert not mark.exists()


def assert_built_instead(releases: PulumiReleases, because: str) -> None:
    """The CLI is built, one line says why, and nothing of the download is left."""
    lines: list[str] = []
    assert said_by(pulumi_cli.ensure_pulumi(releases, lines.append)) == "built"
    (told,) = (line for line in lines if "could not be downloaded" in line)
    assert because in told
    assert "building the CLI from its sources" in told
    assert in_cache() == []


def test_a_release_that_is_cut_off_is_refused_and_built_instead(releases: PulumiReleases, host: ReleaseServer) -> None:
    host.cut_off.add(CLI_PATH)
    assert_built_instead(releases, f"{cli_archive()} broke off")


def test_a_download_that_stalls_is_given_up(host: ReleaseServer) -> None:
    host.stalled.add(CLI_PATH)
    stalling = Patience(stall_seconds=IMPATIENT_SECONDS)
    assert_built_instead(PulumiReleases(host.url, stalling), f"{cli_archive()} broke off")


def test_a_download_that_takes_too_long_altogether_is_given_up(host: ReleaseServer) -> None:
    assert_built_instead(PulumiReleases(host.url, Patience(whole_seconds=0)), "was not complete after 0 s")


def test_a_release_that_is_missing_is_built_instead(releases: PulumiReleases, host: ReleaseServer) -> None:
    del host.files[CLI_PATH]
    assert_built_instead(releases, "HTTP 404")


def test_without_a_published_digest_nothing_is_downloaded(releases: PulumiReleases, host: ReleaseServer) -> None:
    host.files[f"/sdk/pulumi-{CLI}-checksums.txt"] = f"{'0' * 64}  something-else.tar.gz\n".encode()
    assert_built_instead(releases, "has none for")
    assert CLI_PATH not in host.asked


def test_no_redirect_leads_away_from_https(releases: PulumiReleases, host: ReleaseServer) -> None:
    host.redirects[CLI_PATH] = f"http://127.0.0.1:9{CLI_PATH}"
    assert_built_instead(releases, "is not https")


def test_a_host_that_nobody_vouches_for_is_not_believed(
    releases: PulumiReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert_built_instead(releases, "certificate verify failed")


def test_a_silent_host_is_waited_for_once_and_not_for_every_file(host: ReleaseServer) -> None:
    releases = PulumiReleases(host.url, Patience(answer_seconds=IMPATIENT_SECONDS))
    host.silent = True
    assert_built_instead(releases, "127.0.0.1 did not answer within 0.5 s")
    used = plugins.ensure_plugins(releases, plugins.PULUMI_HOME, lambda line: None)
    assert used == {"digitalocean": "stand-in", "random": "stand-in"}
    assert len(host.asked) == 1


def test_a_host_is_waited_for_five_seconds() -> None:
    assert Patience().answer_seconds == 5


@pytest.mark.parametrize(
    ("path", "name"), [(CLI_PATH, "SHA256"), (f"/plugins/{plugin_archive('random', RANDOM)}", "SHA1")]
)
def test_a_tampered_release_ends_everything_and_leaves_nothing(
    host: ReleaseServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: str, name: str
) -> None:
    host.files[path] = archive_of({"pulumi/pulumi": script("evil"), "pulumi-resource-random": script("evil")})
    monkeypatch.setattr(pulumi_releases, "ROOT", host.url)
    assert toolchain.main() == 1
    said = capsys.readouterr().err
    assert f"{host.url}{path} was downloaded whole, but is not what its release has: {name}" in said
    assert "LOCAL_CLOUD_DOWNLOADS=0" in said
    assert "Traceback" not in said
    assert path.rsplit("/", 1)[1].removesuffix(".tar.gz") not in in_cache()
    for program in (paths.TOOLS_BIN / "pulumi", installed_plugin("random", RANDOM)):
        assert not program.exists() or said_by(program) != "evil"


def test_by_default_the_hosts_releases_are_used(host: ReleaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_releases, "ROOT", host.url)
    assert toolchain.main() == 0
    assert said_by(paths.TOOLS_BIN / "pulumi") == "official pulumi"
    assert said_by(installed_plugin("digitalocean", DIGITALOCEAN)) == "official digitalocean"


def test_where_downloads_are_off_no_host_is_asked(host: ReleaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_releases, "ROOT", host.url)
    assert toolchain.main() == 0
    asked = len(host.asked)
    # Not even what was downloaded before is used: with 0, tools are the same everywhere.
    monkeypatch.setenv("LOCAL_CLOUD_DOWNLOADS", "0")
    assert toolchain.main() == 0
    assert said_by(paths.TOOLS_BIN / "pulumi") == "built"
    assert installed_plugin("random", RANDOM).resolve() == pulumi_cli.SHIMS / "pulumi-resource-random"
    assert len(host.asked) == asked


def test_where_downloads_are_required_nothing_takes_their_place(
    host: ReleaseServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pulumi_releases, "ROOT", host.url)
    monkeypatch.setenv("LOCAL_CLOUD_DOWNLOADS", "1")
    del host.files[CLI_PATH]
    assert toolchain.main() == 1
    assert "HTTP 404" in capsys.readouterr().err
    assert not (paths.TOOLS_BIN / "pulumi").exists()


def test_another_value_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LOCAL_CLOUD_DOWNLOADS", "no")
    assert toolchain.main() == 1
    assert "LOCAL_CLOUD_DOWNLOADS is 'no': 0 is for" in capsys.readouterr().err


def test_the_users_own_cli_comes_first(releases: PulumiReleases, host: ReleaseServer, user: Path) -> None:
    own = executable(user / "bin" / "pulumi", "v3.999.0")
    assert pulumi_cli.ensure_pulumi(releases, lambda line: None).resolve() == own
    assert host.asked == []


def test_what_is_in_an_archive_lands_in_its_folder(
    releases: PulumiReleases, host: ReleaseServer, tmp_path: Path
) -> None:
    host.publish(
        "sdk",
        cli_archive(),
        f"pulumi-{CLI}-checksums.txt",
        {"../../escaped": script("evil"), "pulumi/pulumi": script("official pulumi")},
        hashlib.sha256,
    )
    assert said_by(pulumi_cli.ensure_pulumi(releases, lambda line: None)) == "official pulumi"
    assert [found.parent.name for found in tmp_path.rglob("escaped")] == [cli_archive().removesuffix(".tar.gz")]
