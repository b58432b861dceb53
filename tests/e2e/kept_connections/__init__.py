"""Asks the API through the load balancer over connections that are kept, with client-go: see main.go beside this."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local_cloud.toolchain.go import go_build
from tests.e2e.prober import seen_elsewhere
from tests.e2e.stack import CHECKOUT, LOCAL

PROGRAM = "kept_connections"


@dataclass
class Requests:
    """What became of them: how many, how many failed and how, the slowest in seconds, and what the watch missed."""

    asked: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)
    slowest: float = 0.0
    missed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.failed} of {self.asked} requests on kept connections failed, the slowest took {self.slowest:.2f} s"
        )


@contextmanager
def kept_connections(kubeconfig: Path) -> Iterator[Requests]:
    """Ask from the operator's desk during the block; the result is complete after it."""
    # Its go.mod has the versions of K3s's program, with which these packages are compiled already.
    program = go_build(Path(__file__).parent, PROGRAM, cgo=True)
    requests = Requests()
    client = subprocess.Popen(
        [LOCAL, program, kubeconfig], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield requests
    finally:
        try:
            output, _ = client.communicate(timeout=60)
        finally:
            client.kill()
    assert client.returncode == 0, output
    requests.__dict__.update(json.loads(output))
    if requests.failed or requests.missed:
        print("\n".join(seen_elsewhere()))
