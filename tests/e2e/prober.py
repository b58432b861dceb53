"""Asks the API through the load balancer ten times a second, as somebody who must not notice an upgrade.

`python -m tests.e2e.prober KUBECONFIG` asks until its standard input is closed, then prints what became of it as JSON.
Every question is a connection of its own.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from local_cloud import paths
from tests.e2e.stack import CHECKOUT, LOCAL, LOCAL_CLOUD, rented, run

INTERVAL_SECONDS = 0.1
#: A person's kubectl waits longer; what takes this long would be noticed.
TIMEOUT_SECONDS = 10


@dataclass
class Probes:
    """What the prober saw: how many questions, which failed and how, and the slowest answer in seconds."""

    asked: int = 0
    failed: list[str] = field(default_factory=list)
    slowest: float = 0.0


@contextmanager
def probing(kubeconfig: Path) -> Iterator[Probes]:
    """Probe from the operator's desk during the block; the result is complete after it."""
    probes = Probes()
    prober = subprocess.Popen(
        [LOCAL, sys.executable, "-m", "tests.e2e.prober", str(kubeconfig)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield probes
    finally:
        output, _ = prober.communicate(timeout=60)
    seen = json.loads(output)
    probes.asked, probes.failed, probes.slowest = seen["asked"], seen["failed"], seen["slowest"]
    if probes.failed:
        print("\n".join(seen_elsewhere()))


def seen_elsewhere() -> Iterator[str]:
    """What the load balancers and the servers noted meanwhile: pytest shows it beside the failure."""
    for log in paths.CLOUD.glob("load-balancers/*/haproxy.log"):
        yield f"{log.parent.name}:\n{log.read_text(errors='replace')[-6000:]}"
    for name in rented().get("droplets", []):
        journal = ("journalctl", "--unit=k3s*", "--output=short-iso", "--lines=80", "--no-pager")
        yield f"{name}:\n{run(LOCAL_CLOUD, 'shell', name, *journal, check=False).stdout[-8000:]}"


def main(kubeconfig: Path) -> None:
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        pair.flush()
        context.load_cert_chain(pair.name)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    url = cluster["server"] + "/api/v1/namespaces/default"
    probes, lock, asking = Probes(), threading.Lock(), []

    def ask() -> None:
        began = time.monotonic()
        at = time.strftime("%H:%M:%S")
        failure = None
        try:
            opener.open(url, timeout=TIMEOUT_SECONDS).close()
        except urllib.error.HTTPError as error:
            failure = f"{at} {error}: {error.read().decode(errors='replace')[:500]}"
        except OSError as error:
            failure = f"{at} {error}"
        with lock:
            probes.asked += 1
            probes.slowest = max(probes.slowest, time.monotonic() - began)
            if failure:
                probes.failed.append(failure)

    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.wait(INTERVAL_SECONDS):
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        asking.append(thread)
    for thread in asking:
        thread.join(timeout=TIMEOUT_SECONDS + 1)
    result: dict[str, Any] = {"asked": probes.asked, "failed": probes.failed, "slowest": round(probes.slowest, 2)}
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
