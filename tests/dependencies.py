"""What the project installs, locked and audited: `python -m tests.dependencies lock` and `... audit`.

`lock` writes requirements*.txt from requirements*.in: every package that is needed in turn, at one version, with the
hashes of all its files, so that pip takes nothing else. `audit` asks for known vulnerabilities in what is locked.
Both need a network; without one `audit` says that it was skipped, and that is no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
TOOLS = CHECKOUT / ".local" / "dependency-tools"
#: Each list, and the one whose versions it must keep to.
LISTS = {"requirements": None, "requirements-dev": "requirements", "requirements-tools": None}
OLDEST_PYTHON = "3.11"
SECONDS = 300


class Unavailable(Exception):
    """The tools, or what they ask, cannot be reached from here."""


def tool(name: str) -> Path:
    """The program `name` from requirements-tools.txt, installed if it is not there yet."""
    wanted = (CHECKOUT / "requirements-tools.txt").read_text()
    made_from = TOOLS / "made-from"
    if not made_from.exists() or made_from.read_text() != wanted:
        venv.create(TOOLS, with_pip=True, clear=True)
        pip = [str(TOOLS / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = run([*pip, "--retries", "1", "--require-hashes", "-r", "requirements-tools.txt"])
        if done.returncode:
            raise Unavailable(f"{name} could not be installed: {last_line(done.stderr)}")
        made_from.write_text(wanted)
    return TOOLS / "bin" / name


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=SECONDS, check=False)


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


def lock() -> int:
    uv = str(tool("uv"))
    for name, kept_to in LISTS.items():
        command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", OLDEST_PYTHON]
        command += ["--generate-hashes", "--no-header", "--no-emit-index-url", f"{name}.in", "-o", f"{name}.txt"]
        done = run([*command, *(["-c", f"{kept_to}.txt"] if kept_to else [])])
        if done.returncode:
            print(f"{name}.txt could not be written: {done.stderr}", file=sys.stderr)
            return 1
    return 0


def findings(report: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What pip-audit's JSON report says: a line for each vulnerability, and the packages that nobody knew."""
    found, unknown = [], []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            unknown.append(package["name"])
        for vulnerability in package.get("vulns", []):
            fixed = " or ".join(vulnerability["fix_versions"]) or "no version"
            found.append(f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}")
    return found, unknown


def audit() -> int:
    try:
        program = str(tool("pip-audit"))
    except Unavailable as reason:
        print(f"dependency audit: skipped; {reason}")
        return 0
    status = 0
    for name in LISTS:
        command = [program, "--progress-spinner", "off", "--disable-pip", "--require-hashes", "--format", "json"]
        done = run([*command, "-r", f"{name}.txt"])
        try:
            found, unknown = findings(json.loads(done.stdout))
        except ValueError:
            print(f"dependency audit: {name}.txt skipped; no list of vulnerabilities answers: {last_line(done.stderr)}")
            continue
        total = len(json.loads(done.stdout)["dependencies"])
        if total and len(unknown) == total:
            print(f"dependency audit: {name}.txt skipped; the package index in use has no list of vulnerabilities")
            continue
        missed = f"; not known to the list: {', '.join(unknown)}" if unknown else ""
        print(f"dependency audit: {name}.txt: {len(found)} known vulnerabilities in {total} packages{missed}")
        print("".join(f"  {line}\n" for line in found), end="")
        status = 1 if found else status
    return status


if __name__ == "__main__":
    sys.exit({"lock": lock, "audit": audit}[sys.argv[1]]())
