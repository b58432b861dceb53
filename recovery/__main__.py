"""bin/recover: makes a stack fit for `pulumi up` again after a run of it was killed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from k3s_cluster.pulumi_cli import PulumiError, pulumi
from recovery.account import Account, AccountError
from recovery.file_backend import remove_half_written
from recovery.leftovers import compare, pending, wanted, without_pending


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when `pulumi up` can be run; 1 with one message when something is in the way."""
    parser = argparse.ArgumentParser(prog="bin/recover", description="Makes a stack fit for `pulumi up` again.")
    parser.add_argument("--stack", help="by default the selected one")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    options = parser.parse_args(arguments)
    if options.stack:
        os.environ["PULUMI_STACK"] = options.stack
    try:
        return _recover(ask=not options.yes)
    except (AccountError, PulumiError) as error:
        print(f"bin/recover: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("\nbin/recover: interrupted; it can simply be run again", file=sys.stderr)
        return 130


def _recover(*, ask: bool) -> int:
    account = Account()
    if ask and not _agreed("Is no other `pulumi` at work on this stack?"):
        return 1
    for path in remove_half_written(json.loads(pulumi("whoami", "--json"))["url"]):
        print(f"was half written, and is not needed: {path.name}")
    # A killed run leaves its lock behind. Where there is none, there is nothing to cancel.
    with contextlib.suppress(PulumiError):
        pulumi("cancel", "--yes")
    state: dict[str, Any] = json.loads(pulumi("stack", "export"))
    if under_way := pending(state):
        print("was under way when the run ended: " + ", ".join(under_way))
        pulumi("stack", "import", stdin=json.dumps(without_pending(state)))
    plan = json.loads(pulumi("preview", "--json"))
    resources = wanted(state, plan)
    kinds = {each.path: each.kind.items for each in resources}
    left, foreign = compare(resources, state, {path: account.list(path, items) for path, items in kinds.items()})
    for leftover in left:
        print(f"in the account, and not in the state: {leftover}")
    if left and ask and not _agreed("Remove all of it?"):
        return 1
    for leftover in left:
        account.remove(leftover)
        print(f"removed: {leftover}")
    for other in foreign:
        print(f"not touched, because it is older than this stack: {other}; choose another namePrefix", file=sys.stderr)
    if foreign:
        return 1
    print("nothing is left over: run `pulumi up`")
    return 0


def _agreed(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


if __name__ == "__main__":
    sys.exit(main())
