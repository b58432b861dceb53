"""A preview as a comment: found again, short enough, and not to be broken by what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from local_cloud.previews.__main__ import main, preview, unwritable
from local_cloud.previews.markdown import MOST_CHARACTERS, Preview, comment, marker, summary

SHOWN = """Previewing update (fra1):
 +  pulumi-python:dynamic/over_ssh:Node server-0 create
    pulumi:pulumi:Stack k3s-digitalocean-fra1

Resources:
    + 44 to create
    ~ 2 to update
    3 unchanged
"""


def test_a_comment_begins_with_what_it_is_found_by() -> None:
    text = comment("fra1", [Preview("fra1", SHOWN, 0)], "the account")
    assert text.splitlines()[0] == marker("fra1")
    assert not marker("fra10").startswith(marker("fra1"))
    assert "<summary><b>fra1</b>: 44 to create, 2 to update</summary>" in text


def test_only_an_earlier_comment_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "preview.md"
    assert unwritable(file) is None
    for text in ("", comment("all stacks", [Preview("dev", "x", 0)], "x")):
        file.write_text(text)
        assert unwritable(file) is None
    for kept in (b"# Notes\n", b"\xff\xfe"):
        file.write_bytes(kept)
        assert main([str(file)]) == 1
        assert "is there, and is no earlier comment of this command: choose another name" in capsys.readouterr().err
        assert file.read_bytes() == kept
    assert unwritable(tmp_path / "none" / "preview.md") == "cannot be written: choose a folder that is there"


def test_what_failed_is_open_and_what_changes_nothing_says_so() -> None:
    text = comment("all stacks", [Preview("a", "error: no", 255), Preview("b", "    24 unchanged", 0)], "x")
    assert "<details open><summary><b>a</b>: failed</summary>" in text
    assert "<details><summary><b>b</b>: no changes</summary>" in text
    assert summary(Preview("a", SHOWN, 1)) == "failed"


def test_a_long_preview_keeps_its_end() -> None:
    previews = [Preview(stack, "x" * 200_000 + f"\nthe end of {stack}", 0) for stack in ("a", "b")]
    text = comment("all stacks", previews, "x")
    assert len(text) < MOST_CHARACTERS + 1000 < 65_536
    assert "the end of a\n" in text
    assert "the end of b\n" in text


def test_a_fence_in_the_output_does_not_end_the_block_and_colours_are_left_out() -> None:
    text = comment("a", [Preview("a", "\x1b[31mred\x1b[0m\n````\n<b>not ours</b>", 0)], "x")
    assert "\n`````\nred\n````\n<b>not ours</b>\n`````\n" in text


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("datastoreEndpoint", {"secure": "v1:x"}, "left out: k3s-digitalocean:datastoreEndpoint is encrypted"),
        ("restoreFile", "fra1.backup", "left out: restoreFile names a backup, and only who has its passphrase"),
    ],
)
def test_a_stack_that_only_its_owner_can_preview_is_left_out_and_says_why(
    key: str, value: object, why: str, tmp_path: Path
) -> None:
    file = tmp_path / "Pulumi.mine.yaml"
    file.write_text(yaml.safe_dump({"config": {f"k3s-digitalocean:{key}": value}}))
    seen = preview(tmp_path / "project", file, {})
    assert (seen.stack, seen.status) == ("mine", 0)
    assert seen.output.startswith(why)
    assert "<details open><summary><b>mine</b>: left out</summary>" in comment("all", [seen], "x")
