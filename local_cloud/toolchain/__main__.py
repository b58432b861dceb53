"""`python -m local_cloud.toolchain`: Pulumi and its plugins, ready to use, with each step's seconds."""

from __future__ import annotations

import sys
import time

from local_cloud.toolchain import plugins
from local_cloud.toolchain.go import ToolchainError
from local_cloud.toolchain.progress import Report, to_stderr
from local_cloud.toolchain.pulumi_cli import ensure_pulumi
from local_cloud.toolchain.pulumi_releases import releases_allowed


def ensure(report: Report = to_stderr) -> None:
    """Make `pulumi` in paths.TOOLS_BIN and the plugins in the operator's PULUMI_HOME ready. Raises `ToolchainError`."""
    started = time.monotonic()
    releases = releases_allowed()
    command = ensure_pulumi(releases, report)
    plugins.ensure_plugins(releases, plugins.PULUMI_HOME, report)
    report(f"{command}: ready in {time.monotonic() - started:.1f} s")


def main() -> int:
    try:
        ensure()
    except ToolchainError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
