"""README's table of custom scopes, made from what the check of the account asks a token for (`make docs`)."""

from __future__ import annotations

from collections.abc import Iterable

from k3s_cluster.account.scopes import NEEDS, Need
from readme.made_part import README, with_part

BEGIN = "<!-- scopes: made from k3s_cluster/account/scopes.py by `make docs` -->"
END = "<!-- /scopes -->"


def table(needs: Iterable[Need]) -> str:
    """One row for each kind of thing and occasion."""
    rows = ["| kind | scopes | where | for |", "|---|---|---|---|"]
    rows += [f"| `{need.kind}` | {', '.join(need.verbs)} | {need.when or 'always'} | {need.why} |" for need in needs]
    return "\n".join(rows)


if __name__ == "__main__":
    README.write_text(with_part(README.read_text(encoding="utf-8"), BEGIN, table(NEEDS), END), encoding="utf-8")
