"""What a preview said, as Markdown for a comment on a pull request. Pure, but for `python -m`: one stack, of stdin."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

#: A comment on GitHub holds 65,536 characters; its end is what matters of a long preview.
MOST_CHARACTERS = 50_000


@dataclass(frozen=True)
class Preview:
    """One stack's preview: what `pulumi preview` printed, and its exit status; or why there was none."""

    stack: str
    output: str
    status: int
    left_out: bool = False


def left_out(stack: str, reason: str) -> Preview:
    """A stack of which there was no preview."""
    return Preview(stack, f"left out: {reason}", 0, left_out=True)


_MARK = "<!-- pulumi preview: "


def marker(subject: str) -> str:
    """The first line of a comment about `subject`, by which it is found again."""
    return f"{_MARK}{subject} -->"


def comment(subject: str, previews: list[Preview], against: str) -> str:
    """A comment about all `previews`, which were made against `against`."""
    room = MOST_CHARACTERS // max(1, len(previews))
    parts = [_one(preview, room) for preview in previews]
    return "\n\n".join([marker(subject), f"### `pulumi preview` against {against}", *parts]) + "\n"


def is_comment(text: str) -> bool:
    """Whether `text` is what `comment` wrote."""
    return text.startswith(_MARK)


def _one(preview: Preview, room: int) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", preview.output).strip()
    if len(text) > room:
        text = "[the beginning is left out]\n" + text[-room:]
    # A fence longer than any in the text cannot be ended by it (CommonMark, 4.5).
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    title = f"<b>{preview.stack}</b>: {summary(preview)}"
    opened = " open" if preview.status or preview.left_out else ""
    return f"<details{opened}><summary>{title}</summary>\n\n{fence}\n{text}\n{fence}\n\n</details>"


def summary(preview: Preview) -> str:
    """What the preview came to, in some words: `16 to create`, `no changes`, `left out`, `failed`."""
    if preview.left_out:
        return "left out"
    if preview.status != 0:
        return "failed"
    counted = re.findall(r"^\s+\S+ ?(\d+) to (create|update|delete|replace)\b", preview.output, re.MULTILINE)
    return ", ".join(f"{number} to {what}" for number, what in counted) or "no changes"


def main(arguments: list[str]) -> int:
    """`STACK STATUS AGAINST`, with the output on stdin."""
    if len(arguments) != 3 or not arguments[1].isdigit():
        print("usage: python -m local_cloud.previews.markdown STACK STATUS AGAINST < OUTPUT", file=sys.stderr)
        return 2
    stack, status, against = arguments
    print(comment(stack, [Preview(stack, sys.stdin.read(), int(status))], against), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
