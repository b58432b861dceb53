"""actionlint, which checks the workflows under .github: built from its Go sources, as Pulumi's CLI is."""

from __future__ import annotations

import sys
from pathlib import Path

from local_cloud import paths
from local_cloud.toolchain.cache import place
from local_cloud.toolchain.go import ToolchainError, go_build
from local_cloud.toolchain.progress import Report, to_stderr

SOURCE = Path(__file__).parent / "actionlint"
PACKAGE = "github.com/rhysd/actionlint/cmd/actionlint"


def ensure_actionlint(report: Report = to_stderr) -> Path:
    """Put `actionlint` into paths.TOOLS_BIN; return the command there. Raises `ToolchainError`."""
    command = paths.TOOLS_BIN / "actionlint"
    place(go_build(SOURCE, "actionlint", package=PACKAGE, ldflags="-s -w", report=report), command)
    return command


def main() -> int:
    try:
        ensure_actionlint()
    except ToolchainError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
