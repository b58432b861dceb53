"""The random stand-in over gRPC."""

from __future__ import annotations

import base64
import string

import bcrypt
import pytest
from pulumi.runtime.proto import provider_pb2

from local_cloud.pulumi_plugins.provider.wire import SECRET, SIGNATURE, UNKNOWN
from tests.plugins.plugin_process import Plugin


def test_an_id_is_the_same_bytes_in_every_notation(random_plugin: Plugin) -> None:
    id_, state = random_plugin.create("RandomId", byteLength=2, prefix="node-")
    data = bytes.fromhex(state["hex"].removeprefix("node-"))
    assert len(data) == 2
    assert state["dec"] == f"node-{int.from_bytes(data, 'big')}"
    assert state["b64Std"] == "node-" + base64.b64encode(data).decode()
    assert state["b64Url"] == "node-" + id_
    assert base64.urlsafe_b64decode(id_ + "=") == data


def test_ids_differ(random_plugin: Plugin) -> None:
    assert len({random_plugin.create("RandomId", byteLength=8)[0] for _ in range(20)}) == 20


def test_a_changed_keeper_replaces(random_plugin: Plugin) -> None:
    id_, state = random_plugin.create("RandomId", byteLength=2, keepers={"image": "a"})
    same = random_plugin.diff("RandomId", id_, state, byteLength=2, keepers={"image": "a"})
    assert same.changes == provider_pb2.DiffResponse.DIFF_NONE
    assert list(random_plugin.diff("RandomId", id_, state, byteLength=2, keepers={"image": "b"}).replaces) == [
        "keepers"
    ]
    assert random_plugin.create("RandomId", preview=True, byteLength=2)[1]["hex"] is UNKNOWN


def test_an_id_can_be_imported(random_plugin: Plugin) -> None:
    id_, state = random_plugin.create("RandomId", byteLength=2, prefix="node-")
    imported_id, imported, inputs = random_plugin.read("RandomId", f"node-,{id_}")
    assert imported_id == id_
    assert imported["hex"] == state["hex"]
    assert inputs == {"byteLength": 2, "prefix": "node-"}


@pytest.mark.parametrize("kind", ["RandomPassword", "RandomString"])
def test_a_text_has_the_asked_characters(random_plugin: Plugin, kind: str) -> None:
    wanted = {"length": 12, "upper": False, "minNumeric": 4, "minSpecial": 2, "overrideSpecial": "-_"}
    _, state = random_plugin.create(kind, **wanted)
    text = state["result"]
    assert len(text) == 12
    assert set(text) <= set(string.ascii_lowercase + string.digits + "-_")
    assert sum(character in string.digits for character in text) >= 4
    assert sum(character in "-_" for character in text) >= 2


def test_a_password_is_a_secret_with_a_matching_hash(random_plugin: Plugin) -> None:
    fields = random_plugin.created_struct("RandomPassword", length=16).fields
    secrets = {key: fields[key].struct_value.fields for key in ("result", "bcryptHash")}
    assert all(secret[SIGNATURE].string_value == SECRET for secret in secrets.values())
    assert bcrypt.checkpw(
        secrets["result"]["value"].string_value.encode(), secrets["bcryptHash"]["value"].string_value.encode()
    )
    assert random_plugin.create("RandomPassword", length=16)[0] == "none"


def test_more_characters_than_the_length_are_refused(random_plugin: Plugin) -> None:
    assert "sum of" in random_plugin.check_failures("RandomString", length=3, minLower=2, minUpper=2)["length"]
    none = {"length": 3, "lower": False, "upper": False, "numeric": False, "special": False}
    assert "at least one" in random_plugin.check_failures("RandomString", **none)["length"]
