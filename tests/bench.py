"""`make bench`: the figures that README states, measured, as a table. Nothing is asserted.

`make bench BENCH=--cold` also measures a first `make demo`, in a fresh clone with every cache empty (10 minutes or so).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.stack import CHECKOUT, LOCAL_CLOUD, Stack, run

HA = Stack("e2e-bench-ha", {"topology": "ha", "namePrefix": "bench-ha", "vpcCidr": "10.30.0.0/24"})
SINGLE = Stack("e2e-bench-single", {"topology": "single-node", "namePrefix": "bench-single", "vpcCidr": "10.31.0.0/24"})


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def memory_mib() -> int:
    """What the whole cloud takes, shared memory counted once (`bin/local-cloud status`)."""
    found = re.search(r"^memory\s+(\d+) MiB", run(LOCAL_CLOUD, "status").stdout, re.MULTILINE)
    assert found
    return int(found[1])


def warm() -> list[tuple[str, str, str]]:
    rows = []
    run("make", "demo")
    rows.append(("make demo, again, on a running cloud", f"{seconds(lambda: run('make', 'demo')):.1f} s", "20 s"))
    rows.append(("memory of the HA demo", f"{memory_mib()} MiB", "3072 MiB"))
    for stack, limit in ((HA, "120 s"), (SINGLE, "60 s")):
        stack.init()
        try:
            rows.append((f"pulumi up, {stack.config['topology']}", f"{seconds(stack.up):.1f} s", limit))
            unchanged = seconds(lambda stack=stack: stack.preview("--expect-no-changes"))
            rows.append((f"pulumi preview without changes, {stack.config['topology']}", f"{unchanged:.1f} s", "5 s"))
        finally:
            gone = seconds(lambda stack=stack: stack.destroy())
            stack.remove()
        rows.append((f"pulumi destroy, {stack.config['topology']}", f"{gone:.1f} s", ""))
    return rows


def cold() -> list[tuple[str, str, str]]:
    """A first `make demo`: no virtual environment, no built tool, no image, no Go cache, no pip cache."""
    with tempfile.TemporaryDirectory(prefix="k3s-bench-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", CHECKOUT, clone], check=True)
        environment = {
            **os.environ,
            "XDG_CACHE_HOME": f"{folder}/cache",
            "GOCACHE": f"{folder}/go-build",
            "GOMODCACHE": f"{folder}/go-mod",
            "GOFLAGS": "-modcacherw",
            "PIP_CACHE_DIR": f"{folder}/pip",
        }
        try:
            first = seconds(lambda: subprocess.run(["make", "demo"], cwd=clone, env=environment, check=True))
        finally:
            subprocess.run(["make", "down"], cwd=clone, env=environment, check=False)
    return [("first make demo, with empty caches", f"{first / 60:.1f} min", "15 min")]


def main() -> None:
    rows = [*(cold() if "--cold" in sys.argv[1:] else []), *warm()]
    width = max(len(row[0]) for row in rows)
    print(f"{'':{width}}  {'measured':>10}  {'at most':>10}")
    for name, measured, limit in rows:
        print(f"{name:{width}}  {measured:>10}  {limit:>10}")


if __name__ == "__main__":
    main()
