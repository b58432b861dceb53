"""Machines to run k3s on without booting any: a network namespace each, with an /etc and /var/lib of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from local_cloud import paths
from local_cloud.commands import run as run_to_end

SWITCH = paths.namespace("k3s-test")
INTERFACE = "eth1"
UP_SECONDS = 90.0
STOP_SECONDS = 40.0
POLL_SECONDS = 0.25

#: Puts the machine's own /etc and /var/lib over the host's, for this process and its children only.
ENTER = """
for folder in etc var/lib; do
    mkdir -p "$0/$folder/upper" "$0/$folder/work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$0/$folder/upper,workdir=$0/$folder/work" "/$folder"
done
exec "$@"
"""


def run(*words: str | Path) -> str:
    return run_to_end(words, timeout_seconds=120)


@dataclass
class Machine:
    """One machine, numbered from 1; `k3s` is the executable under test."""

    number: int
    root: Path
    k3s: Path
    process: subprocess.Popen[bytes] | None = None
    namespace: str = field(init=False)

    def __post_init__(self) -> None:
        self.namespace = f"{SWITCH}-{self.number}"
        self.root.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        return f"10.99.0.{10 + self.number}"

    @property
    def log(self) -> str:
        path = self.root / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wire(self) -> None:
        cable = f"t{self.number}"
        run("ip", "netns", "add", self.namespace)
        run(
            "ip", "-n", SWITCH, "link", "add", cable, "type", "veth", "peer", "name", INTERFACE, "netns", self.namespace
        )
        run("ip", "-n", SWITCH, "link", "set", cable, "master", "switch", "up")
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")
        run("ip", "-n", self.namespace, "address", "add", f"{self.address}/24", "dev", INTERFACE)
        run("ip", "-n", self.namespace, "link", "set", INTERFACE, "up")

    def unplug(self) -> None:
        run("ip", "-n", SWITCH, "link", "set", f"t{self.number}", "down")

    def inside(self, *command: str) -> list[str]:
        enter = ["unshare", "--mount", "sh", "-euc", ENTER, str(self.root / "disk"), *command]
        return ["ip", "netns", "exec", self.namespace, *enter]

    def configure(self, **config: object) -> None:
        """Write config.yaml; underscores in names stand for dashes."""
        values: dict[str, object] = {
            "node-name": f"node-{self.number}",
            "node-ip": self.address,
            "flannel-iface": INTERFACE,
            **{name.replace("_", "-"): value for name, value in config.items()},
        }
        path = self.root / "disk" / "etc" / "upper" / "rancher" / "k3s" / "config.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(values))

    def file(self, path: str) -> Path:
        """Where the machine's file below /var/lib/rancher/k3s is on the host."""
        return self.root / "disk" / "var" / "lib" / "upper" / "rancher" / "k3s" / path

    def begin(self, role: str) -> None:
        with (self.root / "log").open("wb") as log:
            self.process = subprocess.Popen(
                self.inside(str(self.k3s), role),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, role: str) -> None:
        self.begin(role)
        self.wait_for("is up and running")

    def wait_for(self, text: str) -> None:
        """Wait until `text` is in the log. Raises AssertionError with the log's end if k3s ends before, or in time."""
        assert self.process
        until = time.monotonic() + UP_SECONDS
        while text not in self.log:
            assert self.process.poll() is None, f"k3s ended with no {text!r} in:\n{self.log[-3000:]}"
            assert time.monotonic() < until, f"no {text!r} in {UP_SECONDS} s in:\n{self.log[-3000:]}"
            time.sleep(POLL_SECONDS)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End k3s and return its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(STOP_SECONDS)
        self.process = None
        return code

    def kubectl(self, *arguments: str) -> str:
        return run(*self.inside(str(self.k3s), "kubectl", *arguments))

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def ready_nodes(self) -> set[str]:
        return {
            node["metadata"]["name"]
            for node in self.get("nodes")["items"]
            for condition in node["status"]["conditions"]
            if condition["type"] == "Ready" and condition["status"] == "True"
        }


def eventually(check: Any, seconds: float = 60) -> None:
    """Wait until `check()` is true. Raises AssertionError."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, f"not so within {seconds} s"
        time.sleep(POLL_SECONDS)


def make_switch() -> None:
    run("ip", "netns", "add", SWITCH)
    run("ip", "-n", SWITCH, "link", "add", "switch", "type", "bridge")
    run("ip", "-n", SWITCH, "link", "set", "switch", "up")
    run("ip", "-n", SWITCH, "link", "set", "lo", "up")
    run("ip", "-n", SWITCH, "address", "add", "10.99.0.1/24", "dev", "switch")


def remove_networks() -> None:
    """Remove this checkout's test namespaces, of this run or of one that was interrupted."""
    for path in Path("/run/netns").glob(f"{SWITCH}*"):
        run("ip", "netns", "delete", path.name)
