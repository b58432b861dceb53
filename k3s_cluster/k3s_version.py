"""K3s versions, and which step from one to the next K3s supports."""

from __future__ import annotations

import re

#: How releases are tagged: github.com/k3s-io/k3s/releases.
_FORM = re.compile(r"v1\.([0-9]{1,4})\.([0-9]{1,4})(?:-rc([0-9]{1,4}))?\+k3s([0-9]{1,4})")
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
        return f"`{new}` is no K3s release; use one such as `v1.36.4+k3s1`"
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


#: The first K3s with etcd 3.6, and the first one before it with etcd 3.5.26. From an older etcd members that are long
#: gone would come back: github.com/k3s-io/k3s/pull/13493, etcd.io/blog/2025/zombie_members_upgrade.
_FIRST_ETCD_3_6 = "v1.34.0-rc1+k3s1"
_SAFE_FOR_ETCD_3_6 = "v1.33.7+k3s3"


def etcd_refusal(old: str, new: str) -> str | None:
    """Why the etcd inside servers with K3s `old` must not become that of `new`, and what to do; None where it may."""
    before, after, first, safe = map(parse, (old, new, _FIRST_ETCD_3_6, _SAFE_FOR_ETCD_3_6))
    if not before or not after or not first or not safe or before >= safe or after < first:
        return None
    return (
        f"the etcd 3.6 of `{new}` cannot safely take over from the etcd of `{old}`; go to `{_SAFE_FOR_ETCD_3_6}` or a "
        "later release of v1.33 first, then on from there"
    )
