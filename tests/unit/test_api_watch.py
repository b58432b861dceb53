"""When the watch on a server sends clients away and lets them in: the script itself, with its tools stood in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "k3s_cluster/over_ssh/on_servers/watch-api.sh"
OWN, OTHER = "10.10.10.2", "10.10.10.3"
TOOLS = {
    # Each sleep begins the next turn; the script ends with the last one.
    "sleep": 'turn=$(($(cat turn) + 1)); echo $turn > turn; [ -e "ready-$turn" ]',
    "curl": 'for url; do :; done; grep -qxF "$(echo "$url" | cut -d/ -f3)" "ready-$(cat turn)"',
    "nft": 'echo "$(cat turn) $1" >> told; cat > /dev/null',
    "hostname": f'echo "203.0.113.2 {OWN} "',
    "sed": f"printf '%s\\n' {OWN} {OTHER}",
}


def watched(folder: Path, turns: list[tuple[str, ...]]) -> list[str]:
    """What nft was told in which turn (0 is the start), where in each turn the APIs at these addresses are ready."""
    for name, body in TOOLS.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    (folder / "turn").write_text("0")
    for number, ready in enumerate(turns, start=1):
        (folder / f"ready-{number}").write_text("".join(f"{address}:6443\n" for address in ready))
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(["sh", SCRIPT], cwd=folder, env=environment, stdin=subprocess.DEVNULL, timeout=30, check=True)
    return (folder / "told").read_text().splitlines()


HERE, ELSEWHERE = ("127.0.0.1", OWN, OTHER), (OTHER,)


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ([HERE, HERE], []),
        ([ELSEWHERE, HERE, ELSEWHERE], []),
        ([ELSEWHERE, ELSEWHERE, ELSEWHERE], ["2 -f"]),
        ([ELSEWHERE, ELSEWHERE, HERE, HERE], ["2 -f", "3 delete"]),
        ([(), (), ()], []),
        ([(OWN,), (OWN,)], []),
        ([ELSEWHERE, ELSEWHERE, ()], ["2 -f", "3 delete"]),
        ([(), (), ELSEWHERE], ["3 -f"]),
    ],
    ids=[
        "well",
        "one failure is none",
        "another server is ready",
        "back again",
        "no server is ready",
        "it is not its own other",
        "the other one fails as well",
        "the other one comes back first",
    ],
)
def test_a_server_leaves_only_while_another_one_is_ready(
    tmp_path: Path, turns: list[tuple[str, ...]], told: list[str]
) -> None:
    assert watched(tmp_path, turns) == ["0 delete", *told]
