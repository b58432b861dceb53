"""A managed database made of another one's backup: all that was in it at that time, and nothing later."""

from __future__ import annotations

import time
from typing import Any

import pytest

from local_cloud import control
from local_cloud.databases.clusters import cluster
from tests.room.conftest import Landscape, api

ROWS = 2000
TABLE = "CREATE TABLE kept (id int PRIMARY KEY, word varchar(200));"


def online(body: dict[str, Any]) -> dict[str, Any]:
    """A cluster that is made, when it is online."""
    made = api("POST", "databases", body)["database"]
    until = time.monotonic() + 60
    while (found := api("GET", f"databases/{made['id']}")["database"])["status"] != "online":
        assert time.monotonic() < until, "not online within 60 s"
        time.sleep(0.2)
    return dict(found)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("engine", "version", "grant"),
    [
        ("pg", "17", "GRANT SELECT ON kept TO reader;"),
        ("mysql", "8", "REVOKE ALL PRIVILEGES, GRANT OPTION FROM reader@'%'; GRANT SELECT ON work.* TO reader@'%';"),
    ],
)
def test_a_copy_holds_rows_users_and_rights_as_they_were(
    landscape: Landscape, engine: str, version: str, grant: str
) -> None:
    place = {"region": "fra1", "private_network_uuid": landscape.database["private_network_uuid"]}
    asked = {"engine": engine, "version": version, "size": "db-s-1vcpu-1gb", "num_nodes": 1, **place}
    rented = []
    try:
        old = online({**asked, "name": f"room-old-{engine}"})
        rented.append(old["id"])
        user = api("POST", f"databases/{old['id']}/users", {"name": "reader"})["user"]
        api("POST", f"databases/{old['id']}/dbs", {"name": "work"})
        source = cluster(old["id"])
        rows = ",".join(f"({number}, '{'x' * 100}')" for number in range(ROWS))
        source.sql("work", f"{TABLE} INSERT INTO kept VALUES {rows}; {grant}")
        at = control.call("POST", "backups", {"database": old["name"]})["backup"]["created_at"]
        source.sql("work", "DELETE FROM kept WHERE id > 9; CREATE TABLE later (id int PRIMARY KEY);")
        (backup,) = api("GET", f"databases/{old['id']}/backups")["backups"]
        assert backup["created_at"] == at
        assert backup["size_gigabytes"] > 0.01

        copy = {"database_name": old["name"], "backup_created_at": at}
        new = online({**asked, "name": f"room-new-{engine}", "backup_restore": copy})
        rented.append(new["id"])
        made = cluster(new["id"])
        assert made.sql("work", "SELECT count(*), max(length(word)) FROM kept;").split() in (
            [f"{ROWS}|100"],
            [str(ROWS), "100"],
        )
        later = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'later';"
        assert (made.sql("work", later).strip(), source.sql("work", later).strip()) == ("0", "1")
        assert [each["name"] for each in new["users"]] == ["doadmin", "reader"]
        assert new["users"][1]["password"] == user["password"]
        rights = "SELECT grantee, privilege_type FROM information_schema.%s WHERE grantee LIKE '%%reader%%';" % (
            "role_table_grants" if engine == "pg" else "schema_privileges"
        )
        assert made.sql("work", rights) == source.sql("work", rights) != ""
        assert source.sql("work", "SELECT count(*) FROM kept;").strip() == "10"
        # A backup goes with its cluster, and what was made of it stays.
        api("DELETE", f"databases/{rented.pop(0)}")
        assert not source.folder.exists()
        assert made.sql("work", "SELECT count(*) FROM kept;").strip() == str(ROWS)
    finally:
        for each in rented:
            api("DELETE", f"databases/{each}")
