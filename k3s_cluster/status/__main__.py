"""`bin/status [STACK] [--drift] [--json]`. Exit status: 0 all is well, 1 something is not, 2 there is no cluster."""

from __future__ import annotations

import argparse
import json
import os
import sys

from pulumi import RunError

from k3s_cluster.status import collect
from k3s_cluster.status.render import screen

WELL, UNWELL, NO_CLUSTER = 0, 1, 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="bin/status", description=__doc__)
    parser.add_argument("stack", nargs="?", metavar="STACK", help="the stack's name; by default the selected one")
    parser.add_argument("--drift", action="store_true", help="compare with what is really there, too (slow)")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    chosen = parser.parse_args()
    try:
        report = collect.report(chosen.stack, drift=chosen.drift)
    except (collect.NoCluster, RunError) as error:
        print(json.dumps({"healthy": False, "problems": [str(error)]}) if chosen.json else f"bin/status: {error}")
        return NO_CLUSTER if isinstance(error, collect.NoCluster) else UNWELL
    # no-color.org: any value but an empty one.
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(json.dumps(report.as_json(), indent=2) if chosen.json else screen(report, colour=colour))
    return UNWELL if report.problems else WELL


if __name__ == "__main__":
    sys.exit(main())
