"""When a server passes the load balancer's health checks, and whom it refuses: the script, with its tools stood in."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "k3s_cluster/over_ssh/on_servers/api-traffic.sh"
OWN, OTHER = "10.10.10.2", "10.10.10.3"
TOOLS = {
    # Each sleep notes what there is and begins the next turn; the script ends with the last one.
    "sleep": "ls tables | tr '\\n' ' ' >> seen; echo >> seen; "
    'turn=$(($(cat turn) + 1)); echo $turn > turn; [ -e "ready-$turn" ]',
    # 22 is an error's answer, 28 none at all.
    "curl": 'for url; do case $url in *//*) asked="$(echo "$url" | cut -d/ -f3)"; break ;; esac; done; '
    'found="ready-$(cat turn)"; grep -qxF "$asked fails" "$found" && exit 22; grep -qxF "$asked" "$found" || exit 28; '
    "printf ok; case $* in */endpointslices/*) cat endpoints ;; esac",
    # `timeout SECONDS bash -c ": <>/dev/tcp/ADDRESS/PORT"` opens a connection.
    "timeout": 'grep -qxF "$(echo "$4" | sed "s|.*/tcp/||; s|/|:|")" "ready-$(cat turn)"',
    # Tables are files.
    "nft": "case $1 in "
    "list) for table in tables/*; do echo table inet ${table#tables/}; done ;; "
    "-f) [ ! -e nft-fails ] || exit 1; cat > rules; "
    "name=$(sed -n '/address_translation/d; s/^table [a-z]* \\([a-z0-9_]*\\) {/\\1/p' rules); "
    "if [ $name ]; then touch tables/$name; else rm -f tables/$(sed -n 's/^delete table [a-z]* //p' rules); fi ;; "
    "esac",
    "hostname": f'echo "203.0.113.2 {OWN} "',
    # The addresses in /etc/hosts, or what it is really for.
    "sed": f"case $* in */etc/hosts) printf '%s\\n' {OWN} {OTHER} ;; *) /usr/bin/env -i /bin/sed \"$@\" ;; esac",
}
PASSES, AWAY, REFUSES = "k3s_health_checks", "k3s_api_not_ready", "k3s_new_connections_refused"
HOLDS = "k3s_requests_held"


class Server:
    """A folder with the script's tools in it, and its state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tables").mkdir()
        (folder / "state").mkdir()
        for name, body in TOOLS.items():
            (folder / name).write_text(f"#!/bin/sh\n{body}\n")
            (folder / name).chmod(0o755)
        self.ready()
        self.endpoints(OWN, OTHER)

    def ready(self, *turns: tuple[str, ...]) -> None:
        """In each turn the APIs at these addresses are ready, and answer an error where `fails` follows."""
        (self.folder / "turn").write_text("0")
        (self.folder / "seen").write_text("")
        for old in self.folder.glob("ready-*"):
            old.unlink()
        for number, turn in enumerate(turns, start=1):
            (self.folder / f"ready-{number}").write_text("".join(f"{_answer(each)}\n" for each in turn))
        (self.folder / "ready-0").write_text("")

    def run(self, *arguments: str) -> str:
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "K3S_API_TRAFFIC_STATE": str(self.folder / "state"),
        }
        command = ["sh", str(SCRIPT), *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=30,
            capture_output=True,
            text=True,
        )
        assert "not found" not in done.stderr, done.stderr
        return done.stdout.strip()

    def watched(self, *turns: tuple[str, ...]) -> list[set[str]]:
        """What there is after each turn."""
        self.ready(*turns)
        self.run("watch")
        return [set(line.split()) for line in (self.folder / "seen").read_text().splitlines()[1:]]

    def another(self, *answer: str) -> int:
        """For how many seconds another one has passed, when the APIs behind these health checks answer."""
        (self.folder / f"ready-{(self.folder / 'turn').read_text().strip()}").write_text(
            "".join(f"{each}\n" for each in answer)
        )
        return int(self.run("another"))

    def endpoints(self, *addresses: str) -> None:
        """What the API says of its own servers."""
        slices = {"metadata": {"resourceVersion": "10"}, "endpoints": [{"addresses": [each]} for each in addresses]}
        (self.folder / "endpoints").write_text(json.dumps(slices, indent=1))

    def seen_others(self, seconds_ago: int, **since: int) -> None:
        """As if a watch had noted it: how many seconds ago it looked, and since how many seconds others passed."""
        now = _uptime() - seconds_ago
        lines = [str(now), *(f"{name} {now - seconds if seconds else 0}" for name, seconds in since.items())]
        (self.folder / "state/others").write_text("\n".join(lines) + "\n")


def _answer(told: str) -> str:
    address, _, error = told.partition(" ")
    return f"{address if ':' in address else f'{address}:6443'} {error}".strip()


def _uptime() -> int:
    return int(float(Path("/proc/uptime").read_text().split()[0]))


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


#: What a member of etcd says of itself without a majority.
NO_QUORUM = "127.0.0.1:2381 fails"
HERE, ELSEWHERE = ("127.0.0.1", OWN, OTHER), (OTHER,)
SERVES = {PASSES}


@pytest.mark.parametrize(
    ("turns", "seen"),
    [
        ([HERE, HERE], [SERVES, SERVES]),
        ([HERE, ELSEWHERE, HERE, ELSEWHERE], [SERVES] * 4),
        ([HERE, ELSEWHERE, ELSEWHERE, ELSEWHERE], [SERVES, SERVES, {AWAY}, {AWAY}]),
        ([ELSEWHERE, ELSEWHERE, HERE, HERE], [set(), {AWAY}, SERVES, SERVES]),
        ([HERE, (), (), HERE], [SERVES, SERVES, {PASSES}, SERVES]),
        ([HERE, (OWN,), (OWN,)], [SERVES, SERVES, {PASSES}]),
        ([ELSEWHERE, ELSEWHERE, ()], [set(), {AWAY}, {PASSES}]),
        ([(), (), ELSEWHERE], [set(), {PASSES}, {AWAY}]),
        ([(NO_QUORUM,), (NO_QUORUM,), (NO_QUORUM,), HERE], [set(), {AWAY}, {AWAY}, SERVES]),
        ([(NO_QUORUM, f"{OTHER} fails"), (NO_QUORUM, f"{OTHER} fails")], [set(), {PASSES}]),
        ([("127.0.0.1:2381",), ("127.0.0.1:2381",)], [set(), {PASSES}]),
    ],
    ids=[
        "well",
        "one failure is none",
        "another server is ready",
        "back again",
        "no server is ready: clients hear so",
        "it is not its own other",
        "the other one fails as well",
        "the other one comes back first",
        "a member of etcd that is cut off",
        "no member has a majority, and they reach each other",
        "etcd is well and only the API is not",
    ],
)
def test_a_server_refuses_clients_only_while_another_one_is_ready(
    server: Server, turns: list[tuple[str, ...]], seen: list[set[str]]
) -> None:
    assert server.watched(*turns) == seen


def test_a_server_that_leaves_accepts_connections_until_it_is_told_to_refuse_them(server: Server) -> None:
    assert server.watched(HERE) == [SERVES]
    server.run("leave", "60")
    assert server.watched(HERE, HERE) == [set(), set()]
    server.run("refuse")
    assert server.watched(HERE, ELSEWHERE, ELSEWHERE, HERE) == [{REFUSES}, {REFUSES}, {REFUSES, AWAY}, {REFUSES}]


def test_a_server_that_enters_passes_the_checks_at_once_if_its_api_is_ready(server: Server) -> None:
    server.run("leave", "60")
    server.run("refuse")
    server.run("hold", "10")
    assert HOLDS in {table.name for table in (server.folder / "tables").iterdir()}
    server.run("enter")  # nothing answers in the turn 0
    assert not list((server.folder / "tables").iterdir())
    (server.folder / "ready-0").write_text(_answer("127.0.0.1"))
    server.run("enter")
    assert {table.name for table in (server.folder / "tables").iterdir()} == {PASSES}


def test_a_server_that_was_sent_away_and_forgotten_comes_back_by_itself(server: Server) -> None:
    server.run("leave", "0")
    server.run("refuse")
    assert server.watched(HERE) == [SERVES]


def test_health_checks_that_somebody_flushed_are_passed_again(server: Server) -> None:
    server.watched(HERE)
    (server.folder / "tables" / PASSES).unlink()
    assert server.watched(HERE) == [SERVES]


OTHER_PASSES = f"{OTHER}:6440"


def test_it_sees_since_when_another_server_passes_the_health_checks(server: Server) -> None:
    assert server.another(OTHER_PASSES) == 0, "nobody has looked yet"
    server.watched(HERE)
    assert server.another(OTHER_PASSES) == 0, "its API answers, and it does not pass"
    server.watched((*HERE, OTHER_PASSES))
    assert server.another(OTHER_PASSES) < 10
    server.seen_others(5, **{OTHER: 100})
    server.watched((*HERE, OTHER_PASSES))
    assert 100 <= server.another(OTHER_PASSES) < 110
    server.watched((*HERE, OTHER_PASSES), HERE, (*HERE, OTHER_PASSES))
    assert server.another(OTHER_PASSES) < 10, "a break begins it anew"


def test_the_longest_of_the_others_counts(server: Server) -> None:
    server.seen_others(0, **{"10.10.10.4": 0, OTHER: 100, "10.10.10.5": 20})
    assert 100 <= server.another(OTHER_PASSES) < 110
    assert 20 <= server.another("10.10.10.5:6440") < 30, "whose API does not answer is none"


def test_what_it_saw_long_ago_is_nothing(server: Server) -> None:
    server.seen_others(20, **{OTHER: 100})
    assert server.another(OTHER_PASSES) == 0
    server.watched((*HERE, OTHER_PASSES))
    assert server.another(OTHER_PASSES) < 10


@pytest.mark.parametrize("answer", ["", "no JSON"], ids=["none", "nonsense"])
def test_without_an_answer_about_the_servers_what_was_seen_stays(server: Server, answer: str) -> None:
    server.seen_others(5, **{OTHER: 100})
    (server.folder / "endpoints").write_text(answer)
    server.watched((*HERE, OTHER_PASSES))
    assert server.another(OTHER_PASSES) >= 100


def test_a_server_whose_own_api_fails_sees_the_others_all_the_same(server: Server) -> None:
    server.watched((OTHER, OTHER_PASSES), (OTHER, OTHER_PASSES))
    assert server.another(OTHER_PASSES) < 10
    server.seen_others(5, **{OTHER: 100})
    server.watched((OTHER, OTHER_PASSES), (OTHER, OTHER_PASSES))
    assert server.another(OTHER_PASSES) >= 100


@pytest.mark.parametrize(
    "command", [("leave", "60"), ("refuse",), ("hold", "10"), ("enter",)], ids=lambda command: command[0]
)
def test_a_failure_of_nft_is_one_of_the_command(server: Server, command: tuple[str, ...]) -> None:
    (server.folder / "nft-fails").touch()
    environment = {"PATH": f"{server.folder}:{os.environ['PATH']}", "K3S_API_TRAFFIC_STATE": f"{server.folder}/state"}
    done = subprocess.run(["sh", SCRIPT, *command], cwd=server.folder, env=environment, check=False)
    assert done.returncode != 0


@pytest.mark.parametrize("lease", [None, "", "0"], ids=["none", "empty", "over"])
def test_refused_connections_without_a_lease_are_accepted_again(server: Server, lease: str | None) -> None:
    server.run("refuse")
    if lease is not None:
        (server.folder / "state/leaving-until").write_text(lease)
    assert server.watched(HERE) == [SERVES]


def test_a_wrong_word_is_answered_with_what_there_is(server: Server) -> None:
    environment = {**os.environ, "K3S_API_TRAFFIC_STATE": str(server.folder / "state")}
    done = subprocess.run(["sh", SCRIPT, "x"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "api-traffic.sh another" in done.stderr
