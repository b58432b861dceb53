"""The resource plugins of the program: the official ones where they can be had, else the local cloud's stand-ins."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import version
from pathlib import Path

from local_cloud import paths
from local_cloud.toolchain.cache import symlink
from local_cloud.toolchain.progress import Report, to_stderr
from local_cloud.toolchain.pulumi_cli import SHIMS, path_without_tools
from local_cloud.toolchain.pulumi_releases import PulumiReleases, plugin_release

#: Plugin name -> the Python SDK whose version the engine asks for.
PROVIDERS = {"digitalocean": "pulumi-digitalocean", "random": "pulumi-random"}

#: PULUMI_HOME inside the local cloud, as bin/local sets it.
PULUMI_HOME = paths.OPERATOR / "pulumi"


def ensure_plugins(releases: PulumiReleases | None, pulumi_home: Path, report: Report = to_stderr) -> dict[str, str]:
    """Link each provider's plugin into `pulumi_home`; return for each name what is used: `official` or `stand-in`.

    In this order: one on the user's PATH (which the engine prefers anyway); one in the user's own PULUMI_HOME; its own
    release, if `releases` has it; else the stand-in of local_cloud/pulumi_plugins. The plugins lie where the engine
    looks for installed ones: `plugins/resource-<name>-v<version>/pulumi-resource-<name>`. Raises `ToolchainError`.
    """
    used = {}
    for name, sdk in PROVIDERS.items():
        wanted = version(sdk)
        executable = f"pulumi-resource-{name}"
        if shutil.which(executable, path=path_without_tools()):
            used[name] = "official"
            continue
        folder = pulumi_home / "plugins" / f"resource-{name}-v{wanted}"
        official = installed_plugin(folder.name, executable, pulumi_home)
        if official is None and releases:
            official = downloaded_plugin(name, wanted, releases, report)
        symlink(official or SHIMS / executable, folder / executable)
        # Beside a folder with this mark the engine takes a plugin for half installed (pulumi/pulumi
        # pkg/pluginstorage/download.go:46); a link is whole at once, and needs no `.lock` meanwhile.
        folder.with_name(f"{folder.name}.partial").unlink(missing_ok=True)
        used[name] = "official" if official else "stand-in"
        report(f"pulumi plugin {name} {wanted}: {used[name]}")
    return used


def installed_plugin(folder: str, executable: str, own_home: Path) -> Path | None:
    """The official plugin in the user's own PULUMI_HOME, if that is another folder than `own_home`."""
    users = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    candidate = users / "plugins" / folder / executable
    if users.resolve() == own_home.resolve() or not os.access(candidate, os.X_OK):
        return None
    return candidate.resolve()


def downloaded_plugin(name: str, wanted: str, releases: PulumiReleases, report: Report) -> Path | None:
    """The official plugin of this version; None when it cannot be had."""
    release = plugin_release(name, wanted)
    folder = releases.ensure_or_none(release, report, "taking this project's stand-in for it")
    return folder / release.program if folder else None
