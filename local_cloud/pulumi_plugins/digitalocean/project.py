"""digitalocean.Project and ProjectResources: https://docs.digitalocean.com/reference/api/reference/projects/"""

# ruff: noqa: ARG002 - every resource has the same methods.
from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, ClassVar

from local_cloud.pulumi_plugins.digitalocean.base import CloudResource, without_empty
from local_cloud.pulumi_plugins.digitalocean.client import ApiError, Client
from local_cloud.pulumi_plugins.provider.properties import (
    Flag,
    ListOf,
    Properties,
    Property,
    Source,
    Text,
    Whole,
    computed,
    filled,
    not_empty,
    optional,
    required,
)
from local_cloud.pulumi_plugins.provider.resource import Call, ProviderError, State

#: Moving resources out of a project goes on after the answer.
DELETE_SECONDS = 180


def name_rule(value: str) -> str | None:
    return None if 1 <= len(value) <= 175 else "must have 1 to 175 characters"


def text_rule(value: str) -> str | None:
    return None if len(value) <= 255 else "must have at most 255 characters"


class Project(CloudResource):
    pulumi_type = "digitalocean:index/project:Project"
    properties: ClassVar[Properties] = {
        "name": Property(Text(), Source.OPTIONAL, autoname=True, rule=name_rule),
        "description": optional(Text(), default="", rule=text_rule),
        "environment": optional(Text(choices=("Development", "Staging", "Production"), fold=True)),
        "isDefault": optional(Flag(), default=False),
        "purpose": optional(Text(), default="Web Application", rule=text_rule),
        "resources": filled(ListOf(Text(), ordered=False)),
        "createdAt": computed(Text()),
        "ownerId": computed(Whole()),
        "ownerUuid": computed(Text()),
        "updatedAt": computed(Text()),
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        body = {key: inputs.get(key) for key in ("name", "description", "purpose", "environment")}
        return self.client.post("/v2/projects", without_empty(body))["project"]["id"], {}

    def settle(self, call: Call, id_: str, inputs: State) -> None:
        if inputs.get("resources"):
            missing = set(inputs["resources"]) - set(resource_urns(self.client, id_))
            assign(self.client, id_, sorted(missing))
        if inputs.get("isDefault"):
            self.client.patch(f"/v2/projects/{id_}", {"is_default": True})

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        answer = self.client.find(f"/v2/projects/{id_}")
        if answer is None:
            return None
        return {**project_outputs(answer["project"]), "resources": resource_urns(self.client, id_)}

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if set(changed) - {"resources"}:
            self.client.put(
                f"/v2/projects/{id_}",
                {
                    "name": new["name"],
                    "description": new.get("description", ""),
                    "purpose": new.get("purpose", "Web Application"),
                    "environment": capital(new.get("environment") or old.get("environment") or "Development"),
                    "is_default": new.get("isDefault", False),
                },
            )
        if "resources" in changed:
            move(self.client, id_, old.get("resources") or [], new.get("resources") or [])

    def delete(self, call: Call, id_: str, state: State) -> None:
        """As resourceDigitalOceanProjectDelete, digitalocean/project/resource_project.go: what the state has, moves."""
        release(self.client, state.get("resources") or [])

        def gone() -> bool | None:
            try:
                self.client.delete_if_there(f"/v2/projects/{id_}")
            except ApiError as error:
                if error.status == 412 and "resources" in str(error):
                    return None
                raise
            return True

        call.wait_until(f"project {state.get('name', id_)} to be empty", gone, DELETE_SECONDS)


class ProjectResources(CloudResource):
    """The membership of some resources in a project. Its id is the project's."""

    pulumi_type = "digitalocean:index/projectResources:ProjectResources"
    properties: ClassVar[Properties] = {
        "project": required(Text(), replace=True, rule=not_empty),
        "resources": required(ListOf(Text(), ordered=False)),
    }

    def create(self, call: Call, inputs: State) -> tuple[str, State]:
        self.client.get(f"/v2/projects/{inputs['project']}")
        assign(self.client, inputs["project"], inputs["resources"])
        return inputs["project"], {}

    def read(self, call: Call, id_: str, prior: State) -> State | None:
        if self.client.find(f"/v2/projects/{id_}") is None:
            return None
        there = set(resource_urns(self.client, id_))
        wanted = prior.get("resources", sorted(there))
        return {"project": id_, "resources": [urn for urn in wanted if urn in there]}

    def update(self, call: Call, id_: str, old: State, new: State, changed: Collection[str]) -> None:
        if self.client.find(f"/v2/projects/{id_}") is None:
            raise ProviderError(f"project {id_} is gone")
        if "resources" in changed:
            move(self.client, id_, old.get("resources") or [], new["resources"])

    def delete(self, call: Call, id_: str, state: State) -> None:
        if self.client.find(f"/v2/projects/{id_}") is not None:
            release(self.client, state.get("resources") or [])


def project_outputs(project: State) -> State:
    """The properties of a project as the API describes it, without its resources."""
    return {
        "name": project["name"],
        "description": project.get("description", ""),
        "purpose": project.get("purpose", "").removeprefix("Other: "),
        "environment": project.get("environment", ""),
        "isDefault": project.get("is_default", False),
        "createdAt": project["created_at"],
        "updatedAt": project["updated_at"],
        "ownerId": project["owner_id"],
        "ownerUuid": project["owner_uuid"],
    }


def capital(environment: str) -> str:
    """The API's spelling."""
    return environment[:1].upper() + environment[1:].lower()


def resource_urns(client: Client, project: str) -> list[str]:
    """The URNs of all that is in a project."""
    return [resource["urn"] for resource in client.all(f"/v2/projects/{project}/resources", "resources")]


def assign(client: Client, project: str, urns: Iterable[Any]) -> None:
    """Move resources into a project (`default` is one too); none is no request."""
    if wanted := [urn for urn in urns if urn]:
        client.post(f"/v2/projects/{project}/resources", {"resources": wanted})


def move(client: Client, project: str, old: Iterable[str], new: Iterable[str]) -> None:
    """Bring a project's resources from `old` to `new`; what it loses goes to the default project."""
    before, after = set(old), set(new)
    release(client, before - after)
    assign(client, project, sorted(after - before))


def release(client: Client, urns: Iterable[str]) -> None:
    """Move `urns` to the default project; one that is gone by now makes the API refuse all of them.

    As assignResourcesToDefaultProject in digitalocean/project/resource_project.go of the official provider: it asks for
    the default project first, and looks at nothing else.
    """
    if wanted := sorted(set(urns)):
        default = client.get("/v2/projects/default")["project"]["id"]
        assign(client, default, wanted)
