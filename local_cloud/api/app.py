"""The API server: what happens to every call before and after its resource's own module answers it."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, g, make_response, request
from werkzeug.exceptions import HTTPException

from local_cloud.api import control, scopes
from local_cloud.api.answers import ApiError, error_response, forbidden
from local_cloud.api.cloud import EXTENSION, Cloud, the_cloud, wait_for_unfinished
from local_cloud.api.durations import Durations
from local_cloud.api.faults import Fault, Faults
from local_cloud.api.rate_limit import Allowance, RateLimit
from local_cloud.api.resources import (
    account,
    actions,
    database_contents,
    databases,
    domains,
    droplet_actions,
    droplets,
    firewalls,
    images,
    load_balancers,
    projects,
    regions,
    reserved_ips,
    sizes,
    ssh_keys,
    tags,
    tokens,
    volumes,
    vpcs,
)
from local_cloud.api.store import Store, now
from local_cloud.api.traffic import Traffic
from local_cloud.api.work import Work
from local_cloud.machine_room import MachineRoom

log = logging.getLogger(__name__)

RESOURCES = (
    account,
    actions,
    database_contents,
    databases,
    droplet_actions,
    domains,
    droplets,
    firewalls,
    images,
    load_balancers,
    projects,
    regions,
    reserved_ips,
    sizes,
    ssh_keys,
    tags,
    tokens,
    volumes,
    vpcs,
)


def create_app(store: Store, room: MachineRoom, durations: Durations) -> Flask:
    """The WSGI application over these records and machines. `resume` it once it is to work, `shut_down` at the end."""
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    app.extensions[EXTENSION] = new_cloud(store, room, durations)
    for module in RESOURCES:
        app.register_blueprint(module.routes)
    for endpoint, view in app.view_functions.items():
        app.view_functions[endpoint] = _holding_store(view)
    app.register_blueprint(control.routes)
    app.before_request(_before)
    app.after_request(_after)
    app.register_error_handler(ApiError, error_response)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected_error)
    return app


def new_cloud(store: Store, room: MachineRoom, durations: Durations) -> Cloud:
    """What an app serves: no faults, nothing counted or logged yet."""
    return Cloud(
        store=store,
        work=Work(store, room, durations),
        durations=durations,
        faults=Faults(),
        rate_limit=RateLimit(),
        traffic=Traffic(store.path.with_name("requests.jsonl")),
    )


def resume(app: Flask) -> None:
    """Finish what a restart interrupted, and bring back what should be on. Returns at once."""
    _cloud_of(app).work.resume()


def settle(app: Flask, timeout: float) -> bool:
    """Wait up to `timeout` seconds until no work is under way; says whether that came about."""
    return _cloud_of(app).work.idle(timeout)


def shut_down(app: Flask) -> None:
    """Wait for what the machine room is doing, begin nothing new, and close the store."""
    cloud = _cloud_of(app)
    cloud.faults.lift()
    cloud.work.stop()
    cloud.store.close()


def _cloud_of(app: Flask) -> Cloud:
    cloud = app.extensions[EXTENSION]
    assert isinstance(cloud, Cloud)
    return cloud


def _holding_store(view: Callable[..., Any]) -> Callable[..., Any]:
    """A resource's calls see and change records one at a time; waiting for machines comes after."""

    def held(**arguments: Any) -> Response:
        with the_cloud().store.held():
            response = make_response(view(**arguments))
        wait_for_unfinished()
        return response

    return held


def _before() -> Response | None:
    """Who is it, may they, and is something to go wrong? An answer given here is the call's answer."""
    cloud = the_cloud()
    g.request_id, g.unfinished, g.allowance, g.fault = str(uuid.uuid4()), [], None, None
    if request.path.startswith(control.PREFIX):
        if not cloud.store.knows_control_key(request.headers.get(control.KEY_HEADER, "")):
            return error_response(ApiError(401, "unauthorized", f"{control.KEY_HEADER} is missing or wrong."))
        return None
    if refused := refused_agent(request.headers.get("User-Agent", "")):
        return error_response(forbidden(refused))
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    well_formed = scheme.lower() == "bearer" and token.startswith("dop_v1_")
    g.scopes = cloud.store.token_scopes(token) if well_formed else ()
    g.allowance = cloud.rate_limit.count(token if g.scopes else "")
    if not g.scopes:
        return error_response(ApiError(401, "unauthorized", "Unable to authenticate you"))
    if not g.allowance.allowed:
        return error_response(ApiError(429, "too_many_requests", "API Rate limit exceeded."))
    if not _may(g.scopes):
        return error_response(forbidden(NOT_AUTHORIZED))
    g.fault = cloud.faults.strike(request.method, request.path)
    return _strike(g.fault) if g.fault is not None and g.fault.when == "before" else None


#: As it was seen at DigitalOcean with tokens that lacked a scope: github.com/digitalocean/doctl/issues/1635.
NOT_AUTHORIZED = "You are not authorized to perform this operation"


def _may(token_scopes: tuple[str, ...]) -> bool:
    """Whether the token may make this call. Paths that there are none of, and a token's own rights, are anybody's."""
    if request.url_rule is None or request.path == tokens.PATH:
        return True
    operation = scopes.operation_of(request.method, request.url_rule.rule)
    return scopes.allowed(token_scopes, operation, request.get_json(force=True, silent=True), request.args.to_dict())


#: What libraries call themselves by default. Cloudflare is in front of the API and turns such names away (its error
#: 1010); `Python-urllib` was seen to be refused by DigitalOcean (github.com/NethServer/ns8-core/pull/522), the others
#: are this cloud's caution.
LIBRARIES = ("python-urllib", "python-requests", "go-http-client", "java/", "libwww-perl")


def refused_agent(agent: str) -> str | None:
    """Why a caller that calls itself so is not let in; None for one that may."""
    return f"error code: 1010 ({agent} is refused)" if agent.lower().startswith(LIBRARIES) else None


def _after(response: Response) -> Response:
    if g.fault is not None and g.fault.when == "after":
        response = _strike(g.fault) or response
    response.headers["x-request-id"] = g.request_id
    allowance: Allowance | None = g.allowance
    if allowance is not None:
        response.headers["ratelimit-limit"] = str(allowance.limit)
        response.headers["ratelimit-remaining"] = str(allowance.remaining)
        response.headers["ratelimit-reset"] = str(allowance.reset)
        if response.status_code == 429:
            response.headers["retry-after"] = str(allowance.retry_after)
        _note(response)
    return response


def _strike(fault: Fault) -> Response:
    if fault.hang_seconds:
        fault.lifted.wait(fault.hang_seconds)
        return error_response(ApiError(504, "gateway_timeout", "The server did not answer in time."))
    if fault.status == 429:
        return error_response(ApiError(429, "too_many_requests", "API Rate limit exceeded."))
    identifier = {500: "server_error", 503: "service_unavailable"}.get(fault.status, "error")
    return error_response(ApiError(fault.status, identifier, "Server was unable to give you a response."))


def _note(response: Response) -> None:
    call = {
        "time": now(),
        "method": request.method,
        "path": request.path,
        "query": request.args.to_dict(),
        "status": response.status_code,
        "request_id": g.request_id,
    }
    bodies = {
        "request_body": _json_or_text(request.get_data(as_text=True)),
        "response_body": _json_or_text(response.get_data(as_text=True)),
    }
    the_cloud().traffic.note(call, {**call, **bodies})


def _json_or_text(text: str) -> Any:
    """Parsed JSON; None for nothing; the text itself if it is something else."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _http_error(error: HTTPException) -> Response:
    """What Flask refuses by itself: unknown paths and methods."""
    code = error.code or 500
    if code == 404:
        return error_response(ApiError(404, "not_found", "The resource you were accessing could not be found."))
    return error_response(ApiError(code, error.name.lower().replace(" ", "_"), error.description or error.name))


def _unexpected_error(error: Exception) -> Response:
    log.exception("%s %s failed", request.method, request.path, exc_info=error)
    return error_response(ApiError(500, "server_error", "Server was unable to give you a response."))
