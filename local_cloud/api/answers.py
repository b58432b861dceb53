"""Answers as the API gives them: error bodies, and lists in pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Response, g, jsonify, request

Item = TypeVar("Item")
Json = dict[str, Any]

MAX_PER_PAGE = 200


class ApiError(Exception):
    """The call is refused: HTTP `status`, the error's `id` and a message for the caller."""

    def __init__(self, status: int, identifier: str, message: str) -> None:
        super().__init__(message)
        self.status, self.identifier, self.message = status, identifier, message


def not_found(message: str = "The resource you were accessing could not be found.") -> ApiError:
    return ApiError(404, "not_found", message)


def unprocessable(message: str) -> ApiError:
    return ApiError(422, "unprocessable_entity", message)


def conflict(message: str) -> ApiError:
    return ApiError(409, "conflict", message)


def precondition_failed(message: str) -> ApiError:
    return ApiError(412, "precondition_failed", message)


def forbidden(message: str) -> ApiError:
    return ApiError(403, "forbidden", message)


def not_here(what: str) -> ApiError:
    """Refuses what DigitalOcean has and this cloud has not."""
    return unprocessable(f"The local cloud {what}. Use DigitalOcean itself for this.")


def error_response(error: ApiError) -> Response:
    body = {"id": error.identifier, "message": error.message, "request_id": g.request_id}
    response = jsonify(body)
    response.status_code = error.status
    return response


def answer(body: Json, status: int = 200) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response


def no_content() -> Response:
    return Response(status=204)


def url(path: str) -> str:
    """`path` of this API as a full address, at the host the caller used."""
    return f"{request.host_url.rstrip('/')}{path}"


def page(key: str, items: Iterable[Item], show: Callable[[Item], Json]) -> Response:
    """The part of `items` that `page` and `per_page` ask for, under `key`, with `links` and `meta`."""
    everything = list(items)
    number, size = _positive("page", 1), _positive("per_page", 20)
    if size > MAX_PER_PAGE:
        raise ApiError(400, "bad_request", f"per_page must be at most {MAX_PER_PAGE}")
    last = max(1, math.ceil(len(everything) / size))
    shown = everything[(number - 1) * size : number * size]
    links: Json = {}
    if last > 1 or number > 1:
        wanted: dict[str, int] = {}
        if number > 1:
            wanted |= {"first": 1, "prev": min(number - 1, last)}
        if number < last:
            wanted |= {"next": number + 1, "last": last}
        links = {"pages": {name: _page_url(at, size) for name, at in wanted.items()}}
    return answer({key: [show(item) for item in shown], "links": links, "meta": {"total": len(everything)}})


def _positive(name: str, default: int) -> int:
    text = request.args.get(name, "")
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        raise ApiError(400, "bad_request", f"{name} must be a positive number")
    return int(text)


def _page_url(number: int, size: int) -> str:
    query = {**request.args.to_dict(), "page": str(number), "per_page": str(size)}
    return url(f"{request.path}?{urlencode(query)}")
