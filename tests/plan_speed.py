"""How long a plan takes, and how much memory, by the number of agents: `python -m tests.plan_speed` prints the table.

It plans a first `pulumi up` with the real engine, 3 servers and no cloud at all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.e2e.stack import CHECKOUT

AGENTS = (5, 20, 50)
SERVERS = 3
POLL_SECONDS = 0.1


def descendants(root: int) -> set[int]:
    """All processes below `root`, itself included."""
    found, todo = set(), [root]
    while todo:
        pid = todo.pop()
        found.add(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            todo += [int(child) for child in _read(children).split() if int(child) not in found]
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def memory_mib(root: int) -> int:
    """Memory of `root` and all below it, shared memory counted once (proc(5), smaps_rollup)."""
    lines = [line for pid in descendants(root) for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) // 1024


def plan(agents: int) -> tuple[float, int]:
    """Seconds and MiB at most of one plan."""
    with tempfile.TemporaryDirectory() as folder:
        stack = f"e2e-plan-{agents}"
        environment = {
            **os.environ,
            "PATH": f"{CHECKOUT / '.local/bin'}:{CHECKOUT / '.venv/bin'}:{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_HOME": str(CHECKOUT / ".local/operator/pulumi"),
            "PULUMI_CONFIG_PASSPHRASE": "plan",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_STACK": stack,
        }
        config = CHECKOUT / f"Pulumi.{stack}.yaml"

        def pulumi(*arguments: str) -> subprocess.Popen[bytes]:
            command = ["pulumi", "--non-interactive", *arguments]
            return subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL)

        try:
            assert pulumi("stack", "init", stack).wait() == 0
            for key, value in (("serverCount", SERVERS), ("agentCount", agents)):
                assert pulumi("config", "set", key, str(value)).wait() == 0
            began, most = time.monotonic(), 0
            running = pulumi("preview")
            ended = threading.Event()

            def watch() -> None:
                nonlocal most
                while not ended.wait(POLL_SECONDS):
                    most = max(most, memory_mib(running.pid))

            watcher = threading.Thread(target=watch)
            watcher.start()
            status = running.wait()
            seconds = time.monotonic() - began
            ended.set()
            watcher.join()
            assert status == 0
            return seconds, most
        finally:
            config.unlink(missing_ok=True)


def main() -> None:
    print(f"{'agents':>6}  {'seconds':>7}  {'MiB':>5}")
    for agents in [int(word) for word in sys.argv[1:]] or AGENTS:
        seconds, mib = plan(agents)
        print(f"{agents:>6}  {seconds:>7.1f}  {mib:>5}")


if __name__ == "__main__":
    main()
