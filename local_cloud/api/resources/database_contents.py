"""Users and databases of a cluster: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Databases"""

from __future__ import annotations

import re
from collections.abc import Callable

from flask import Blueprint, Response

from local_cloud.api.answers import answer, forbidden, no_content, not_found, not_here, unprocessable
from local_cloud.api.body import Body
from local_cloud.api.cloud import succeed_before_answering, the_cloud
from local_cloud.api.records import Database, DatabaseUser
from local_cloud.api.resources.databases import (
    ADMINISTRATOR,
    AUTH_PLUGINS,
    FIRST_DATABASE,
    known_database,
    new_password,
    online_database,
    show_user,
)

routes = Blueprint("database_contents", __name__)

#: PostgreSQL cuts identifiers at 63 bytes, MySQL users at 32 characters.
USER_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.\-]{0,62}")
DATABASE_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.\-]{0,62}")


@routes.get("/v2/databases/<database_id>/users")
def list_users(database_id: str) -> Response:
    database = known_database(database_id)
    return answer({"users": [show_user(database, user) for user in database.users]})


@routes.post("/v2/databases/<database_id>/users")
def create_user(database_id: str) -> Response:
    database, body = online_database(database_id), Body.of_request()
    name = body.required_text("name")
    if not USER_NAME.fullmatch(name) or (database.engine == "mysql" and len(name) > 32):
        raise unprocessable(f"invalid user name {name!r}")
    if any(user.name == name for user in database.users):
        raise unprocessable(f"user {name} already exists")
    if body.truth("readonly", False):
        raise not_here("makes no read-only users")
    _refuse_settings(body)
    plugin = _auth_plugin(database, body, "caching_sha2_password")
    user = DatabaseUser(name, new_password(), "normal", plugin)
    database.users.append(user)
    _change(database, lambda: database.users.remove(user))
    return answer({"user": show_user(database, user)}, 201)


@routes.get("/v2/databases/<database_id>/users/<name>")
def get_user(database_id: str, name: str) -> Response:
    database = known_database(database_id)
    return answer({"user": show_user(database, _known_user(database, name))})


@routes.put("/v2/databases/<database_id>/users/<name>")
def update_user(database_id: str, name: str) -> Response:
    database = online_database(database_id)
    user = _known_user(database, name)
    _refuse_settings(Body.of_request())
    return answer({"user": show_user(database, user)}, 201)


@routes.delete("/v2/databases/<database_id>/users/<name>")
def delete_user(database_id: str, name: str) -> Response:
    database = online_database(database_id)
    user = _known_user(database, name)
    if name == ADMINISTRATOR:
        raise forbidden("the default user can not be deleted")
    database.users.remove(user)
    _change(database, lambda: database.users.append(user))
    return no_content()


@routes.post("/v2/databases/<database_id>/users/<name>/reset_auth")
def reset_auth(database_id: str, name: str) -> Response:
    database, body = online_database(database_id), Body.of_request()
    user = _known_user(database, name)
    former = user.auth_plugin, user.password

    def undo() -> None:
        user.auth_plugin, user.password = former

    user.auth_plugin = _auth_plugin(database, body, user.auth_plugin)
    user.password = new_password()
    _change(database, undo)
    return answer({"user": show_user(database, user)})


@routes.get("/v2/databases/<database_id>/dbs")
def list_databases(database_id: str) -> Response:
    return answer({"dbs": [{"name": name} for name in known_database(database_id).databases]})


@routes.post("/v2/databases/<database_id>/dbs")
def create_database(database_id: str) -> Response:
    database, name = online_database(database_id), Body.of_request().required_text("name")
    if not DATABASE_NAME.fullmatch(name):
        raise unprocessable(f"invalid database name {name!r}")
    if name in database.databases:
        raise unprocessable(f"database {name} already exists")
    database.databases.append(name)
    _change(database, lambda: database.databases.remove(name))
    return answer({"db": {"name": name}}, 201)


@routes.get("/v2/databases/<database_id>/dbs/<name>")
def get_database(database_id: str, name: str) -> Response:
    if name not in known_database(database_id).databases:
        raise not_found("database not found")
    return answer({"db": {"name": name}})


@routes.delete("/v2/databases/<database_id>/dbs/<name>")
def delete_database(database_id: str, name: str) -> Response:
    database = online_database(database_id)
    if name not in database.databases:
        raise not_found("database not found")
    if name == FIRST_DATABASE:
        raise forbidden("the default database can not be deleted")
    database.databases.remove(name)
    _change(database, lambda: database.databases.append(name))
    return no_content()


def _change(database: Database, undo: Callable[[], None]) -> None:
    """Whoever gets the answer may use what it says: so the change is made first, and if that fails there is none."""
    cloud = the_cloud()
    cloud.store.databases.save(database)
    succeed_before_answering(cloud.work.change_database(database.id, undo))


def _known_user(database: Database, name: str) -> DatabaseUser:
    user = next((user for user in database.users if user.name == name), None)
    if user is None:
        raise not_found("user not found")
    return user


def _auth_plugin(database: Database, body: Body, default: str) -> str:
    if database.engine != "mysql":
        return ""
    return body.object("mysql_settings").choice("auth_plugin", AUTH_PLUGINS, default)


def _refuse_settings(body: Body) -> None:
    if body.object("settings").truth("pg_allow_replication", False):
        raise not_here("lets no database user replicate")
