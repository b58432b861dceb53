"""What the program reads beside its modules goes with it when it is installed."""

from __future__ import annotations

import subprocess
import tomllib

from tests.unit.stack_files import CHECKOUT


def test_every_file_that_is_no_module_is_declared_as_data() -> None:
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packed = {
        path.relative_to(CHECKOUT)
        for package, patterns in declared.items()
        for pattern in patterns
        for path in (CHECKOUT / package.replace(".", "/")).glob(pattern)
    }
    listed = subprocess.run(
        ["git", "ls-files", "cloud_init", "k3s_cluster"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    kept = {path for path in listed.stdout.splitlines() if not path.endswith(".py")}
    assert {str(path) for path in packed} == kept
