"""A Pulumi stack on the local cloud, driven as a person would: with the commands of bin/."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local_cloud import control, paths

CHECKOUT = Path(__file__).resolve().parents[2]
LOCAL = str(CHECKOUT / "bin/local")
LOCAL_CLOUD = str(CHECKOUT / "bin/local-cloud")
PROJECT = "k3s-digitalocean"

#: What every test's stack has, so that it can be destroyed.
THROW_AWAY = {"datastoreProtect": False}

#: Far more than anything here takes, so that a hang ends as a failure with its output.
COMMAND_SECONDS = 600

#: Longer than plugins need to notice that the engine that ran them was killed.
ORPHANS_SECONDS = 4


#: What commands said of a stack's state, and which state that was.
_said: dict[tuple[str, tuple[str, ...]], tuple[tuple[int, int], str]] = {}


class CommandFailed(AssertionError):
    """A command ended with another status than the test wanted."""


def run(*command: str, check: bool = True, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout; its output in the failure, if it fails."""
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if check and done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done


@dataclass
class Stack:
    """One stack. Its config file is the test's own and goes with it."""

    name: str
    config: dict[str, Any]

    @property
    def config_file(self) -> Path:
        return CHECKOUT / f"Pulumi.{self.name}.yaml"

    @property
    def kubeconfig(self) -> Path:
        return CHECKOUT / "kubeconfig" / f"{self.name}.yaml"

    def init(self) -> None:
        """Make the stack, with its config."""
        if self.config_file.exists():
            self.pulumi("stack", "select", "--create", self.name)
        else:
            self.pulumi("stack", "init", self.name)
        self.configure()

    def configure(self, **changes: Any) -> None:
        """Write the config file anew, with `changes` over what the test began with."""
        written = yaml.safe_load(self.config_file.read_text()) if self.config_file.exists() else {}
        given = {**THROW_AWAY, **self.config, **changes}
        written["config"] = {f"{PROJECT}:{key}": value for key, value in given.items()}
        self.config_file.write_text(yaml.safe_dump(written))

    def remove(self) -> None:
        """Forget the stack and its config file."""
        self.pulumi("stack", "rm", "--yes", "--force", self.name, check=False)
        self.config_file.unlink(missing_ok=True)

    def pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run(LOCAL, "pulumi", "--non-interactive", *arguments, check=check, PULUMI_STACK=self.name)

    def up(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("up", "--yes", "--skip-preview", *arguments, check=check)

    def start_up(self) -> subprocess.Popen[str]:
        """`pulumi up`, under way, in a process group of its own; its output can be read when it has ended."""
        return self._start("up")

    def start_destroy(self, *arguments: str) -> subprocess.Popen[str]:
        """`pulumi destroy`, as `start_up`."""
        return self._start("destroy", *arguments)

    def _start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [LOCAL, "pulumi", "--non-interactive", *command, "--yes", "--skip-preview"],
            cwd=CHECKOUT,
            env={**os.environ, "PULUMI_STACK": self.name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def preview(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("preview", *arguments, check=check)

    def destroy(self, *arguments: str) -> None:
        self.pulumi("destroy", "--yes", "--skip-preview", *arguments)

    def outputs(self) -> dict[str, Any]:
        outputs: dict[str, Any] = json.loads(self._of_state("stack", "output", "--json", "--show-secrets"))
        return outputs

    def exported(self) -> dict[str, Any]:
        """The stack's state."""
        exported: dict[str, Any] = json.loads(self._of_state("stack", "export"))
        return exported

    def state_files(self) -> list[Path]:
        """Where the operator's Pulumi keeps the state: one file for each project that has a stack of that name."""
        return list(paths.OPERATOR.glob(f"state/.pulumi/stacks/*/{self.name}.json"))

    def _of_state(self, *arguments: str) -> str:
        """What a command says of the state, asked once for each state: polls ask time and again."""
        files = self.state_files()
        if len(files) != 1:
            return self.pulumi(*arguments).stdout
        found = files[0].stat()  # Pulumi replaces it
        state = (found.st_ino, found.st_mtime_ns)
        known = _said.get((self.name, arguments))
        if known is None or known[0] != state:
            known = _said[self.name, arguments] = (state, self.pulumi(*arguments).stdout)
        return known[1]

    def kubectl(self, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """kubectl as a person runs it: through the load balancer or the droplet's address, with the kubeconfig."""
        command = (LOCAL, "kubectl", "--request-timeout=10s", *arguments)
        return run(*command, check=check, stdin=stdin, PULUMI_STACK=self.name)

    def nodes(self) -> dict[str, bool]:
        """Every node's name, and whether it is Ready."""
        items = json.loads(self.kubectl("get", "nodes", "--output", "json").stdout)["items"]
        return {
            item["metadata"]["name"]: any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in item["status"]["conditions"]
            )
            for item in items
        }


def api(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What DigitalOcean's API answers to the stack's own token; None if nothing. Fails where it refuses."""
    script = (
        'curl -sS --fail-with-body -X "$1" -H "Authorization: Bearer $DIGITALOCEAN_TOKEN" '
        '-H "Content-Type: application/json" --data-binary @- "$DIGITALOCEAN_API_URL/v2/$2"'
    )
    answer = run(LOCAL, "bash", "-c", script, "bash", method, path, stdin=json.dumps(body) if body else "").stdout
    return json.loads(answer) if answer.strip() else None


def database_id(stack: Stack) -> str:
    """The id of the stack's only managed database."""
    (cluster,) = (
        resource
        for resource in stack.exported()["deployment"]["resources"]
        if resource["type"] == "digitalocean:index/databaseCluster:DatabaseCluster"
    )
    return str(cluster["id"])


def open_to_outsider(address: str, port: int) -> bool:
    """True if somebody else on the cloud's internet gets a TCP connection."""
    probe = f"exec 3<>/dev/tcp/{address}/{port}"
    return run(LOCAL, "--as", "outsider", "timeout", "2", "bash", "-c", probe, check=False).returncode == 0


def wait_for(what: str, true: Any, seconds: float) -> float:
    """Seconds until `true()` held; fails if it does not within `seconds`."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.2)
    return time.monotonic() - began


def delete_droplets(*droplets: str) -> None:
    """Delete droplets behind Pulumi's back, with the API."""
    script = """
call() { curl -sf -H "Authorization: Bearer $DIGITALOCEAN_TOKEN" "$@"; }
for name; do
    id=$(call "$DIGITALOCEAN_API_URL/v2/droplets?name=$name" | grep -o '"id": *[0-9]*' | head -n 1 | grep -o '[0-9]*')
    call -X DELETE "$DIGITALOCEAN_API_URL/v2/droplets/$id"
done
"""
    run(LOCAL, "bash", "-ec", script, "bash", *droplets)


def rented() -> dict[str, list[str]]:
    """Names of what the account has, by kind, as the cloud itself sees it; empty kinds left out."""
    state: dict[str, Any] = control.call("GET", "state")
    return {kind: found["names"] for kind, found in state.items() if found["names"]}


def rented_with_prefix(prefix: str) -> list[str]:
    """Names of everything in the account whose name begins with `prefix`, and of what is not quite gone yet."""
    found = rented()
    return [name for names in found.values() for name in names if name.startswith(prefix)] + found.get("departing", [])
