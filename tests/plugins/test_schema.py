"""The stand-in's properties are those of the official digitalocean plugin's schema."""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import Any

import pulumi_digitalocean as digitalocean
import pytest

from local_cloud.pulumi_plugins.digitalocean import RESOURCES, DigitalOcean
from local_cloud.pulumi_plugins.digitalocean.functions import FUNCTIONS, GetDomains
from local_cloud.pulumi_plugins.provider.properties import (
    Flag,
    ListOf,
    MapOf,
    Number,
    Properties,
    Record,
    Source,
    Text,
    Type,
    Whole,
)

NAME = "pulumi-digitalocean-schema.json"
DEFAULT_PATH = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "reference" / NAME
MISSING = f"no {NAME}: set PULUMI_DIGITALOCEAN_SCHEMA to its path, or put it in ../shared/reference"
SIMPLE = {Text: "string", Whole: "integer", Number: "number", Flag: "boolean"}

Schema = dict[str, Any]


@pytest.fixture(scope="module")
def schema() -> Schema:
    path = Path(os.environ.get("PULUMI_DIGITALOCEAN_SCHEMA") or DEFAULT_PATH)
    if not path.is_file():
        pytest.skip(MISSING)
    loaded: Schema = json.loads(path.read_text())
    return loaded


def type_problems(schema: Schema, type_: Type, official: Schema, where: str) -> list[str]:
    """How our type differs from the official one."""
    if isinstance(type_, ListOf):
        if official.get("type") != "array":
            return [f"{where}: a list, officially {official}"]
        return type_problems(schema, type_.item, official["items"], f"{where}[]")
    if isinstance(type_, MapOf):
        if "additionalProperties" not in official:
            return [f"{where}: a map, officially {official}"]
        return type_problems(schema, type_.item, official["additionalProperties"], f"{where}.*")
    if isinstance(type_, Record):
        name = str(official.get("$ref", "")).rpartition(":")[2]
        if name != type_.name:
            return [f"{where}: {type_.name}, officially {official}"]
        record = schema["types"][f"digitalocean:index/{name}:{name}"]
        return record_problems(schema, type_.properties, record, where)
    return [] if official.get("type") == SIMPLE[type(type_)] else [f"{where}: {type_}, officially {official}"]


def record_problems(schema: Schema, properties: Properties, record: Schema, where: str) -> list[str]:
    official = record["properties"]
    problems = [f"{where}.{key}: missing" for key in official.keys() - properties.keys()]
    problems += [f"{where}.{key}: unknown officially" for key in properties.keys() - official.keys()]
    for key in properties.keys() & official.keys():
        problems += type_problems(schema, properties[key].type, official[key], f"{where}.{key}")
    given = {key for key, prop in properties.items() if prop.source is Source.REQUIRED}
    if given and given != set(record.get("required", [])):
        problems.append(f"{where}: requires {sorted(given)}, officially {sorted(record.get('required', []))}")
    return problems


#: What the part of the schema that this project has does not hold; held against the SDK, which is made of all of it.
SDK_ONLY = {"DnsRecord": digitalocean.DnsRecordArgs, "ReservedIpAssignment": digitalocean.ReservedIpAssignmentArgs}
DESCRIBED = [resource for resource in RESOURCES if resource.__name__ not in SDK_ONLY]


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


@pytest.mark.parametrize("name", SDK_ONLY)
def test_a_resource_outside_the_schema_s_part_has_the_sdk_s_properties(name: str) -> None:
    (resource,) = (resource for resource in RESOURCES if resource.__name__ == name)
    parameters = inspect.signature(SDK_ONLY[name].__init__).parameters
    theirs = {camel(key): value.default is value.empty for key, value in parameters.items() if key != "__self__"}
    given = {key: prop for key, prop in resource.properties.items() if prop.given}
    assert set(given) == set(theirs)
    assert {key for key, prop in given.items() if prop.source is Source.REQUIRED} == {
        key for key, needed in theirs.items() if needed
    }
    simple = {Text: "str", Whole: "int"}
    for key, prop in given.items():
        (snake,) = (each for each in parameters if camel(each) == key)
        assert f"{simple[type(prop.type)]}" in str(parameters[snake].annotation)
    for key in resource.properties:
        assert any(camel(each) == key for each in dir(getattr(digitalocean, name)) if not each.startswith("_"))


@pytest.mark.parametrize("resource", DESCRIBED, ids=lambda resource: resource.__name__)
def test_a_resource_has_the_official_properties(schema: Schema, resource: Any) -> None:
    official = schema["resources"][resource.pulumi_type]
    inputs = {key: prop for key, prop in resource.properties.items() if prop.given}
    problems = [f"{key}: not an input" for key in official["inputProperties"].keys() - inputs.keys()]
    problems += [f"{key}: an input, officially not" for key in inputs.keys() - official["inputProperties"].keys()]
    problems += [f"{key}: missing" for key in official["properties"].keys() - resource.properties.keys()]
    problems += [f"{key}: unknown officially" for key in resource.properties.keys() - official["properties"].keys()]
    for key, prop in resource.properties.items():
        problems += type_problems(schema, prop.type, official["properties"][key], key)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("resource", DESCRIBED, ids=lambda resource: resource.__name__)
def test_the_same_changes_replace_a_resource(schema: Schema, resource: Any) -> None:
    official = schema["resources"][resource.pulumi_type]["inputProperties"]
    theirs = {key for key, prop in official.items() if prop.get("willReplaceOnChanges") or prop.get("replaceOnChanges")}
    assert {key for key, prop in resource.properties.items() if prop.replace} == theirs


@pytest.mark.parametrize("resource", DESCRIBED, ids=lambda resource: resource.__name__)
def test_the_same_outputs_are_secret(schema: Schema, resource: Any) -> None:
    official = schema["resources"][resource.pulumi_type]["properties"]
    assert {key for key, prop in resource.properties.items() if prop.secret} == {
        key for key, prop in official.items() if prop.get("secret")
    }


@pytest.mark.parametrize("resource", DESCRIBED, ids=lambda resource: resource.__name__)
def test_the_same_inputs_are_required(schema: Schema, resource: Any) -> None:
    official = set(schema["resources"][resource.pulumi_type].get("requiredInputs", []))
    assert {key for key, prop in resource.properties.items() if prop.source is Source.REQUIRED} == official


@pytest.mark.parametrize(
    "function", [each for each in FUNCTIONS if each is not GetDomains], ids=lambda function: function.__name__
)
def test_a_function_takes_and_gives_the_official_properties(schema: Schema, function: Any) -> None:
    official = schema["functions"][function.pulumi_name]
    theirs = official.get("inputs", {}).get("properties", {})
    problems = [f"argument {key}" for key in theirs.keys() ^ function.inputs.keys()]
    problems += [f"result {key}" for key in official["outputs"]["properties"].keys() ^ function.outputs.keys()]
    assert not problems, problems
    for key, prop in function.inputs.items():
        problems += type_problems(schema, prop.type, theirs[key], key)
    for key, prop in function.outputs.items():
        problems += type_problems(schema, prop.type, official["outputs"]["properties"][key], key)
    assert not problems, "\n".join(problems)


def test_the_configuration_is_the_official_one(schema: Schema) -> None:
    official = schema["provider"]["inputProperties"]
    problems = [f"{key}: not the same" for key in official.keys() ^ DigitalOcean.config.keys()]
    for key, prop in DigitalOcean.config.items():
        problems += type_problems(schema, prop.type, official[key], key)
    assert not problems, "\n".join(problems)


def test_get_domains_takes_and_gives_what_the_sdk_knows() -> None:
    parameters = set(inspect.signature(digitalocean.get_domains).parameters) - {"opts"}
    assert parameters == set(GetDomains.inputs)
    assert {"id", "domains", *parameters} == set(GetDomains.outputs)
    listed = GetDomains.outputs["domains"].type
    assert isinstance(listed, ListOf)
    assert isinstance(listed.item, Record)
    record = inspect.signature(digitalocean.outputs.GetDomainsDomainResult.__init__).parameters
    assert set(listed.item.properties) == set(record) - {"__self__"}
