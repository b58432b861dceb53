"""bin/recover: makes a stack fit for `pulumi up` and `pulumi destroy` again after a run of it was killed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from pulumi import RunError

from k3s_cluster.pulumi_cli import RECOVERING, PulumiError, pulumi
from k3s_cluster.stack_config import credentials
from recovery.account import Account, AccountError
from recovery.file_backend import remove_half_written
from recovery.leftovers import (
    Leftover,
    as_planned,
    being_deleted,
    compare,
    import_file,
    name_of,
    pending,
    still_known,
    wanted,
    without_pending,
)

#: A deletion that the cloud has accepted may take so long to show: a droplet is first shut down.
DELETION_SECONDS = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when Pulumi can go on; 1 with one message when something is in the way."""
    parser = argparse.ArgumentParser(
        prog="bin/recover", description="Makes a stack fit for `pulumi up` and `pulumi destroy` again."
    )
    parser.add_argument("--stack", help="by default the selected one")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    options = parser.parse_args(arguments)
    if options.stack:
        os.environ["PULUMI_STACK"] = options.stack
    os.environ[RECOVERING] = "1"
    try:
        return _recover(ask=not options.yes)
    except (AccountError, PulumiError, RunError) as error:
        print(f"bin/recover: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("\nbin/recover: interrupted; it can simply be run again", file=sys.stderr)
        return 130


def _recover(*, ask: bool) -> int:
    if ask and not _agreed("Is no other `pulumi` at work on this stack?"):
        return 1
    # First of all: with such a file Pulumi does not even show the stack's config.
    for path in remove_half_written(json.loads(pulumi("whoami", "--json"))["url"]):
        print(f"was half written, and is not needed: {path.name}")
    account = Account(credentials(_config(), os.environ))
    # A killed run leaves its lock behind. Where there is none, there is nothing to cancel.
    with contextlib.suppress(PulumiError):
        pulumi("cancel", "--yes")
    state = _export()
    if under_way := pending(state):
        print("was under way when the run ended: " + ", ".join(under_way))
        pulumi("stack", "import", stdin=json.dumps(without_pending(state)))
    state = _without_gone(state, being_deleted(state))
    plan = json.loads(pulumi("preview", "--json"))
    resources = wanted(state, plan)
    kinds = {each.path: each.kind.items for each in resources}
    left, foreign = compare(resources, state, {path: account.list(path, items) for path, items in kinds.items()})
    if known := [each for each in left if each.wanted.kind.import_id]:
        _take(known, state)
        left = [each for each in left if each not in known]
    for leftover in left:
        print(f"in the account, and not in the state: {leftover}")
    if left and ask and not _agreed("Remove all of it?"):
        return 1
    for leftover in left:
        staying = account.remove(leftover)
        print(staying or f"removed: {leftover}")
    for other in foreign:
        print(f"not touched, because it is older than this stack: {other}; choose another namePrefix", file=sys.stderr)
    if foreign:
        return 1
    print("nothing is left over: run `pulumi up`, or `pulumi destroy`")
    return 0


def _config() -> dict[str, str]:
    """The stack's config, secrets decrypted."""
    shown = json.loads(pulumi("config", "--json", "--show-secrets"))
    return {key: str(entry.get("value", "")) for key, entry in shown.items()}


def _export() -> dict[str, Any]:
    exported: dict[str, Any] = json.loads(pulumi("stack", "export"))
    return exported


def _without_gone(state: dict[str, Any], urns: Sequence[str]) -> dict[str, Any]:
    """The state, when what is gone of `urns` is taken out of it: the provider asks the cloud for exactly these."""
    if not urns:
        return state
    kept = list(urns)
    for wait in (0, DELETION_SECONDS):
        if not kept:
            break
        time.sleep(wait)
        targets = [argument for urn in kept for argument in ("--target", urn)]
        pulumi("refresh", "--yes", "--skip-preview", *targets)
        known = still_known(_export(), kept)
        for urn in kept:
            if urn not in known:
                print(f"is gone, and is taken out of the state: {name_of(urn)}")
        kept = known
    for urn in kept:
        print(f"is still there, and stays in the state: {name_of(urn)}")
    return _export()


def _take(leftovers: Sequence[Leftover], state: dict[str, Any]) -> None:
    """Write what is in the account into the state, as the program has it."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(import_file(leftovers, state), file)
        file.flush()
        options = ("--yes", "--skip-preview", "--generate-code=false", "--protect=false")
        pulumi("import", "--file", file.name, *options)
    pulumi("stack", "import", stdin=json.dumps(as_planned(_export(), leftovers)))
    for leftover in leftovers:
        print(f"is taken into the state: {leftover}")


def _agreed(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


if __name__ == "__main__":
    sys.exit(main())
