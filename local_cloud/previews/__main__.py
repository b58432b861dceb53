"""`bin/preview-all [FILE]`: previews all stacks against the API without machines, and writes a comment's Markdown."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from local_cloud import paths
from local_cloud.previews.markdown import Preview, comment, is_comment, left_out
from local_cloud.toolchain.go import ToolchainError
from local_cloud.toolchain.plugins import ensure_plugins
from local_cloud.toolchain.pulumi_releases import releases_allowed

#: What the program is made of; each is linked into a folder of its own, because Pulumi writes into a project's folder.
PROGRAM = ("__main__.py", "k3s_cluster", "cloud_init", "Pulumi.yaml", "requirements.txt", ".venv")
PREVIEW_SECONDS = 300
#: Where nothing is up, such a stack would be made from its backup.
RESTORE = "k3s-digitalocean:restoreFile"
AGAINST = "the local cloud's API, where no stack is up: everything is to be created"


def main(arguments: list[str]) -> int:
    """Preview each stack that has a Pulumi.STACK.yaml. The exit status is 0 if every preview succeeded."""
    if arguments and (reason := unwritable(Path(arguments[0]))):
        print(f"bin/preview-all: {arguments[0]} {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with api(folder) as (url, token):
            environment = environment_for(folder, url, token)
            previews = [preview(folder / "project", file, environment) for file in stack_files()]
    text = comment("all stacks", previews, AGAINST)
    if arguments:
        Path(arguments[0]).write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    for failed in (each for each in previews if each.status):
        print(f"preview of {failed.stack} failed:\n{failed.output}", file=sys.stderr)
    return 1 if not previews or any(each.status for each in previews) else 0


def unwritable(file: Path) -> str | None:
    """Why no comment can be written to `file`; None where one can. Only an earlier one is replaced."""
    if file.exists() and not file.is_file() and not file.is_dir():
        # A pipe, or a terminal.
        return None
    try:
        before = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None if file.parent.is_dir() else "cannot be written: choose a folder that is there"
    except (OSError, UnicodeDecodeError):
        before = "of another kind"
    if before and not is_comment(before):
        return "is there, and is no earlier comment of this command: choose another name, or move it away"
    return None


def stack_files() -> list[Path]:
    return sorted(paths.CHECKOUT.glob("Pulumi.*.yaml"))


@contextmanager
def api(folder: Path) -> Iterator[tuple[str, str]]:
    """The API over no machines, on the loopback; its address and a token."""
    # Imported here, because they bring Flask with them, which the rest of this module has no use for.
    from local_cloud.api.app import create_app, resume, shut_down
    from local_cloud.api.durations import Durations
    from local_cloud.api.no_machines import NoMachines
    from local_cloud.api.store import Store
    from local_cloud.http_server import HttpServer

    token = f"dop_v1_{secrets.token_hex(32)}"
    store = Store(folder / "store.sqlite3")
    store.add_token(token)
    app = create_app(store, NoMachines(), Durations.fast())
    resume(app)
    server = HttpServer(app, "127.0.0.1", port=0, threads=8)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.port}", token
    finally:
        server.close()
        shut_down(app)


def environment_for(folder: Path, url: str, token: str) -> dict[str, str]:
    """Pulumi's own state in `folder`, and the API at `url`; nothing of an account that the caller may have."""
    state, home = folder / "state", folder / "pulumi"
    state.mkdir()
    ensure_plugins(releases_allowed(), home, lambda _line: None)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "DIGITALOCEAN_"))}
    return {
        **kept,
        "PATH": os.pathsep.join([str(paths.TOOLS_BIN), str(paths.CHECKOUT / ".venv/bin"), os.environ["PATH"]]),
        "HOME": str(folder),
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": secrets.token_hex(16),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "DIGITALOCEAN_API_URL": url,
        "DIGITALOCEAN_TOKEN": token,
    }


def preview(project: Path, file: Path, environment: Mapping[str, str]) -> Preview:
    """One stack's preview, in the folder `project`."""
    stack = file.name.removeprefix("Pulumi.").removesuffix(".yaml")
    project.mkdir(exist_ok=True)
    (project / "kubeconfig").mkdir(exist_ok=True)
    for name in PROGRAM:
        if not (project / name).is_symlink() and (paths.CHECKOUT / name).exists():
            (project / name).symlink_to(paths.CHECKOUT / name)
    settings: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    config = settings.get("config") or {}
    if hidden := [key for key, value in config.items() if isinstance(value, dict) and "secure" in value]:
        return left_out(stack, f"{', '.join(hidden)} is encrypted, and only the stack's owner can read it")
    if config.get(RESTORE):
        return left_out(stack, "restoreFile names a backup, and only who has its passphrase can open it")
    # Without the keys of another backend: nothing is left that they encrypt.
    (project / file.name).write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    made = run(["stack", "init", stack], project, environment)
    if made.returncode:
        return Preview(stack, made.stdout, made.returncode)
    done = run(["preview", "--stack", stack, "--suppress-outputs"], project, environment)
    return Preview(stack, done.stdout, done.returncode)


def run(command: list[str], project: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["pulumi", "--non-interactive", "--color=never", *command],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PREVIEW_SECONDS,
        check=False,
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ToolchainError as error:
        sys.exit(f"bin/preview-all: {error}")
