"""The resource plugins of the program: the official ones where they are installed, else the local cloud's stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from local_cloud import paths
from local_cloud.toolchain.cache import symlink
from local_cloud.toolchain.progress import Report, step, to_stderr
from local_cloud.toolchain.pulumi_cli import SHIMS, downloads_allowed, path_without_tools

#: Plugin name -> the Python SDK whose version the engine asks for.
PROVIDERS = {"digitalocean": "pulumi-digitalocean", "random": "pulumi-random"}

#: PULUMI_HOME inside the local cloud, as bin/local sets it.
PULUMI_HOME = paths.OPERATOR / "pulumi"


def ensure_plugins(pulumi_home: Path = PULUMI_HOME, report: Report = to_stderr) -> dict[str, str]:
    """Link each provider's plugin into `pulumi_home`; return for each name what is used: `official` or `stand-in`.

    In this order: one on the user's PATH (which the engine prefers anyway); one in the user's own PULUMI_HOME; with
    LOCAL_CLOUD_DOWNLOADS=1 a download by the CLI; else the stand-in of local_cloud/pulumi_plugins. The plugins lie
    where the engine looks for installed ones: `plugins/resource-<name>-v<version>/pulumi-resource-<name>`.
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
        if official is None and downloads_allowed():
            download(name, wanted, pulumi_home, report)
            used[name] = "official"
            continue
        symlink(official or SHIMS / executable, folder / executable)
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


def download(name: str, wanted: str, pulumi_home: Path, report: Report) -> None:
    """Let the CLI fetch the official plugin."""
    environment = {**os.environ, "PULUMI_HOME": str(pulumi_home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    with step(f"pulumi plugin {name} {wanted}: download", report):
        command = [str(paths.TOOLS_BIN / "pulumi"), "plugin", "install", "resource", name, wanted]
        subprocess.run(command, env=environment, check=True)
