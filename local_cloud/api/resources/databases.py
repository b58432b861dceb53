"""Managed database clusters: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Databases

Clusters are made on one server: `num_nodes` above 1 is taken and reported, but no standby takes over here.
Connection pools, engine settings and engines other than PostgreSQL and MySQL are refused. Backups are whole copies, one
a day, and a cluster is made of one as it was: times between them (the control panel's "point in time") are refused.
"""

from __future__ import annotations

import base64
import re
import secrets
import string
from copy import deepcopy
from typing import Literal

from flask import Blueprint, Response, g, request

from local_cloud.api import backups, scopes
from local_cloud.api.answers import (
    Json,
    answer,
    no_content,
    not_found,
    not_here,
    precondition_failed,
    unprocessable,
)
from local_cloud.api.body import Body
from local_cloud.api.cloud import (
    depart,
    finish_before_answering,
    new_private_address,
    new_public_address,
    the_cloud,
)
from local_cloud.api.network_rules import ipv4_network
from local_cloud.api.records import Database, DatabaseBackup, DatabaseRule, DatabaseUser, urn
from local_cloud.api.resources.projects import join, leave, project_for, project_id_of
from local_cloud.api.resources.tags import NAME as TAG_NAME
from local_cloud.api.resources.tags import ensure_tags
from local_cloud.api.resources.vpcs import vpc_for
from local_cloud.api.store import Store, new_uuid, now
from local_cloud.catalogue.databases import DATABASE_SIZES, DEFAULT_VERSION, ENGINES, sizes_for
from local_cloud.catalogue.regions import OPEN_REGIONS, REGIONS

routes = Blueprint("databases", __name__)

SourceKind = Literal["droplet", "k8s", "ip_addr", "tag", "app"]
Engine = Literal["pg", "mysql"]

NAME = re.compile(r"[a-z][a-z0-9-]{1,61}[a-z0-9]")
PORT = 25060
SCHEME = {"pg": "postgresql", "mysql": "mysql"}
SSL_OPTION = {"pg": "sslmode=require", "mysql": "ssl-mode=REQUIRED"}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ADMINISTRATOR, FIRST_DATABASE = "doadmin", "defaultdb"
#: https://docs.digitalocean.com/products/databases/postgresql/details/limits/
MOST_NODES, MOST_RULES = 3, 100
#: Where a MySQL user's password goes (API reference, `mysql_settings`).
AUTH_PLUGINS = ("mysql_native_password", "caching_sha2_password")


def known_database(database_id: str) -> Database:
    database = the_cloud().store.databases.get(database_id)
    if database is None:
        raise not_found("cluster not found")
    return database


def online_database(database_id: str) -> Database:
    """A cluster that takes changes. ApiError 412 while it is made or changed."""
    database = known_database(database_id)
    if database.status != "online":
        raise precondition_failed(f"cluster is not ready: it is {database.status}")
    return database


def new_password() -> str:
    """In the form of DigitalOcean's."""
    return "AVNS_" + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(19))


def show_user(database: Database, user: DatabaseUser) -> Json:
    shown = {"name": user.name, "role": user.role}
    if _shows_credentials():
        shown["password"] = user.password
    return {**shown, "mysql_settings": {"auth_plugin": user.auth_plugin}} if database.engine == "mysql" else shown


def _shows_credentials() -> bool:
    """API reference: "User passwords will not show without the `database:view_credentials` scope." """
    return scopes.grants(g.scopes, scopes.VIEW_CREDENTIALS)


def show_database(database: Database) -> Json:
    made = database.status != "creating"
    version = next(each for each in ENGINES[database.engine] if each.version == database.version)
    lifetime = {
        "version_end_of_life": version.end_of_life,
        "version_end_of_availability": version.end_of_availability,
    }
    return {
        "id": database.id,
        "name": database.name,
        "engine": database.engine,
        "version": database.former_version or database.version,
        "num_nodes": database.num_nodes,
        "size": database.size,
        "region": database.region,
        "status": database.status,
        "created_at": database.created_at,
        "private_network_uuid": database.vpc_uuid,
        "tags": database.tags,
        "db_names": database.databases if made else None,
        "connection": _connection(database, database.host),
        "private_connection": _connection(database, database.private_host),
        "users": [show_user(database, user) for user in database.users] if made else None,
        "maintenance_window": {
            "day": database.maintenance_day,
            "hour": database.maintenance_hour,
            "pending": False,
            "description": [],
        },
        "project_id": project_id_of(the_cloud().store, database),
        "rules": [show_rule(database, rule) for rule in database.rules],
        **{name: value for name, value in lifetime.items() if value is not None},
        "storage_size_mib": database.storage_size_mib,
        "metrics_endpoints": [],
    }


def show_rule(database: Database, rule: DatabaseRule) -> Json:
    return {
        "uuid": rule.uuid,
        "cluster_uuid": database.id,
        "type": rule.type,
        "value": rule.value,
        "created_at": rule.created_at,
        "description": rule.description,
    }


@routes.get("/v2/databases/options")
def list_options() -> Response:
    layouts = [{"num_nodes": nodes, "sizes": list(sizes_for(nodes))} for nodes in range(1, MOST_NODES + 1)]
    options = {
        engine: {
            "regions": list(OPEN_REGIONS),
            "versions": [each.version for each in versions],
            "layouts": layouts,
        }
        for engine, versions in ENGINES.items()
    }
    availability = {engine: [vars(each) for each in versions] for engine, versions in ENGINES.items()}
    return answer({"options": options, "version_availability": availability})


@routes.get("/v2/databases")
def list_databases() -> Response:
    tag = request.args.get("tag_name", "").lower()
    found = [each for each in the_cloud().store.databases if not tag or tag in (name.lower() for name in each.tags)]
    return answer({"databases": [show_database(each) for each in found]})


@routes.post("/v2/databases")
def create_database() -> Response:
    cloud, body = the_cloud(), Body.of_request()
    store = cloud.store
    name = body.required_text("name")
    if not NAME.fullmatch(name):
        raise unprocessable(
            "invalid cluster name: 3 to 63 lowercase letters, numbers and hyphens, starting with a letter"
        )
    if any(other.name == name for other in store.databases):
        raise unprocessable("cluster name is not available")
    engine, version = _engine(body)
    size, nodes = _size_and_nodes(body)
    region = body.required_text("region")
    if region not in REGIONS or region not in OPEN_REGIONS:
        raise unprocessable(f"invalid region: {region!r} does not exist or takes no databases")
    copied = _backup(store, body, engine, version, size) if body.has("backup_restore") else None
    vpc = vpc_for(store, body.text("private_network_uuid", ""), region)
    project = project_for(store, body.text("project_id", ""))
    rules = _rules(store, body)
    tags = ensure_tags(store, body.texts("tags"))
    domain = f"{name}-do-user-1-0.b.db.ondigitalocean.com"
    database = Database(
        id=new_uuid(),
        name=name,
        engine=engine,
        version=version,
        size=size,
        num_nodes=nodes,
        storage_size_mib=max(_storage(body, size), copied[0].storage_size_mib if copied else 0),
        region=region,
        vpc_uuid=vpc.id,
        host=domain,
        private_host=f"private-{domain}",
        port=PORT,
        public_ip=new_public_address(store),
        private_ip=new_private_address(store, vpc),
        created_at=now(),
        tags=tags,
        users=[DatabaseUser(ADMINISTRATOR, new_password(), "primary", _plugin(engine))]
        if copied is None
        else deepcopy(copied[1].users),
        databases=[FIRST_DATABASE] if copied is None else list(copied[1].databases),
        rules=rules,
        maintenance_day="sunday",
        maintenance_hour="03:00:00",
        copied_from="" if copied is None else copied[0].id,
        copied_backup="" if copied is None else copied[1].id,
    )
    store.databases.save(database)
    join(store, project, urn(database))
    cloud.work.create_database(database.id)
    return answer({"database": show_database(database)}, 201)


@routes.get("/v2/databases/<database_id>")
def get_database(database_id: str) -> Response:
    return answer({"database": show_database(known_database(database_id))})


@routes.delete("/v2/databases/<database_id>")
def delete_database(database_id: str) -> Response:
    cloud, database = the_cloud(), known_database(database_id)
    cloud.store.databases.delete(database.id)
    leave(cloud.store, urn(database))
    cloud.work.settle()
    finish_before_answering(cloud.work.destroy(depart(cloud.store, "database", database)), seconds=60.0)
    return no_content()


@routes.get("/v2/databases/<database_id>/ca")
def get_ca(database_id: str) -> Response:
    database = known_database(database_id)
    if not database.ca_pem:
        raise precondition_failed(f"cluster is not ready: it is {database.status}")
    return answer({"ca": {"certificate": base64.b64encode(database.ca_pem.encode()).decode()}})


@routes.get("/v2/databases/<database_id>/config")
def get_config(database_id: str) -> Response:
    known_database(database_id)
    return answer({"config": {}})


@routes.patch("/v2/databases/<database_id>/config")
def change_config(database_id: str) -> Response:
    known_database(database_id)
    raise not_here("runs database engines with their default settings")


@routes.put("/v2/databases/<database_id>/resize")
def resize(database_id: str) -> Response:
    cloud, database, body = the_cloud(), online_database(database_id), Body.of_request()
    size, nodes = _size_and_nodes(body)
    if DATABASE_SIZES[size].memory < DATABASE_SIZES[database.size].memory:
        raise unprocessable("a cluster can not be resized to a smaller size")
    storage = max(database.storage_size_mib, _storage(body, size))
    former = database.size, database.num_nodes, database.storage_size_mib

    def undo() -> None:
        database.size, database.num_nodes, database.storage_size_mib = former

    database.size, database.num_nodes, database.storage_size_mib = size, nodes, storage
    database.status = "resizing"
    cloud.store.databases.save(database)
    cloud.work.change_database(database.id, undo)
    return Response(status=202)


@routes.put("/v2/databases/<database_id>/upgrade")
def upgrade(database_id: str) -> Response:
    cloud, database = the_cloud(), online_database(database_id)
    version = Body.of_request().required_text("version")
    if version not in [each.version for each in ENGINES[database.engine]]:
        raise unprocessable(f"invalid version {version!r} for {database.engine}")
    if int(version) <= int(database.version):
        raise unprocessable(f"a cluster can only be upgraded: it has version {database.version}")
    former = database.version

    def undo() -> None:
        database.version = former

    database.version, database.former_version, database.status = version, former, "migrating"
    cloud.store.databases.save(database)
    cloud.work.change_database(database.id, undo)
    return no_content()


@routes.put("/v2/databases/<database_id>/maintenance")
def set_maintenance_window(database_id: str) -> Response:
    database, body = known_database(database_id), Body.of_request()
    day, hour = body.required_text("day").lower(), body.required_text("hour")
    if day not in DAYS:
        raise unprocessable(f"day must be one of {', '.join(DAYS)}")
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?", hour):
        raise unprocessable("hour must be a time such as 14:00")
    database.maintenance_day, database.maintenance_hour = day, hour if hour.count(":") == 2 else f"{hour}:00"
    the_cloud().store.databases.save(database)
    return no_content()


@routes.get("/v2/databases/<database_id>/backups")
def list_backups(database_id: str) -> Response:
    database = known_database(database_id)
    made = backups.moment(database.backups[-1].created_at if database.backups else database.created_at)
    shown = [
        {"created_at": each.created_at, "size_gigabytes": round(each.size_bytes / 1e9, 8), "incremental": False}
        for each in database.backups
    ]
    schedule = {"backup_hour": made.hour, "backup_minute": made.minute, "backup_interval_hours": 24}
    return answer({"backups": shown, "scheduled_backup_time": schedule})


@routes.get("/v2/databases/<database_id>/firewall")
def list_rules(database_id: str) -> Response:
    database = known_database(database_id)
    return answer({"rules": [show_rule(database, rule) for rule in database.rules]})


@routes.put("/v2/databases/<database_id>/firewall")
def set_rules(database_id: str) -> Response:
    cloud, database = the_cloud(), known_database(database_id)
    fresh = _rules(cloud.store, Body.of_request())
    before = {(rule.type, rule.value): rule for rule in database.rules}
    database.rules = [before.get((rule.type, rule.value), rule) for rule in fresh]
    cloud.store.databases.save(database)
    finish_before_answering(cloud.work.settle())
    return no_content()


@routes.get("/v2/databases/<database_id>/pools")
def list_pools(database_id: str) -> Response:
    known_database(database_id)
    return answer({"pools": []})


@routes.post("/v2/databases/<database_id>/pools")
def create_pool(database_id: str) -> Response:
    known_database(database_id)
    raise not_here("has no connection pools: connect to the database itself")


@routes.get("/v2/databases/<database_id>/pools/<name>")
@routes.put("/v2/databases/<database_id>/pools/<name>")
@routes.delete("/v2/databases/<database_id>/pools/<name>")
def one_pool(database_id: str, name: str) -> Response:
    known_database(database_id)
    raise not_found(f"pool {name} not found")


def _connection(database: Database, host: str) -> Json:
    admin = database.users[0]
    first = database.databases[0] if database.databases else FIRST_DATABASE
    shown = _shows_credentials()
    # Of the connection, `user` and `password` need the scope; the URI, which has both in it, is taken to.
    address = f"{f'{admin.name}:{admin.password}@' if shown else ''}{host}:{database.port}"
    return {
        "protocol": SCHEME[database.engine],
        "uri": f"{SCHEME[database.engine]}://{address}/{first}?{SSL_OPTION[database.engine]}",
        "database": first,
        "host": host,
        "port": database.port,
        **({"user": admin.name, "password": admin.password} if shown else {}),
        "ssl": True,
    }


def _engine(body: Body) -> tuple[Engine, str]:
    engine: Engine = body.choice("engine", ("pg", "mysql"))
    version = body.text("version", "") or DEFAULT_VERSION[engine]
    offered = [each.version for each in ENGINES[engine]]
    if version not in offered:
        raise unprocessable(f"invalid version {version!r} for {engine}: one of {', '.join(offered)}")
    return engine, version


def _backup(store: Store, body: Body, engine: str, version: str, size: str) -> tuple[Database, DatabaseBackup]:
    """The cluster and the backup to make the new one of. What DigitalOcean refuses of this is not documented."""
    asked = body.object("backup_restore")
    name, at = asked.required_text("database_name"), asked.text("backup_created_at", "")
    source = next((each for each in store.databases if each.name == name), None)
    if source is None:
        raise not_found(f"cluster {name} not found")
    if (source.engine, source.version) != (engine, version):
        raise unprocessable(f"a backup of {source.engine} {source.version} can not become {engine} {version}")
    if DATABASE_SIZES[size].memory < DATABASE_SIZES[source.size].memory:
        raise unprocessable(f"size {size} is smaller than that of the backup's cluster, {source.size}")
    try:
        found = [each for each in source.backups if not at or backups.moment(each.created_at) == backups.moment(at)]
    except ValueError:
        raise unprocessable(f"backup_created_at {at!r} is no time such as 2019-01-31T19:25:22Z") from None
    if not found:
        raise unprocessable(f"cluster {name} has no backup {'of ' + at if at else 'yet'}")
    return source, found[-1]


def _plugin(engine: str) -> str:
    return "caching_sha2_password" if engine == "mysql" else ""


def _size_and_nodes(body: Body) -> tuple[str, int]:
    size, nodes = body.required_text("size"), body.number("num_nodes", None, 1, MOST_NODES)
    if size not in DATABASE_SIZES:
        raise unprocessable(f"invalid size {size!r}: one of {', '.join(DATABASE_SIZES)}")
    if size not in sizes_for(nodes):
        raise unprocessable(f"size {size} takes no standby nodes: num_nodes must be 1")
    return size, nodes


def _storage(body: Body, size: str) -> int:
    least = DATABASE_SIZES[size].storage_mib
    wanted = body.number("storage_size_mib", least)
    if wanted < least or wanted % (10 * 1024):
        raise unprocessable(f"storage_size_mib must be a multiple of 10240 and at least {least} for {size}")
    return wanted


def _rules(store: Store, body: Body) -> list[DatabaseRule]:
    rules: list[DatabaseRule] = []
    for entry in body.objects("rules"):
        kind: SourceKind = entry.choice("type", ("droplet", "k8s", "ip_addr", "tag", "app"))
        value = entry.required_text("value")
        problem = _rule_problem(store, kind, value)
        if problem:
            raise unprocessable(problem)
        rules.append(DatabaseRule(new_uuid(), kind, value, now(), entry.text("description", "")))
    if len(rules) > MOST_RULES:
        raise unprocessable(f"a cluster may have at most {MOST_RULES} trusted sources")
    if len({(rule.type, rule.value) for rule in rules}) < len(rules):
        raise unprocessable("two rules are the same")
    return rules


def _rule_problem(store: Store, kind: str, value: str) -> str | None:
    if kind == "droplet":
        return None if value.isdigit() and int(value) in store.droplets else f"could not find droplet {value}"
    if kind == "tag":
        return None if TAG_NAME.fullmatch(value) else f"tag {value!r} is invalid"
    if kind == "ip_addr":
        try:
            return "IPv6 rules are not supported" if ipv4_network(value) is None else None
        except ValueError:
            return f"{value!r} is neither an IP address nor a CIDR"
    return f"could not find {kind} {value}: the local cloud has none"
