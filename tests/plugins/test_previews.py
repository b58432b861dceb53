"""What a pull request without secrets gets: the very script that its workflow calls."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from local_cloud import paths

CHECKOUT = paths.CHECKOUT
WORKFLOWS = sorted((CHECKOUT / ".github/workflows").glob("*.yml"))


@pytest.mark.e2e
def test_every_stack_is_previewed_without_an_account_or_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "preview.md"
    before = _of_no_test()
    environment = {**os.environ, "DIGITALOCEAN_TOKEN": "dop_v1_somebody", "DIGITALOCEAN_API_URL": "http://127.0.0.1:1"}
    subprocess.run([CHECKOUT / "bin/preview-all", file], check=True, env=environment, timeout=300)
    text = file.read_text()
    found = dict(re.findall(r"<summary><b>([^<]*)</b>: ([^<]*)</summary>", text))
    assert set(found) >= {"fra1", "local", "single"}
    assert all(re.fullmatch(r"\d+ to create", found[stack]) for stack in ("fra1", "local", "single"))
    assert "digitalocean:index:LoadBalancer" in text
    assert _of_no_test() == before


def _of_no_test() -> list[str]:
    """What is in the checkout, without the stacks of a test beside this one."""
    return sorted(path.name for path in CHECKOUT.iterdir() if not path.name.startswith("Pulumi.e2e-"))


def test_the_matrix_is_the_account_s_stacks() -> None:
    printed = subprocess.run(
        [CHECKOUT / ".github/scripts/stacks.sh"], check=True, capture_output=True, text=True
    ).stdout
    assert {"fra1", "single"} <= set(json.loads(printed))
    assert "local" not in json.loads(printed)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_by_commit_and_name_their_version(file: Path) -> None:
    used = re.findall(r"uses: (.*)", file.read_text())
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_jobs_may_read_and_only_name_what_they_may_write(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] in ({}, {"contents": "read"})
    wanted = {"preview.yml": {"pull-requests"}, "drift.yml": {"issues"}, "test.yml": set()}[file.name]
    for job in workflow["jobs"].values():
        given = job.get("permissions", workflow["permissions"])
        assert {key for key, value in given.items() if value == "write"} <= wanted
        assert given["contents"] == "read"


#: A `gh` that keeps comments in a folder, as far as comment.sh uses it: list, post, edit.
GH = """#!/bin/sh
case "$*" in
*PATCH*) id=$(printf %s "$4$5$6" | sed 's/.*comments.//;s/--field.*//'); for last; do :; done
    cp "${last#body=@}" "$GH_COMMENTS/$id" ;;
*POST*) for last; do :; done
    cp "${last#body=@}" "$GH_COMMENTS/$(ls "$GH_COMMENTS" | wc -l)" ;;
*) for each in "$GH_COMMENTS"/*; do [ "$(head -n 1 "$each")" = "$MARKER" ] && basename "$each"; done; exit 0 ;;
esac
"""


def folder_with_gh(tmp_path: Path, script: str) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "gh").write_text(script)
    (folder / "gh").chmod(0o755)
    return folder


def test_a_comment_is_edited_and_not_repeated(tmp_path: Path) -> None:
    comments, bin_folder = tmp_path / "comments", folder_with_gh(tmp_path, GH)
    comments.mkdir()
    (comments / "0").write_text("somebody else's\n")
    environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "GH_REPO": "a/b", "GH_COMMENTS": str(comments)}
    for text in ("first", "second"):
        (tmp_path / "preview.md").write_text(f"<!-- pulumi preview: fra1 -->\n{text}\n")
        command = [str(CHECKOUT / ".github/scripts/comment.sh"), "7", str(tmp_path / "preview.md")]
        subprocess.run(command, check=True, env=environment, timeout=20)
    assert sorted(path.name for path in comments.iterdir()) == ["0", "1"]
    assert (comments / "1").read_text().endswith("second\n")


#: A `gh` that keeps issues in a folder, a file each that ends with its state, as far as drift-issue.sh uses it.
GH_ISSUES = """#!/bin/sh
cd "$GH_ISSUES" || exit 1
case "$1 $2" in
"issue list") grep -l "^open $TITLE\\$" ./* 2>/dev/null | sed 's/..//' ;;
"issue create") n=$(($(ls | wc -l) + 1)); { echo "open $4"; cat "$6"; } >"$n" ;;
"issue edit") { head -n 1 "$3"; cat "$5"; } >"$3.new"; mv "$3.new" "$3" ;;
"issue close") sed -i "1s/^open/closed/" "$3" ;;
*) exit 1 ;;
esac
"""


def test_drift_keeps_one_open_issue_a_stack_and_closes_it_when_it_is_mended(tmp_path: Path) -> None:
    issues, bin_folder = tmp_path / "issues", folder_with_gh(tmp_path, GH_ISSUES)
    issues.mkdir()
    environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "GH_REPO": "a/b", "GH_ISSUES": str(issues)}

    def night(stack: str, status: int, said: str) -> dict[str, str]:
        (tmp_path / "drift.md").write_text(said + "\n")
        command = [str(CHECKOUT / ".github/scripts/drift-issue.sh"), stack, str(status), str(tmp_path / "drift.md")]
        subprocess.run(command, check=True, env=environment, timeout=20)
        return {path.name: path.read_text() for path in sorted(issues.iterdir())}

    title = "Drift: the stack fra1 is not as its program says"
    assert night("fra1", 0, "nothing") == {}
    assert night("fra1", 1, "a tag is gone") == {"1": f"open {title}\na tag is gone\n"}
    assert night("fra1", 1, "two tags are gone") == {"1": f"open {title}\ntwo tags are gone\n"}
    assert set(night("single", 1, "a node is gone")) == {"1", "2"}
    assert night("fra1", 0, "nothing")["1"].startswith(f"closed {title}\n")
    assert night("fra1", 1, "again")["3"] == f"open {title}\nagain\n"
