"""Several clouds in one checkout: each has a folder and a number of its own, and a name that can be a folder's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from local_cloud import paths

ASK = "from local_cloud import paths; print(paths.STATE, paths.CLOUD, paths.OPERATOR, paths.namespace('operator'))"


def asked(name: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, paths.NAME_VARIABLE: name}
    command = (sys.executable, "-c", ASK)
    return subprocess.run(command, env=environment, cwd=paths.CHECKOUT, capture_output=True, text=True, check=False)


def test_clouds_of_one_checkout_have_nothing_in_common() -> None:
    places = [asked(name).stdout.split() for name in ("", "blue", "green")]
    assert [len(each) for each in places] == [4, 4, 4]
    assert len({place for each in places for place in each}) == 12
    # A person's one cloud is where it always was.
    assert places[0][0] == str(paths.CHECKOUT / ".local")


@pytest.mark.parametrize("name", ["../other", "Blue", "two words", "a-b"])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    done = asked(name)
    assert done.returncode != 0
    assert done.stderr.strip() == f"LOCAL_CLOUD_NAME is {name!r}: it takes small letters and digits"


def test_commands_go_to_the_cloud_that_is_named() -> None:
    environment = {**os.environ, paths.NAME_VARIABLE: "neverstarted"}
    done = subprocess.run(
        [paths.CHECKOUT / "bin/local", "true"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "the local cloud is not up" in done.stderr
