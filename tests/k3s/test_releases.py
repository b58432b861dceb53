"""What a release site offers; building is the end-to-end tests' business."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_cloud.k3s import releases


def test_versions_are_ordered_by_number(tmp_path: Path) -> None:
    for version in ("v1.36.10+k3s1", "v1.36.4+k3s2", "v1.36.4+k3s1", "v1.35.6+k3s1", "notes"):
        (tmp_path / "releases" / "download" / version).mkdir(parents=True)
    assert releases.published(tmp_path) == ["v1.35.6+k3s1", "v1.36.4+k3s1", "v1.36.4+k3s2", "v1.36.10+k3s1"]


def test_channels_name_what_is_there() -> None:
    found = releases.channels(["v1.35.6+k3s1", "v1.36.4+k3s1", "v1.36.5+k3s1"])
    assert found["v1.35"] == "v1.35.6+k3s1"
    assert found["v1.36"] == found["latest"] == "v1.36.5+k3s1"
    assert found["stable"] == releases.VERSIONS[0] == "v1.36.4+k3s1"


def test_without_the_default_stable_is_the_newest() -> None:
    assert releases.channels(["v1.35.6+k3s1"])["stable"] == "v1.35.6+k3s1"


@pytest.mark.parametrize("version", ["1.36.4", "v1.36.4", "v1.36.4+k3s1/..", "latest"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match="is no K3s version"):
        releases.build(version)
