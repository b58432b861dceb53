"""K3s versions, and which step from one to the next K3s supports."""

from __future__ import annotations

import re

#: How releases are tagged: github.com/k3s-io/k3s/releases.
_FORM = re.compile(r"v1\.(\d+)\.(\d+)(?:-rc(\d+))?\+k3s(\d+)")
#: Sorts after every release candidate.
_RELEASED = 1_000_000


def parse(version: str) -> tuple[int, int, int, int] | None:
    """Minor, patch, release candidate and K3s revision, in the order in which versions follow each other."""
    found = _FORM.fullmatch(version)
    if not found:
        return None
    minor, patch, candidate, revision = found.groups()
    return int(minor), int(patch), int(candidate) if candidate else _RELEASED, int(revision)


#: The first patch of each minor version that keeps as many snapshots in a bucket as `etcd-s3-retention` says; those
#: after them all do. Source: github.com/k3s-io/k3s/issues/13769 ("2025-08 releases"), docs.k3s.io/release-notes.
_COUNTS_SNAPSHOTS_IN_BUCKET = {31: 12, 32: 8, 33: 4}


def counts_snapshots_in_bucket(version: str) -> bool:
    """Whether a K3s release knows a number of snapshots for the bucket; an older one takes the number for the disk."""
    minor, patch, *_ = parse(version) or (0, 0)
    return minor > max(_COUNTS_SNAPSHOTS_IN_BUCKET) or patch >= _COUNTS_SNAPSHOTS_IN_BUCKET.get(minor, patch + 1)


def refusal(old: str, new: str) -> str | None:
    """Why K3s cannot go from `old` to `new`, and what to do; None where it can.

    Source: docs.k3s.io/upgrades and kubernetes.io/releases/version-skew-policy: no minor skipped, never down.
    """
    before, after = parse(old), parse(new)
    if after is None:
        return f"`{new}` is no K3s release; use one such as `v1.34.2+k3s1`"
    if before is None:
        return None
    if after < before:
        return (
            f"`{new}` is older than `{old}`, which this cluster has had, and K3s cannot go back; "
            f"set k3sVersion to `{old}` or later, or make another stack with it"
        )
    if after[0] > before[0] + 1:
        step = f"v1.{before[0] + 1}"
        return f"`{new}` skips a minor version after `{old}`; go to a release of {step} first, then on from there"
    return None
