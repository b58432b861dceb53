"""Managed databases."""

from __future__ import annotations

import base64
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from local_cloud.api.backups import is_due, kept
from local_cloud.api.control import KEY_HEADER
from local_cloud.api.no_machines import NO_CA
from local_cloud.api.records import DatabaseBackup
from local_cloud.catalogue.databases import max_connections
from tests.cloud.api_client import CONTROL_KEY, Api, RecordingRoom

REQUEST = {
    "name": "datastore",
    "engine": "pg",
    "version": "17",
    "size": "db-s-1vcpu-1gb",
    "region": "fra1",
    "num_nodes": 1,
}


def test_a_cluster_tells_how_to_connect_at_once_and_is_online_later(api: Api, room: RecordingRoom) -> None:
    room.gates["ensure_database"] = threading.Event()
    made = api.ok("POST", "/v2/databases", REQUEST)["database"]
    where = f"/v2/databases/{made['id']}"
    assert (made["status"], made["users"], made["db_names"]) == ("creating", None, None)
    assert made["connection"]["host"] == "datastore-do-user-1-0.b.db.ondigitalocean.com"
    assert made["private_connection"]["host"] == "private-datastore-do-user-1-0.b.db.ondigitalocean.com"
    assert (made["connection"]["port"], made["connection"]["user"]) == (25060, "doadmin")
    assert "not ready" in api.refused(412, "POST", f"{where}/users", {"name": "u"})
    assert "not ready" in api.refused(412, "GET", f"{where}/ca")
    room.gates["ensure_database"].set()
    api.settle()
    database = api.ok("GET", where)["database"]
    assert (database["status"], database["db_names"]) == ("online", ["defaultdb"])
    assert [(user["name"], user["role"]) for user in database["users"]] == [("doadmin", "primary")]
    assert base64.b64decode(api.ok("GET", f"{where}/ca")["ca"]["certificate"]).decode() == NO_CA


def test_the_machine_room_gets_the_administrator_first(api: Api, room: RecordingRoom) -> None:
    vpc = api.vpc()
    database = api.database(private_network_uuid=vpc["id"])
    spec = room.databases[database["id"]]
    assert [(user.name, user.password) for user in spec.users] == [("doadmin", database["connection"]["password"])]
    assert (spec.engine, spec.version, spec.databases, spec.max_connections) == ("pg", "17", ("defaultdb",), 25)
    assert str(spec.private_ip) == "10.10.10.2"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": "redis"}, "engine must be one of pg, mysql"),
        ({"version": "11"}, "invalid version '11' for pg"),
        ({"size": "db-s-1vcpu-1tb"}, "invalid size"),
        ({"num_nodes": 2}, "takes no standby nodes"),
        ({"num_nodes": 4}, "num_nodes must be between 1 and 3"),
        ({"region": "mars1"}, "invalid region"),
        ({"name": "under_score"}, "invalid cluster name"),
        ({"name": "taken"}, "cluster name is not available"),
        ({"storage_size_mib": 10241}, "multiple of 10240"),
        ({"rules": [{"type": "ip_addr", "value": "::1"}]}, "IPv6"),
        ({"rules": [{"type": "k8s", "value": "x"}]}, "could not find k8s"),
        ({"rules": [{"type": "droplet", "value": "1"}]}, "could not find droplet"),
        ({"project_id": "11111111-1111-4111-8111-111111111111"}, "does not exist"),
    ],
)
def test_a_wrong_cluster_is_refused(api: Api, change: dict[str, Any], message: str) -> None:
    api.database(name="taken")
    assert message in api.refused(422, "POST", "/v2/databases", {**REQUEST, **change})
    assert len(api.ok("GET", "/v2/databases")["databases"]) == 1


def test_what_the_official_client_leaves_empty_is_no_mistake(api: Api) -> None:
    """godo sends these three whether set or not."""
    body = {**REQUEST, "private_network_uuid": "", "project_id": "", "rules": None}
    headers = {"Authorization": "Bearer dop_v1_" + "5" * 64}
    assert api.app.test_client().post("/v2/databases", json=body, headers=headers).status_code == 201


def test_a_new_user_can_log_in_when_the_answer_comes(api: Api, room: RecordingRoom) -> None:
    database = api.database()
    where = f"/v2/databases/{database['id']}"
    user = api.ok("POST", f"{where}/users", {"name": "k3s_default_user"})["user"]
    assert user["role"] == "normal"
    assert (user["name"], user["password"]) in [
        (each.name, each.password) for each in room.databases[database["id"]].users
    ]
    assert "already exists" in api.refused(422, "POST", f"{where}/users", {"name": "k3s_default_user"})
    fresh = api.ok("POST", f"{where}/users/k3s_default_user/reset_auth", {})["user"]
    assert fresh["password"] != user["password"]
    assert room.databases[database["id"]].users[1].password == fresh["password"]
    api.ok("DELETE", f"{where}/users/k3s_default_user")
    assert [each.name for each in room.databases[database["id"]].users] == ["doadmin"]
    assert "not found" in api.refused(404, "GET", f"{where}/users/k3s_default_user")


def test_a_user_that_could_not_be_made_does_not_exist(api: Api, room: RecordingRoom) -> None:
    where = f"/v2/databases/{api.database()['id']}/users"
    room.failing.add("ensure_database")
    assert "ensure_database broke" in api.refused(500, "POST", where, {"name": "u"})
    assert [user["name"] for user in api.ok("GET", where)["users"]] == ["doadmin"]
    room.failing.clear()
    api.ok("POST", where, {"name": "u"})


def test_databases_come_and_go(api: Api, room: RecordingRoom) -> None:
    database = api.database()
    where = f"/v2/databases/{database['id']}/dbs"
    api.ok("POST", where, {"name": "k3s"})
    assert room.databases[database["id"]].databases == ("defaultdb", "k3s")
    assert "already exists" in api.refused(422, "POST", where, {"name": "k3s"})
    api.ok("DELETE", f"{where}/k3s")
    assert room.databases[database["id"]].databases == ("defaultdb",)


def test_the_default_user_and_database_stay(api: Api) -> None:
    where = f"/v2/databases/{api.database()['id']}"
    api.refused(403, "DELETE", f"{where}/users/doadmin")
    api.refused(403, "DELETE", f"{where}/dbs/defaultdb")


def test_a_cluster_grows_and_does_not_shrink(api: Api, room: RecordingRoom) -> None:
    database = api.database(size="db-s-1vcpu-2gb")
    where = f"/v2/databases/{database['id']}"
    room.gates["ensure_database"] = threading.Event()
    api.ok("PUT", f"{where}/resize", {"size": "db-s-2vcpu-4gb", "num_nodes": 2})
    assert api.ok("GET", where)["database"]["status"] == "resizing"
    room.gates["ensure_database"].set()
    api.settle()
    grown = api.ok("GET", where)["database"]
    assert (grown["status"], grown["size"], grown["num_nodes"]) == ("online", "db-s-2vcpu-4gb", 2)
    assert grown["storage_size_mib"] == 61440
    assert room.databases[database["id"]].max_connections == 100
    assert "smaller" in api.refused(422, "PUT", f"{where}/resize", {"size": "db-s-1vcpu-2gb", "num_nodes": 1})


def test_a_cluster_is_upgraded_and_never_downgraded(api: Api, room: RecordingRoom) -> None:
    database = api.database(version="16")
    where = f"/v2/databases/{database['id']}"
    api.ok("PUT", f"{where}/upgrade", {"version": "17"})
    api.settle()
    assert api.ok("GET", where)["database"]["version"] == room.databases[database["id"]].version == "17"
    assert "only be upgraded" in api.refused(422, "PUT", f"{where}/upgrade", {"version": "16"})


@pytest.mark.parametrize(
    ("part", "body"), [("resize", {"size": "db-s-2vcpu-4gb", "num_nodes": 1}), ("upgrade", {"version": "17"})]
)
def test_a_change_that_fails_leaves_the_cluster_as_it_was(
    api: Api, room: RecordingRoom, part: str, body: dict[str, Any]
) -> None:
    database = api.database(version="16")
    room.failing.add("ensure_database")
    api.ok("PUT", f"/v2/databases/{database['id']}/{part}", body)
    api.settle()
    assert api.ok("GET", f"/v2/databases/{database['id']}")["database"] == database


def test_rules_keep_their_ids_when_set_again(api: Api) -> None:
    where = f"/v2/databases/{api.database()['id']}/firewall"
    first = {"type": "ip_addr", "value": "192.0.2.1"}
    api.ok("PUT", where, {"rules": [first]})
    (before,) = api.ok("GET", where)["rules"]
    api.ok("PUT", where, {"rules": [first, {"type": "tag", "value": "t"}]})
    after = api.ok("GET", where)["rules"]
    assert (after[0], len(after)) == (before, 2)


def test_the_maintenance_window_is_kept(api: Api) -> None:
    where = f"/v2/databases/{api.database()['id']}"
    api.ok("PUT", f"{where}/maintenance", {"day": "Friday", "hour": "04:30"})
    window = api.ok("GET", where)["database"]["maintenance_window"]
    assert (window["day"], window["hour"]) == ("friday", "04:30:00")
    api.refused(422, "PUT", f"{where}/maintenance", {"day": "someday", "hour": "04:30"})


def test_tags_find_clusters(api: Api) -> None:
    database = api.database(tags=["a"])
    assert [each["id"] for each in api.ok("GET", "/v2/databases?tag_name=a")["databases"]] == [database["id"]]
    assert api.ok("GET", "/v2/databases?tag_name=b")["databases"] == []
    assert api.ok("GET", "/v2/tags/a")["tag"]["resources"]["databases"]["count"] == 1


def test_a_destroyed_cluster_frees_its_name(api: Api, room: RecordingRoom) -> None:
    database = api.database()
    api.ok("DELETE", f"/v2/databases/{database['id']}")
    assert room.databases == {}
    api.database()


def backed_up(api: Api, **changes: Any) -> Any:
    """A cluster with a user and a database, its backup, and what came after that."""
    database = api.database(name="old", **changes)
    where = f"/v2/databases/{database['id']}"
    user = api.ok("POST", f"{where}/users", {"name": "k3s_default_user"})["user"]
    api.ok("POST", f"{where}/dbs", {"name": "k3s"})
    api.control("POST", "/backups", {"database": "old"})
    api.ok("POST", f"{where}/users/k3s_default_user/reset_auth", {})
    api.ok("POST", f"{where}/users", {"name": "later"})
    return {**database, "user": user}


def test_backups_are_listed_with_their_time_and_size(api: Api) -> None:
    database = backed_up(api)
    listed = api.ok("GET", f"/v2/databases/{database['id']}/backups")
    (backup,) = listed["backups"]
    assert backup["created_at"] >= database["created_at"]
    assert (backup["size_gigabytes"], backup["incremental"]) == (0.03355443, False)
    assert listed["scheduled_backup_time"]["backup_interval_hours"] == 24


def test_a_cluster_made_of_a_backup_has_the_users_and_databases_that_there_were(api: Api, room: RecordingRoom) -> None:
    old = backed_up(api)
    (backup,) = api.ok("GET", f"/v2/databases/{old['id']}/backups")["backups"]
    new = api.database(
        name="new",
        size="db-s-2vcpu-4gb",
        num_nodes=2,
        backup_restore={"database_name": "old", "backup_created_at": backup["created_at"]},
    )
    assert new["db_names"] == ["defaultdb", "k3s"]
    assert [each["name"] for each in new["users"]] == ["doadmin", "k3s_default_user"]
    assert new["users"][1]["password"] == old["user"]["password"]
    assert new["private_connection"]["host"] != old["private_connection"]["host"]
    copy = room.databases[new["id"]].copy
    assert copy is not None
    assert ("back_up_database", (copy.database_id, copy.backup)) in room.calls
    assert copy.database_id == old["id"]
    # From then on each goes its own way.
    api.ok("DELETE", f"/v2/databases/{new['id']}/users/k3s_default_user")
    api.ok("GET", f"/v2/databases/{old['id']}/users/k3s_default_user")


def test_without_a_time_it_is_the_last_backup(api: Api, room: RecordingRoom) -> None:
    backed_up(api)
    api.control("POST", "/backups", {"database": "old"})
    new = api.database(name="new", backup_restore={"database_name": "old"})
    assert [each["name"] for each in new["users"]] == ["doadmin", "k3s_default_user", "later"]
    copy = room.databases[new["id"]].copy
    assert copy is not None
    assert copy.backup == [subject for call, subject in room.calls if call == "back_up_database"][-1][1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("status", "change", "message"),
    [
        (404, {"backup_restore": {"database_name": "older"}}, "cluster older not found"),
        (422, {"engine": "mysql", "version": "8"}, "a backup of pg 17 can not become mysql 8"),
        (422, {"version": "16"}, "a backup of pg 17 can not become pg 16"),
        (422, {"size": "db-s-1vcpu-1gb"}, "smaller than that of the backup's cluster, db-s-1vcpu-2gb"),
        (
            422,
            {"backup_restore": {"database_name": "old", "backup_created_at": "2019-01-31T19:25:22Z"}},
            "cluster old has no backup of 2019-01-31T19:25:22Z",
        ),
        (422, {"backup_restore": {"database_name": "old", "backup_created_at": "yesterday"}}, "is no time such as"),
        (422, {"backup_restore": {"database_name": "young"}}, "cluster young has no backup yet"),
        (422, {"backup_restore": {}}, "backup_restore.database_name is missing"),
    ],
)
def test_a_copy_that_cannot_be_is_refused(api: Api, status: int, change: dict[str, Any], message: str) -> None:
    backed_up(api, size="db-s-1vcpu-2gb")
    api.database(name="young")
    asked = {**REQUEST, "name": "new", "size": "db-s-1vcpu-2gb", "backup_restore": {"database_name": "old"}, **change}
    assert message in api.refused(status, "POST", "/v2/databases", asked)
    assert len(api.ok("GET", "/v2/databases")["databases"]) == 2


def test_a_backup_that_could_not_be_made_is_not_listed(api: Api, room: RecordingRoom) -> None:
    database = api.database(name="old")
    room.failing.add("back_up_database")
    refused = api.call("POST", "/_local/backups", {"database": "old"}, headers={KEY_HEADER: CONTROL_KEY})
    assert refused.status_code == 500
    assert api.ok("GET", f"/v2/databases/{database['id']}/backups")["backups"] == []


def test_a_backup_is_due_once_a_day_and_stays_for_seven() -> None:
    made = [DatabaseBackup(day, f"2026-01-0{day}T12:00:00Z", 1, [], []) for day in "123"]
    database = SimpleNamespace(created_at="2026-01-01T11:00:00Z", backups=made)
    assert not is_due(database, "2026-01-04T11:59:59Z")  # type: ignore[arg-type]
    assert is_due(database, "2026-01-04T12:00:00Z")  # type: ignore[arg-type]
    assert is_due(SimpleNamespace(created_at="2026-01-01T11:00:00Z", backups=[]), "2026-01-02T11:00:00Z")  # type: ignore[arg-type]
    stay, go = kept(made, "2026-01-09T12:00:00Z")
    assert ([each.id for each in stay], [each.id for each in go]) == (["2", "3"], ["1"])


def test_connections_grow_with_memory() -> None:
    assert [max_connections("pg", size) for size in ("db-s-1vcpu-1gb", "db-s-2vcpu-4gb")] == [25, 100]
    assert max_connections("mysql", "db-s-1vcpu-1gb") == 75
