"""When each part of a new cluster was there: `python -m tests.critical_path`, the table of docs/critical-path.md.

It brings up, and destroys again, each shape on the local cloud, as fast as the machine is and with durations like
DigitalOcean's. The times are the ones in Pulumi's state, which says of every resource when it was created.
Arguments choose shapes by name. `--fast` leaves the durations of DigitalOcean out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.e2e.stack import LOCAL_CLOUD, Stack, run

#: Health checks as short as DigitalOcean's API takes them, and those that a stack has by default.
SHORT = {"healthCheckInterval": 3, "healthCheckHealthy": 2, "healthCheckUnhealthy": 2}
SHAPES: Mapping[str, Mapping[str, object]] = {
    "single-node": {"topology": "single-node"},
    "2 + 1": {"topology": "ha"},
    "2 + 1, health check 3 s x 2": {"topology": "ha", **SHORT},
    "3 + 10": {"topology": "ha", "serverCount": 3, "agentCount": 10, "datastoreSize": "db-s-2vcpu-4gb"},
}
PROFILES = ("fast", "realistic")
#: What is looked for, in the order of the table: the end of the type, and which of several counts.
MILESTONES = (
    ("all droplets active", ":Droplet", "", max),
    ("database online", ":DatabaseCluster", "", max),
    ("first server Ready", ":Node", "server-", min),
    ("all servers Ready", ":Node", "server-", max),
    ("all agents Ready", ":Node", "agent-", max),
    ("kubeconfig written, API answers", ":Kubeconfig", "", max),
)


def milestones(resources: Sequence[Mapping[str, Any]], began: datetime) -> Iterator[tuple[str, float]]:
    """Names of what was made, and the seconds from `began` until it was there; what a stack has none of is left out."""
    for name, kind, beginning, which in MILESTONES:
        times = [
            (datetime.fromisoformat(str(one["created"])[:26].rstrip("Z") + "+00:00") - began).total_seconds()
            for one in resources
            if one["type"].endswith(kind) and one["urn"].rpartition("::")[2].startswith(beginning)
        ]
        if times:
            yield name, which(times)


def measure(shape: str) -> dict[str, float]:
    """Seconds by milestone of one `pulumi up`, its own end as the last one."""
    number = list(SHAPES).index(shape)
    about = {"namePrefix": f"path-{number}", "vpcCidr": f"10.{60 + number}.0.0/24"}
    stack = Stack(f"e2e-path-{number}", {**about, **SHAPES[shape]})
    stack.init()
    try:
        began = datetime.now(UTC)
        stack.up()
        ended = (datetime.now(UTC) - began).total_seconds()
        return {**dict(milestones(stack.exported()["deployment"]["resources"], began)), "`pulumi up` ended": ended}
    finally:
        stack.destroy()
        stack.remove()


def table(measured: Mapping[str, Mapping[str, float]]) -> str:
    """Markdown: a row for each shape, a column for each milestone."""
    columns = [*(name for name, *_ in MILESTONES), "`pulumi up` ended"]
    rows = [["", *columns], ["---", *("---:" for _ in columns)]]
    for shape, found in measured.items():
        rows.append([shape, *(f"{found[name]:.0f} s" if name in found else "" for name in columns)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: Sequence[str]) -> None:
    shapes = [shape for shape in SHAPES if shape in arguments] or list(SHAPES)
    measured = {}
    run(LOCAL_CLOUD, "up")
    try:
        for profile in PROFILES[:1] if "--fast" in arguments else PROFILES:
            run(LOCAL_CLOUD, "durations", profile)
            for shape in shapes:
                measured[f"{shape}, {profile}"] = measure(shape)
    finally:
        run(LOCAL_CLOUD, "durations", "fast")
    print(table(measured))


if __name__ == "__main__":
    main(sys.argv[1:])
