"""Which keys a node lets in after a change of `sshKeys`."""

from __future__ import annotations

from typing import cast

import pytest

from k3s_cluster.over_ssh.authorized_keys import AUTHORIZED_KEYS_PATH, keep, merged
from k3s_cluster.over_ssh.connection import Connection, NodeError

STACK = "ssh-ed25519 AAAAstack\n"
ANN = "ssh-ed25519 AAAAann ann@laptop"
BOB = "ecdsa-sha2-nistp256 AAAAbob bob"
OTHER = "ssh-rsa AAAAother somebody's own"


@pytest.mark.parametrize(
    ("text", "wanted", "before", "expected"),
    [
        ("", [STACK, ANN], [], f"ssh-ed25519 AAAAstack\n{ANN}\n"),
        (f"{STACK}{ANN}\n", [STACK, ANN, BOB], [STACK, ANN], f"{STACK}{ANN}\n{BOB}\n"),
        (f"{STACK}{ANN}\n{OTHER}\n", [STACK], [STACK, ANN], f"{STACK}{OTHER}\n"),
        # Another comment, or options before it: the same key. What is there is left as it is.
        (f"{STACK}ssh-ed25519 AAAAann other\n", [STACK, ANN], [], f"{STACK}ssh-ed25519 AAAAann other\n"),
        (f'{STACK}from="10.0.0.1, x",no-pty ssh-ed25519 AAAAann\n', [STACK], [ANN], STACK),
        (f'{STACK}command="exec ssh-agent bash" ssh-ed25519 AAAAann\n', [STACK], [ANN], STACK),
        # Comments, empty lines and the last line's missing end.
        (f"# ours: {ANN}\n\n{STACK.strip()}", [STACK], [ANN], f"# ours: {ANN}\n\n{STACK}"),
        (f"{ANN}\n{ANN}\n", [STACK, STACK], [ANN], STACK),
    ],
    ids=["empty", "added", "taken out", "same key", "options", "a command", "comments", "twice"],
)
def test_the_stack_s_keys_are_kept_and_others_are_left_alone(
    text: str, wanted: list[str], before: list[str], expected: str
) -> None:
    assert merged(text, wanted, before) == expected


class Files:
    """A node, as far as files go; `until` is how many may be written before the connection breaks."""

    def __init__(self, **files: str) -> None:
        self.files, self.until = files, 100

    def read_file(self, path: str) -> str | None:
        return self.files.get(path)

    def write_file(self, path: str, text: str) -> bool:
        if self.until == 0:
            raise NodeError("the connection is lost")
        self.until -= 1
        self.files[path] = text
        return True


def keep_all(node: Files, *wanted: str) -> str:
    keep(cast(Connection, node), wanted)
    return node.files[AUTHORIZED_KEYS_PATH]


def test_what_the_droplet_was_made_with_is_the_stack_s() -> None:
    node = Files(**{AUTHORIZED_KEYS_PATH: f"{STACK}{ANN}\n"})
    assert keep_all(node, STACK) == STACK


def test_a_key_that_somebody_added_by_hand_stays() -> None:
    node = Files(**{AUTHORIZED_KEYS_PATH: STACK})
    keep_all(node, STACK, ANN)
    node.files[AUTHORIZED_KEYS_PATH] += f"{OTHER}\n"
    assert keep_all(node, STACK, BOB) == f"{STACK}{OTHER}\n{BOB}\n"


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_key_of_an_interrupted_change_that_is_taken_back_goes(written: int) -> None:
    node = Files(**{AUTHORIZED_KEYS_PATH: STACK})
    keep_all(node, STACK)
    node.files[AUTHORIZED_KEYS_PATH] += f"{OTHER}\n"
    node.until = written
    with pytest.raises(NodeError):
        keep_all(node, STACK, ANN)
    node.until = 100
    assert keep_all(node, STACK) == f"{STACK}{OTHER}\n"
