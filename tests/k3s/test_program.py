"""The program's own tests, in Go."""

from __future__ import annotations

import os
import subprocess

import pytest

from local_cloud.k3s.releases import HERE
from local_cloud.toolchain.go import build_environment, find_go, required_version

pytestmark = pytest.mark.e2e


def test_go_tests_pass() -> None:
    source = HERE / "program"
    go, _ = find_go(required_version(source / "go.mod"))
    # As go_build has it, so that what was built for the executable is not built again.
    result = subprocess.run(
        [str(go), "test", "-vet=off", "./..."],
        cwd=source,
        env={**os.environ, **build_environment(cgo=True)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
