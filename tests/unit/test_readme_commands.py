"""Every command in README is run by a test, or it is said why none does."""

from __future__ import annotations

import ast

import pytest

from readme.commands import NOT_RUN, PROOFS, Proof, shell_commands
from readme.made_part import README


def source_of(proof: Proof) -> str:
    """The text of the function, or of the whole file."""
    text = (README.parent / proof.file).read_text()
    if proof.function is None:
        return text
    (function,) = (
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef) and node.name == proof.function
    )
    return ast.get_source_segment(text, function) or ""


def test_every_command_of_readme_is_in_the_table_and_nothing_else_is() -> None:
    commands = set(shell_commands(README.read_text()))
    assert commands == {*PROOFS, *NOT_RUN}
    assert not set(PROOFS) & set(NOT_RUN)


@pytest.mark.parametrize("command", PROOFS)
def test_what_is_said_to_run_a_command_does(command: str) -> None:
    proof = PROOFS[command]
    assert " ".join(proof.words.split()) in " ".join(source_of(proof).split())


def test_comments_and_blank_lines_are_no_commands() -> None:
    text = "```sh\nmake demo   # all of it\n\n# nothing\nbin/x 'a#b'\n```\n```text\nno\n`make no`\n```\n"
    assert list(shell_commands(text)) == ["make demo", "bin/x 'a#b'"]


def test_commands_between_the_lines_are_commands_and_other_code_is_not() -> None:
    text = "`pulumi up` makes `topology`, and `bin/status a --json` tells; `bin/local: no` is said, `maker` is not."
    assert list(shell_commands(text)) == ["pulumi up", "bin/status a --json"]
