"""The control API under `/_local/`: no part of DigitalOcean's. It is how the cloud's own commands and tests look
behind the API and make things go wrong. Every call needs the control key in the header `X-Local-Control-Key`.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

from flask import Blueprint, Response, request

from local_cloud.api import scopes
from local_cloud.api.answers import ApiError, Json, answer, no_content
from local_cloud.api.body import Body
from local_cloud.api.cloud import the_cloud
from local_cloud.api.durations import Durations
from local_cloud.api.faults import Fault
from local_cloud.catalogue.regions import REGIONS

routes = Blueprint("control", __name__, url_prefix="/_local")

PREFIX = "/_local/"
KEY_HEADER = "X-Local-Control-Key"


@routes.get("/state")
def show_state() -> Response:
    """How many there are of each kind, and their names."""
    with the_cloud().store.held() as store:
        names = {
            "ssh_keys": [each.name for each in store.ssh_keys],
            "tags": [each.name for each in store.tags],
            "vpcs": [each.name for each in store.vpcs if not each.is_generated],
            "droplets": [each.name for each in store.droplets],
            "firewalls": [each.name for each in store.firewalls],
            "load_balancers": [each.name for each in store.load_balancers],
            "databases": [each.name for each in store.databases],
            "projects": [each.name for each in store.projects if not each.is_default],
            "reserved_ips": [each.id for each in store.reserved_ips],
            "domains": [each.id for each in store.domains],
            "domain_records": [each.host_name for each in store.domain_records],
            "departing": [each.id for each in store.departures],
        }
    return answer({kind: {"count": len(found), "names": found} for kind, found in names.items()})


@routes.get("/idle")
def wait_until_idle() -> Response:
    """Wait up to `timeout` seconds (10) until no work is under way."""
    try:
        timeout = float(request.args.get("timeout", "10"))
    except ValueError:
        raise ApiError(422, "unprocessable_entity", "timeout must be a number of seconds") from None
    return answer({"idle": the_cloud().work.idle(min(timeout, 600.0))})


@routes.post("/backups")
def back_up_database() -> Response:
    """Back the cluster called `database`, by name or id, up now: a customer waits for the daily one."""
    cloud, wanted = the_cloud(), Body.of_request().required_text("database")
    found = next((each for each in cloud.store.databases if wanted in (each.id, each.name)), None)
    if found is None:
        raise ApiError(404, "not_found", f"there is no database cluster {wanted}")
    problem = cloud.work.back_up_database(found.id).result()
    if problem:
        raise ApiError(500, "server_error", problem)
    return answer({"backup": {"created_at": found.backups[-1].created_at}}, 201)


@routes.put("/tokens")
def set_token() -> Response:
    """Let `token` in, to do what `scopes` say: read, or read and write, or custom ones such as `droplet:create`.

    Without scopes it is not let in any more.
    """
    body = Body.of_request()
    token, given = body.required_text("token"), body.texts("scopes")
    if not token.startswith("dop_v1_"):
        raise ApiError(422, "unprocessable_entity", "token must begin with dop_v1_")
    if wrong := next((scope for scope in given if not scopes.is_scope(scope)), None):
        raise ApiError(422, "unprocessable_entity", f"scopes: {wrong!r} is none; read, write, droplet:create are")
    the_cloud().store.add_token(token, tuple(given))
    return no_content()


@routes.put("/unused-regions/<region>")
def leave_region_unused(region: str) -> Response:
    """Let `region` be one in which the account never had anything: the next VPC there becomes its default one."""
    if region not in REGIONS:
        raise ApiError(422, "unprocessable_entity", f"region {region!r} does not exist")
    the_cloud().store.leave_region_unused(region)
    return no_content()


@routes.get("/faults")
def list_faults() -> Response:
    return answer({"faults": [_show(fault) for fault in the_cloud().faults.all()]})


@routes.post("/faults")
def add_fault() -> Response:
    """`method` and `path` (regular expressions), `times`, and `status` or `hang_seconds`; `when`: before, after."""
    body = Body.of_request()
    when = body.choice("when", ("before", "after"), "before")
    try:
        fault = the_cloud().faults.add(
            method=body.text("method", ".*"),
            path=body.text("path", ".*"),
            times=body.number("times", 1, 1, 1_000_000),
            status=body.number("status", 500, 400, 599),
            hang_seconds=float(body.number("hang_seconds", 0, 0, 600)),
            when="after" if when == "after" else "before",
        )
    except ValueError as error:
        raise ApiError(422, "unprocessable_entity", str(error)) from None
    return answer({"fault": _show(fault)}, 201)


@routes.delete("/faults")
def lift_faults() -> Response:
    the_cloud().faults.lift()
    return no_content()


@routes.get("/durations")
def show_durations() -> Response:
    return answer({"durations": asdict(the_cloud().durations)})


@routes.put("/durations")
def set_durations() -> Response:
    """`profile` (fast or realistic), or seconds per kind of work."""
    durations, body = the_cloud().durations, Body.of_request()
    if body.has("profile"):
        durations.take(Durations.named(body.choice("profile", ("fast", "realistic"))))
    known = [field.name for field in fields(Durations)]
    for name, value in body.fields.items():
        if name == "profile":
            continue
        if name not in known or isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ApiError(422, "unprocessable_entity", f"{name}: give profile, or seconds for {', '.join(known)}")
        setattr(durations, name, float(value))
    return show_durations()


@routes.get("/rate-limit")
def show_rate_limit() -> Response:
    limit = the_cloud().rate_limit
    return answer({"per_hour": limit.per_hour, "per_minute": limit.per_minute})


@routes.put("/rate-limit")
def set_rate_limit() -> Response:
    """`per_hour` and `per_minute`; counting starts anew."""
    limit, body = the_cloud().rate_limit, Body.of_request()
    per_hour = body.number("per_hour", limit.per_hour, 1)
    per_minute = body.number("per_minute", limit.per_minute, 1)
    limit.per_hour, limit.per_minute = per_hour, per_minute
    limit.forget()
    return show_rate_limit()


@routes.get("/requests")
def list_requests() -> Response:
    return answer({"requests": the_cloud().traffic.calls()})


@routes.delete("/requests")
def forget_requests() -> Response:
    the_cloud().traffic.forget()
    return no_content()


@routes.put("/recording")
def start_recording() -> Response:
    """Write whole requests and answers, secrets included, to the new file `path` on the cloud's machine."""
    path = Path(Body.of_request().required_text("path"))
    if not path.is_absolute() or not path.parent.is_dir():
        raise ApiError(422, "unprocessable_entity", f"{path}: give an absolute path in a folder that exists")
    the_cloud().traffic.record_to(path)
    return no_content()


@routes.delete("/recording")
def stop_recording() -> Response:
    the_cloud().traffic.record_to(None)
    return no_content()


def _show(fault: Fault) -> Json:
    return {
        "id": fault.id,
        "method": fault.method,
        "path": fault.path,
        "times": fault.times,
        "status": fault.status,
        "hang_seconds": fault.hang_seconds,
        "when": fault.when,
    }
