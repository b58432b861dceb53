"""README's tables say what Pulumi.yaml and the check of the account say."""

from __future__ import annotations

import pytest

from k3s_cluster.account.scopes import NEEDS
from readme import scopes_table
from readme.made_part import README, with_part
from readme.settings_table import BEGIN, END, declared, table


def test_readme_has_the_table_that_pulumi_yaml_makes() -> None:
    text = README.read_text()
    assert with_part(text, BEGIN, table(declared()), END) == text, "README's settings table is stale: run `make docs`"


def test_readme_has_the_scopes_that_a_token_is_asked_for() -> None:
    text = README.read_text()
    made = scopes_table.table(NEEDS)
    assert with_part(text, scopes_table.BEGIN, made, scopes_table.END) == text, "stale: run `make docs`"
    assert "| `vpc` | read | `vpcId` is set | that network |" in made


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
    assert with_part(f"a\n{BEGIN}\nold\n{END}\nb\n", BEGIN, "new", END) == f"a\n{BEGIN}\nnew\n{END}\nb\n"


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="once each"):
        with_part("nothing", BEGIN, "new", END)
