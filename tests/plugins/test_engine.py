"""Real `pulumi` commands with the stand-in language host and plugins, against the API without machines."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local_cloud import paths
from local_cloud.toolchain.plugins import ensure_plugins
from local_cloud.toolchain.pulumi_cli import path_without_tools
from local_cloud.toolchain.pulumi_releases import releases_allowed
from tests.plugins.cloud_server import TOKEN, CloudServer
from tests.plugins.plugin_process import BIN

PROGRAMS = Path(__file__).parent / "programs"
CLI = paths.TOOLS_BIN / "pulumi"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not (CLI.exists() or shutil.which("pulumi", path=path_without_tools())),
        reason="no pulumi CLI: python -m local_cloud.toolchain makes one",
    ),
]


class Engine:
    """A copy of a program, and a stack of it in a folder of its own."""

    def __init__(self, folder: Path, program: str, environment: Mapping[str, str]) -> None:
        self.program = folder / "program"
        shutil.copytree(PROGRAMS / program, self.program)
        home = folder / "pulumi"
        (folder / "state").mkdir()
        ensure_plugins(releases_allowed(), home, lambda line: None)
        venv = paths.CHECKOUT / ".venv" / "bin"
        self.environment = {
            "HOME": str(folder),
            "PATH": os.pathsep.join([str(paths.TOOLS_BIN), str(venv), os.environ["PATH"]]),
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            **environment,
        }
        self.ok("stack", "init", "dev")

    @classmethod
    def of_the_product(cls, folder: Path, program: str, cloud: CloudServer, token: str = TOKEN) -> Engine:
        """For a program that is made of the product's own components."""
        folder = folder / "engine"
        folder.mkdir()
        checkout = str(paths.CHECKOUT)
        environment = {"DIGITALOCEAN_API_URL": cloud.url, "DIGITALOCEAN_TOKEN": token, "PYTHONPATH": checkout}
        return cls(folder, program, environment)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", "--non-interactive", "--color=never", *arguments]
        return subprocess.run(
            command,
            cwd=self.program,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    def ok(self, *arguments: str, **environment: str) -> str:
        result = self.run(*arguments, **environment)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ok("stack", "output", "--json", "--show-secrets"))
        return found

    def write(self, text: str) -> None:
        (self.program / "__main__.py").write_text(text)
        # Python takes a text of the same length, written within the same second, for the one that it has compiled.
        shutil.rmtree(self.program / "__pycache__", ignore_errors=True)


@pytest.fixture
def everything(tmp_path: Path, cloud: CloudServer) -> Engine:
    folder = tmp_path / "engine"
    folder.mkdir()
    return Engine(folder, "everything", {"DIGITALOCEAN_API_URL": cloud.url, "DIGITALOCEAN_TOKEN": TOKEN})


@pytest.fixture
def small(tmp_path: Path) -> Engine:
    return Engine(tmp_path, "small", {})


def test_a_stack_comes_up_changes_and_goes(everything: Engine, cloud: CloudServer) -> None:
    first = everything.ok("preview", DIGITALOCEAN_TOKEN="", DIGITALOCEAN_API_URL="http://127.0.0.1:1")
    assert "16 to create" in first.replace("+ ", "")
    assert cloud.writes() == []

    shown = everything.ok("up", "--yes")
    outputs = everything.outputs()
    assert outputs["dropletAddress"].startswith("203.0.113.")
    assert outputs["region"] == "Frankfurt 1"
    assert outputs["automaticName"].startswith("automatic-")
    exported = everything.ok("stack", "export")
    for secret in (outputs["databasePassword"], outputs["password"]):
        assert secret not in shown
        assert secret not in exported

    written = len(cloud.writes())
    everything.ok("refresh", "--yes", "--expect-no-changes", "--skip-preview")
    everything.ok("preview", "--expect-no-changes")
    assert len(cloud.writes()) == written

    for key, value in {"size": "s-2vcpu-4gb", "label": "second", "interval": "20"}.items():
        everything.ok("config", "set", key, value)
    everything.ok("config", "set", "--path", "tags[0]", "extra")
    changed = everything.ok("up", "--yes", "--skip-preview")
    assert "replaced" not in changed
    assert everything.outputs()["dropletAddress"] == outputs["dropletAddress"]
    everything.ok("preview", "--expect-no-changes")
    assert "everything-second" in cloud.state()["ssh_keys"]

    # The state has what the refresh found in the project, and that is gone when the project goes; the official plugin
    # fails then, too (resourceDigitalOceanProjectDelete). That is why the product deletes its project another way.
    assert everything.run("destroy", "--yes", "--skip-preview").returncode != 0
    everything.ok("refresh", "--yes", "--skip-preview")
    everything.ok("destroy", "--yes", "--skip-preview")
    left = cloud.state()
    assert {kind: names for kind, names in left.items() if kind not in ("vpcs", "tags")} == {}
    # What DigitalOcean keeps too: tags that only a resource's list of tags made.
    assert left == {"tags": ["extra"]}


def test_a_failed_creation_is_taken_up_again(everything: Engine, cloud: CloudServer) -> None:
    cloud.fault(method="GET", path="/v2/droplets/.*", status=500, times=10)
    failed = everything.run("up", "--yes", DIGITALOCEAN_HTTP_RETRY_MAX="1", DIGITALOCEAN_HTTP_RETRY_WAIT_MIN="0.05")
    assert failed.returncode != 0
    assert "500" in failed.stdout
    cloud.control("DELETE", "/_local/faults")
    everything.ok("up", "--yes")
    assert len(cloud.state()["droplets"]) == 2
    assert cloud.writes().count("POST /v2/droplets") == 2


def test_the_program_is_told_what_is_wrong_with_an_input(everything: Engine) -> None:
    everything.write(
        "import pulumi_digitalocean as digitalocean\n"
        'digitalocean.Droplet("a", image="ubuntu-24-04-x64", size="s-1vcpu-1gb", region="fra1", tags=["no spaces"])\n'
    )
    result = everything.run("preview")
    assert result.returncode != 0
    assert "letters, digits, colons, dashes and underscores" in result.stdout


def test_output_and_errors_of_a_program_are_shown(small: Engine) -> None:
    small.write('print("said by the program")\n')
    assert "said by the program" in small.ok("preview")
    small.write('import pulumi\nraise pulumi.RunError("set the key `size`")\n')
    known = small.run("preview")
    assert known.returncode != 0
    assert "error: set the key `size`" in known.stdout
    assert "Traceback" not in known.stdout
    small.write('def broken():\n    raise ValueError("a defect")\n\n\nbroken()\n')
    unknown = small.run("preview")
    assert unknown.returncode != 0
    assert "ValueError: a defect" in unknown.stdout
    assert "line 5, in <module>" in unknown.stdout
    assert "runpy" not in unknown.stdout
    small.write("import sys\nsys.exit(7)\n")
    assert "non-zero exit code: 7" in small.run("preview").stdout


def test_a_program_imports_its_own_modules_and_reads_its_secrets(small: Engine) -> None:
    (small.program / "beside.py").write_text("VALUE = 'from beside'\n")
    small.ok("config", "set", "--secret", "password", "s3cr3t-value")
    small.write(
        "import pulumi\nimport beside\n"
        'pulumi.export("value", beside.VALUE)\n'
        'pulumi.export("password", pulumi.Config().require_secret("password"))\n'
        'pulumi.export("stack", pulumi.get_stack())\n'
    )
    shown = small.ok("up", "--yes")
    assert "s3cr3t-value" not in shown
    assert small.outputs() == {"value": "from beside", "password": "s3cr3t-value", "stack": "dev"}


def test_a_dynamic_provider_of_the_program_works(small: Engine) -> None:
    (small.program / "counting.py").write_text(
        "from pulumi.dynamic import CreateResult, ResourceProvider\n\n\n"
        "class Counting(ResourceProvider):\n"
        "    def create(self, props):\n"
        "        return CreateResult('counted', {'length': len(props['text'])})\n"
    )
    small.write(
        "import pulumi\nfrom pulumi.dynamic import Resource\nfrom counting import Counting\n\n\n"
        "class Length(Resource):\n    length: pulumi.Output[int]\n\n\n"
        "pulumi.export('length', Length(Counting(), 'text', {'text': 'four', 'length': None}).length)\n"
    )
    small.ok("up", "--yes")
    assert small.outputs() == {"length": 4}


def test_the_other_commands_work(small: Engine) -> None:
    about = small.ok("about")
    assert "written in python" in about
    assert "pulumi_random" in about
    listed = small.ok("plugin", "ls", "--project")
    assert "digitalocean" in listed
    assert "random" in listed
    assert "is not there: run `pulumi install`" in missing_environment(small)


def missing_environment(engine: Engine) -> str:
    (engine.program / "Pulumi.yaml").write_text(
        "name: small\nruntime:\n  name: python\n  options:\n    virtualenv: nowhere\n"
    )
    return engine.run("preview").stdout


def test_an_interrupted_program_ends_quietly(small: Engine) -> None:
    small.write("import time\nprint('waiting', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        ["pulumi", "--non-interactive", "--color=never", "preview"],
        cwd=small.program,
        env=small.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    shown = ""
    while "waiting" not in shown:
        shown += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    rest, _ = process.communicate(timeout=30)
    assert time.monotonic() - started < 20
    assert process.returncode != 0
    assert "Traceback" not in rest
    assert "KeyboardInterrupt" not in rest


def test_the_language_host_answers_with_its_port_at_once() -> None:
    started = time.monotonic()
    with subprocess.Popen([BIN / "pulumi-language-python", ""], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert int(process.stdout.readline()) > 0
        assert time.monotonic() - started < 5
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
