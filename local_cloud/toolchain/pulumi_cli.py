"""The Pulumi CLI: one that is installed, else Pulumi's own release, else one built from its Go sources."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from local_cloud import paths
from local_cloud.toolchain.cache import place, symlink
from local_cloud.toolchain.go import go_build, parse_version
from local_cloud.toolchain.progress import Report, to_stderr
from local_cloud.toolchain.pulumi_releases import PulumiReleases, cli_release

SOURCE = Path(__file__).parent / "pulumi"
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
#: The version that SOURCE/go.mod pins.
BUILT_VERSION = "3.274.1"
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"

#: The plugins that Pulumi's own distribution has beside the CLI, as far as Python programs need them.
BUNDLED_PLUGINS = ("pulumi-language-python", "pulumi-resource-pulumi-python")

SHIMS = paths.CHECKOUT / "local_cloud" / "pulumi_plugins" / "bin"


def ensure_pulumi(releases: PulumiReleases | None, report: Report = to_stderr) -> Path:
    """Put `pulumi`, and the plugins that belong beside it, into paths.TOOLS_BIN; return the command there.

    In this order: a `pulumi` on PATH that is not older than the SDK; its own release, if `releases` has it; else a Go
    build. Raises `ToolchainError`.
    """
    command = paths.TOOLS_BIN / "pulumi"
    installed = installed_pulumi() or (downloaded_pulumi(releases, report) if releases else None)
    if installed:
        symlink(installed, command)
    else:
        # A hard link, not a symbolic one: the engine looks for its bundled plugins beside its real path.
        place(build_pulumi(report), command)
    for plugin in BUNDLED_PLUGINS:
        official = bool(installed) and has_plugin(installed, plugin)
        if official:
            (paths.TOOLS_BIN / plugin).unlink(missing_ok=True)
        else:
            symlink(SHIMS / plugin, paths.TOOLS_BIN / plugin)
    return command


def build_pulumi(report: Report = to_stderr) -> Path:
    """The CLI built from source: about four minutes on two cores the first time."""
    ldflags = f"-s -w -X {VERSION_VARIABLE}=v{BUILT_VERSION}"
    return go_build(SOURCE, "pulumi", package=PACKAGE, ldflags=ldflags, report=report)


def has_plugin(pulumi: Path | None, plugin: str) -> bool:
    """Whether `plugin` is beside the CLI or on the user's PATH."""
    beside = pulumi.resolve().parent / plugin if pulumi else None
    return bool((beside and os.access(beside, os.X_OK)) or shutil.which(plugin, path=path_without_tools()))


def path_without_tools() -> str:
    """PATH without this checkout's own tools."""
    own = paths.TOOLS_BIN.resolve()
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if entry and Path(entry).resolve() != own)


def installed_pulumi() -> Path | None:
    """A `pulumi` on the user's PATH, at least as new (major and minor) as the SDK."""
    found = shutil.which("pulumi", path=path_without_tools())
    if not found:
        return None
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    said = subprocess.run([found, "version"], env=environment, check=False, capture_output=True, text=True).stdout
    sdk = parse_version(version("pulumi"))[:2]
    cli = parse_version(said)[:2]
    return Path(found).resolve() if cli >= sdk and cli[:1] == sdk[:1] else None


def downloaded_pulumi(releases: PulumiReleases, report: Report) -> Path | None:
    """The release of the SDK's version; None when it cannot be had."""
    folder = releases.ensure_or_none(cli_release(version("pulumi")), report, "building the CLI from its sources")
    return folder / "pulumi" if folder else None
