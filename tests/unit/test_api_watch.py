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
    # 22 is an error's answer, 28 none at all.
    "curl": 'for url; do :; done; asked="$(echo "$url" | cut -d/ -f3)"; found="ready-$(cat turn)"; '
    'grep -qxF "$asked" "$found" && exit 0; grep -qxF "$asked fails" "$found" && exit 22; exit 28',
    "nft": 'echo "$(cat turn) $1" >> told; cat > /dev/null',
    "hostname": f'echo "203.0.113.2 {OWN} "',
    "sed": f"printf '%s\\n' {OWN} {OTHER}",
}


def answer(told: str) -> str:
    """Whom the stood-in curl is to hear: `told` is an address, and `fails` where it answers an error."""
    address, _, error = told.partition(" ")
    return f"{address if ':' in address else f'{address}:6443'} {error}".strip()


def watched(folder: Path, turns: list[tuple[str, ...]]) -> list[str]:
    """What nft was told in which turn (0 is the start), where in each turn the APIs at these addresses are ready."""
    for name, body in TOOLS.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    (folder / "turn").write_text("0")
    for number, ready in enumerate(turns, start=1):
        (folder / f"ready-{number}").write_text("".join(f"{answer(each)}\n" for each in ready))
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(["sh", SCRIPT], cwd=folder, env=environment, stdin=subprocess.DEVNULL, timeout=30, check=True)
    return (folder / "told").read_text().splitlines()


#: What a member of etcd says of itself without a majority.
NO_QUORUM = "127.0.0.1:2381 fails"
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
        ([(NO_QUORUM,), (NO_QUORUM,), (NO_QUORUM,), HERE], ["2 -f", "4 delete"]),
        ([(NO_QUORUM, f"{OTHER} fails"), (NO_QUORUM, f"{OTHER} fails")], []),
        ([("127.0.0.1:2381",), ("127.0.0.1:2381",)], []),
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
        "a member of etcd that is cut off",
        "no member has a majority, and they reach each other",
        "etcd is well and only the API is not",
    ],
)
def test_a_server_leaves_only_while_another_one_is_ready(
    tmp_path: Path, turns: list[tuple[str, ...]], told: list[str]
) -> None:
    assert watched(tmp_path, turns) == ["0 delete", *told]
