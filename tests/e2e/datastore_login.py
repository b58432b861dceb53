"""Gets into a server's datastore as its K3s does, or with one thing wrong."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from local_cloud.machines import records
from local_cloud.machines.machine import Machine
from local_cloud.network.namespaces import inside
from tests.e2e.stack import LOCAL_CLOUD, run, wait_for

CA = "/etc/rancher/k3s/datastore-ca.pem"
#: Both forms of an endpoint: Postgres's URL, and the DSN of go-sql-driver/mysql.
_ENDPOINT = re.compile(r"(postgres|mysql)://(.+?):(.+)@(?:tcp\()?([^():]+):(\d+)\)?/([^?]+)")


def login_of(server: str) -> dict[str, Any]:
    """How the droplet `server` gets into its database; `ca` is what it believes."""

    def on(*command: str) -> str:
        return run(LOCAL_CLOUD, "shell", server, *command).stdout

    endpoint = yaml.safe_load(on("cat", "/etc/rancher/k3s/config.yaml"))["datastore-endpoint"]
    found = _ENDPOINT.match(endpoint)
    assert found is not None
    scheme, user, password, host, port, database = found.groups()
    return {
        "engine": "mysql" if scheme == "mysql" else "pg",
        "host": on("getent", "ahostsv4", host).split()[0],
        "port": int(port),
        "user": unquote(user),
        "password": password if scheme == "mysql" else unquote(password),
        "database": database,
        "ca": on("cat", CA),
        "queries": ["SELECT 1"],
    }


def from_droplet(name: str) -> list[str]:
    """The words before a command that make it run in the droplet's network, with this machine's programs."""
    (droplet,) = (spec for spec in records.all_records() if spec.name == name)
    return inside(Machine(droplet.id).namespace)


def attempt(where: list[str], **asked: Any) -> dict[str, Any]:
    """What came of it: `error`, or `answers`, one for each of the `queries`."""
    done = run(*where, sys.executable, "-m", "tests.e2e.datastore_client", stdin=json.dumps(asked))
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def another_authority(folder: Path) -> str:
    """The PEM of an authority that signed nothing here."""
    key, authority = folder / "key.pem", folder / "ca.pem"
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", "/CN=another", "-keyout", str(key), "-out", str(authority)),
    )
    return authority.read_text()


def refuses_another_authority(server: str, folder: Path) -> None:
    """K3s does not start where the database's certificate is not signed by what it was told to believe."""

    def on(*command: str, check: bool = True, stdin: str = "") -> str:
        return run(LOCAL_CLOUD, "shell", server, *command, check=check, stdin=stdin).stdout

    on("cp", "--preserve", CA, CA + ".right")
    try:
        on("sh", "-c", f"cat > {CA}", stdin=another_authority(folder))
        since = on("date", "+%s").strip()
        on("systemctl", "restart", "--no-block", "k3s")

        def refused() -> bool:
            journal = on("journalctl", "--no-pager", "--unit", "k3s", "--since", f"@{since}")
            return "certificate signed by unknown authority" in journal

        wait_for("K3s to refuse the database", refused, 60)
        assert on("systemctl", "is-active", "k3s", check=False).strip() != "active"
    finally:
        on("mv", CA + ".right", CA)
        on("systemctl", "restart", "k3s")
