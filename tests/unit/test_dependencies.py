"""What is installed is pinned and hashed, and the audit reads its report right."""

from __future__ import annotations

import re

import pytest

from tests.dependencies import LISTS, findings
from tests.unit.stack_files import CHECKOUT

PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;\\]+)")


def entries(text: str) -> list[str]:
    """The requirements of a file, each with the lines that continue it."""
    return [entry for entry in re.split(r"\n(?=\S)", text) if entry and not entry.startswith(("#", "-r"))]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", LISTS)
def test_everything_that_is_installed_has_one_version_and_its_hashes(name: str) -> None:
    locked = {}
    for entry in entries((CHECKOUT / f"{name}.txt").read_text()):
        pin = PIN.match(entry)
        assert pin, entry
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}", entry), f"{entry} has no hash"
        locked[normal(pin[1])] = pin[2]
    asked = {normal(pin[1]): pin[2] for pin in PIN.finditer((CHECKOUT / f"{name}.in").read_text())}
    assert asked
    assert {package: locked.get(package) for package in asked} == asked, "run `make lock`"


def test_the_tests_run_with_what_the_program_is_installed_with() -> None:
    program, tests = ((CHECKOUT / f"{name}.txt").read_text() for name in ("requirements", "requirements-dev"))
    assert set(PIN.findall(program)) <= set(PIN.findall(tests))


def test_the_audit_s_findings() -> None:
    report = {
        "dependencies": [
            {"name": "good", "version": "1.0", "vulns": []},
            {"name": "bad", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]},
            {"name": "unheard-of", "skip_reason": "not found"},
        ]
    }
    assert findings(report) == (["bad 2.0: PYSEC-1, fixed in 2.1"], ["unheard-of"])
