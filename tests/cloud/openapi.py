"""Checks requests and answers against DigitalOcean's OpenAPI description (the part of it that this project uses).

`Conformance.problems_of(exchange)` takes what the local cloud records (`PUT /_local/recording`), so end-to-end runs
can be checked afterwards: `python -m tests.cloud.openapi FILE.jsonl` prints what does not conform and exits 1.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

CHECKOUT = Path(__file__).resolve().parent.parent.parent
NAME = "digitalocean-openapi.json"
MISSING = f"no {NAME}: set DIGITALOCEAN_OPENAPI to its path, or put it in ../shared/reference"
METHODS = ("get", "post", "put", "patch", "delete")
ROOT = "urn:digitalocean"
#: What the part of the description which this project has does not hold: their own tests say how they answer.
OUTSIDE = ("/v1/oauth/token/info", "/v2/reserved_ips", "/v2/domains")

formats = jsonschema.FormatChecker(formats=["ipv4", "ipv6"])


@formats.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value).tzinfo)


@formats.checks("uuid", raises=ValueError)
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or str(UUID(value)) == value.lower()


def find_specification() -> Path | None:
    """Where the description lies on this machine; None if nowhere."""
    given = os.environ.get("DIGITALOCEAN_OPENAPI")
    path = Path(given) if given else CHECKOUT.parent / "shared" / "reference" / NAME
    return path if path.is_file() else None


def as_json_schema(node: Any) -> Any:
    """A schema of OpenAPI 3.0 in the terms of JSON Schema 2020-12: `nullable`, references, and YAML's `off`."""
    if isinstance(node, list):
        return [as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": ROOT + str(node["$ref"])}
    schema = {
        key: {name: as_json_schema(each) for name, each in value.items()}
        if key == "properties"
        else value
        if key in ("enum", "example", "default", "required")
        else as_json_schema(value)
        for key, value in node.items()
    }
    if schema.get("type") == "string" and False in schema.get("enum", []):
        # The droplet's status `off` went through YAML, which reads it as false.
        schema["enum"] = ["off" if each is False else each for each in schema["enum"]]
    if node.get("nullable"):
        if "type" in schema:
            schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema


class Operation:
    """One method of one path."""

    def __init__(self, template: str, method: str, plain: dict[str, Any], registry: Registry[Any]) -> None:
        self.template, self.method, self._plain, self._registry = template, method, plain, registry
        self._validators: dict[str, jsonschema.Draft202012Validator] = {}

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.template}"

    @cached_property
    def statuses(self) -> frozenset[str]:
        return frozenset(self._plain["responses"])

    def request_problems(self, query: Mapping[str, str], body: Any) -> Iterator[str]:
        parameters = [each for each in self._plain.get("parameters", []) if each["in"] == "query"]
        known = {each["name"]: each for each in parameters}
        for name in query:
            if name not in known:
                yield f"query parameter {name} is not documented"
        for name, parameter in known.items():
            if name in query:
                schema = parameter["schema"]
                value: Any = query[name]
                if schema.get("type") == "integer":
                    value = int(value) if value.isdigit() else value
                elif schema.get("type") == "boolean":
                    value = {"true": True, "false": False}.get(value, value)
                yield from self._check(f"query {name}", schema, value)
            elif parameter.get("required"):
                yield f"query parameter {name} is missing"
        content = self._plain.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            if body not in (None, {}):
                yield "a request body is not documented"
        elif body is None and self._plain["requestBody"].get("required"):
            yield "the request body is missing"
        else:
            yield from self._check("request", content["schema"], {} if body is None else body)

    def response_problems(self, status: int, body: Any) -> Iterator[str]:
        responses = self._plain["responses"]
        known = str(status) in responses
        if not known and status < 400:
            yield f"status {status} is not documented"
            return
        content = responses[str(status) if known else "default"].get("content", {}).get("application/json")
        if content is None:
            if body is not None:
                yield f"a body with status {status} is not documented"
            return
        yield from self._check(f"response {status}", content["schema"], body)

    def _check(self, what: str, schema: Any, value: Any) -> Iterator[str]:
        if what not in self._validators:
            self._validators[what] = jsonschema.Draft202012Validator(
                as_json_schema(schema), registry=self._registry, format_checker=formats
            )
        for error in self._validators[what].iter_errors(value):
            place = "/".join(str(each) for each in error.absolute_path) or "(whole)"
            yield f"{what}: {place}: {error.message[:300]}"


class Conformance:
    """All operations of a description."""

    def __init__(self, specification: Path) -> None:
        plain = json.loads(specification.read_text())
        schemas = {name: as_json_schema(each) for name, each in plain["components"]["schemas"].items()}
        resource = Resource(contents={"components": {"schemas": schemas}}, specification=DRAFT202012)
        registry: Registry[Any] = Registry().with_resource(ROOT, resource)
        self.operations = [
            Operation(template, method, operation, registry)
            for template, operations in plain["paths"].items()
            for method, operation in operations.items()
            if method in METHODS
        ]
        # Words before placeholders, so that /v2/projects/default is not taken for a project's id.
        ordered = sorted(self.operations, key=lambda each: each.template.count("{"))
        self._matchers = [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", each.template)), each) for each in ordered]

    def operation(self, method: str, path: str) -> Operation | None:
        return next(
            (each for pattern, each in self._matchers if each.method == method.lower() and pattern.fullmatch(path)),
            None,
        )

    def problems(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        request_body: Any,
        status: int,
        response_body: Any,
        check_request: bool = True,
    ) -> list[str]:
        """What of this call and its answer does not conform. Refused requests (4xx) may be as wrong as they like."""
        operation = self.operation(method, path)
        if operation is None:
            if path.startswith(OUTSIDE):
                return []
            return [] if status in (404, 405) else [f"{method} {path} is not documented"]
        found = list(operation.response_problems(status, response_body))
        if check_request:
            found += operation.request_problems(query, request_body)
        return [f"{operation.name}: {problem}" for problem in found]

    def problems_of(self, exchange: Mapping[str, Any]) -> list[str]:
        """The same for a line that the local cloud recorded."""
        return self.problems(
            exchange["method"],
            exchange["path"],
            exchange["query"],
            exchange["request_body"],
            exchange["status"],
            exchange["response_body"],
        )


def main(arguments: list[str]) -> int:
    specification = find_specification()
    if specification is None or len(arguments) != 1:
        print(MISSING if specification is None else "usage: python -m tests.cloud.openapi FILE.jsonl", file=sys.stderr)
        return 2
    conformance = Conformance(specification)
    lines = [json.loads(line) for line in Path(arguments[0]).read_text().splitlines()]
    problems = dict.fromkeys(problem for line in lines for problem in conformance.problems_of(line))
    for problem in problems:
        print(problem)
    print(f"{len(lines)} calls, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
