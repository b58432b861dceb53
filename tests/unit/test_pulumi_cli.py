"""Pulumi's command line: of what it says when it fails, what a person can use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from k3s_cluster.pulumi_cli import PulumiError, pulumi


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `pulumi` that does what is written into the file."""
    program = tmp_path / "pulumi"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def test_it_is_asked_nothing_and_hears_what_it_is_given(says: Path, tmp_path: Path) -> None:
    says.write_text('#!/bin/sh\necho "$*"; pwd; cat\n')
    printed = pulumi("stack", "import", stdin="a state\n", folder=tmp_path)
    assert printed == f"--non-interactive --color never stack import\n{tmp_path}\na state\n"


def test_a_plan_that_fails_is_told_by_its_errors_alone(says: Path) -> None:
    plan = {
        "steps": [{"op": "same", "newState": {"outputs": "much"}}],
        "diagnostics": [
            {"message": "warning: the whole internet may come in\n", "severity": "warning"},
            {"message": "error: restoreFile cannot change\n", "severity": "error"},
        ],
    }
    says.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(plan)}\nEND\nexit 255\n")
    with pytest.raises(PulumiError) as failed:
        pulumi("preview", "--json", "--stack", "fra1")
    assert str(failed.value) == "`pulumi preview --json` failed:\nerror: restoreFile cannot change"


@pytest.mark.parametrize("printed", ["", "[1]", "{}", "no JSON", '{"diagnostics": []}'])
def test_everything_else_says_why_on_standard_error(says: Path, printed: str) -> None:
    says.write_text(f"#!/bin/sh\necho '{printed}'\necho 'error: no stack named fra1' >&2\nexit 255\n")
    with pytest.raises(PulumiError, match=r"^`pulumi stack export` failed:\nerror: no stack named fra1$"):
        pulumi("stack", "export")


def test_it_is_not_waited_for_without_end(says: Path) -> None:
    says.write_text("#!/bin/sh\nexec sleep 20\n")
    with pytest.raises(PulumiError, match=r"^`pulumi stack export` took over 1 s$"):
        pulumi("stack", "export", seconds=1)


def test_where_there_is_none_it_is_said_where_to_find_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PulumiError, match="there is no `pulumi` on PATH"):
        pulumi("stack", "export")
