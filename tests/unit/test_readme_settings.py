"""README's settings table says what Pulumi.yaml says."""

from __future__ import annotations

import pytest

from readme.settings_table import BEGIN, END, README, declared, table, with_table


def test_readme_has_the_table_that_pulumi_yaml_makes() -> None:
    text = README.read_text()
    assert with_table(text, table(declared())) == text, "README's settings table is stale: run `make docs`"


def test_a_row_has_key_default_and_description() -> None:
    config = {
        "topology": {"default": "ha", "description": "`single-node` or `ha`"},
        "agentPools": {"default": [], "description": "a | b"},
        "serverTaint": {"default": False, "description": "over\ntwo lines"},
        "apiDomain": {"default": "", "description": "none"},
    }
    assert table(config).splitlines()[2:] == [
        "| `topology` | `ha` | `single-node` or `ha` |",
        "| `agentPools` | `[]` | a \\| b |",
        "| `serverTaint` | `false` | over two lines |",
        "| `apiDomain` |  | none |",
    ]


def test_what_stands_around_the_table_is_kept() -> None:
    assert with_table(f"a\n{BEGIN}\nold\n{END}\nb\n", "new") == f"a\n{BEGIN}\nnew\n{END}\nb\n"


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="once each"):
        with_table("nothing", "new")
