"""By hand, half an hour: `pulumi destroy` of an HA cluster killed once at each resource, and once at each deletion.

First as Pulumi begins with each resource, of whatever kind: what is under way has mostly had no effect yet. Then at
every deletion that it asks the cloud for, when it has had its effect.

    bin/local-cloud up && .venv/bin/python -m tests.e2e.kill_every_deletion    # as root

Each time bin/recover must make the stack fit to go on, and at the end nothing may be left.
"""

from __future__ import annotations

import re
import sys

from local_cloud import control
from tests.e2e import kills
from tests.e2e.stack import LOCAL, Stack, rented_with_prefix, run

PREFIX = "e2e-each"
STACK = Stack("e2e-kill-each", {"topology": "ha", "agentCount": 1, "vpcCidr": "10.28.0.0/24", "namePrefix": PREFIX})
#: A row of a destroy that begins with a resource: its type and name.
BEGINS = re.compile(r"^\s*-\s+(\S+ \S+) deleting \(0s\)")
#: Far more than a cluster has: a stack that never gets empty ends as a failure.
MOST_KILLS = 100


def main() -> int:
    """0 when every kill was recovered from; CommandFailed with the command's output otherwise."""
    STACK.init()
    try:
        STACK.up()
        begun: set[str] = set()
        while resource := _killed_at_one_of_others_than(begun):
            begun.add(resource)
            assert len(begun) < MOST_KILLS
            print(f"killed as it began with {resource}", *_recover(), sep="\n    ", flush=True)
        assert rented_with_prefix(PREFIX) == []
        STACK.up()
        for number in range(1, MOST_KILLS):
            kills.hang("DELETE", "/v2/.*")
            # One at a time, so that each is the one that is under way at some kill.
            destroy = STACK.start_destroy("--parallel", "1")
            try:
                kills.kill(destroy, f"deletion {number}", kills.calls_hang)
            except AssertionError:
                # No deletion was left to hang at: this destroy went to its end.
                control.call("DELETE", "faults")
                assert destroy.returncode == 0
                break
            print(f"kill {number}", *_recover(), sep="\n    ", flush=True)
        assert rented_with_prefix(PREFIX) == []
        STACK.up()
        STACK.destroy()
        assert rented_with_prefix(PREFIX) == []
    finally:
        control.call("DELETE", "faults")
        STACK.pulumi("destroy", "--yes", "--skip-preview", check=False)
        STACK.remove()
    print(f"destroyed after {len(begun)} and {number - 1} kills; up and destroy went on")
    return 0


def _killed_at_one_of_others_than(begun: set[str]) -> str | None:
    """The resource at whose beginning a destroy was killed; None if it went to its end with those in `begun` alone."""
    destroy = STACK.start_destroy("--parallel", "1")
    assert destroy.stdout is not None
    for line in destroy.stdout:
        if (found := BEGINS.match(line)) and found[1] not in begun:
            destroy.kill()
            kills.wait_until_gone(destroy)
            return found[1]
    assert destroy.wait() == 0
    return None


def _recover() -> list[str]:
    said = run(LOCAL, "bin/recover", "--yes", PULUMI_STACK=STACK.name).stdout
    assert "nothing is left over" in said, said
    return said.strip().splitlines()


if __name__ == "__main__":
    sys.exit(main())
