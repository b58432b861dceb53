"""Projects: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Projects

Every droplet, load balancer and database belongs to one project: the default one until it is assigned to another.
"""

from __future__ import annotations

import time

from flask import Blueprint, Response, request

from local_cloud.api.answers import (
    ApiError,
    Json,
    answer,
    conflict,
    no_content,
    not_found,
    page,
    precondition_failed,
    unprocessable,
    url,
)
from local_cloud.api.body import Body
from local_cloud.api.cloud import the_cloud
from local_cloud.api.records import Database, Droplet, LoadBalancer, Project, urn
from local_cloud.api.store import Store, new_uuid, now

routes = Blueprint("projects", __name__)

ENVIRONMENTS = ("Development", "Staging", "Production")
#: Where a resource of each kind of URN is found.
PATHS = {"droplet": "droplets", "dbaas": "databases", "loadbalancer": "load_balancers"}
#: What the API answers to the URN of anything else, a VPC's as well (terraform-provider-digitalocean issue 1143).
HOLDS = (
    "resource types must be one of the following: AppPlatformApp Bucket Database Domain DomainRecord Droplet Firewall "
    "FloatingIp Image Kubernetes LoadBalancer MarketplaceApp Saas Volume"
)


def default_project(store: Store) -> Project:
    """The default project, made when first needed."""
    found = next((project for project in store.projects if project.is_default), None)
    if found is not None:
        return found
    project = Project(
        id=new_uuid(),
        name="first-project",
        description="Update your project information under Settings",
        purpose="Just trying out DigitalOcean",
        environment="Development",
        is_default=True,
        created_at=now(),
        updated_at=now(),
    )
    store.projects.save(project)
    return project


def project_for(store: Store, identifier: str) -> Project:
    """The project that something new goes to; the default one if `identifier` is empty. ApiError 422 if unknown."""
    if not identifier:
        return default_project(store)
    project = store.projects.get(identifier)
    if project is None:
        raise unprocessable(f"project {identifier} does not exist")
    return project


def project_id_of(store: Store, record: Droplet | Database | LoadBalancer) -> str:
    name = urn(record)
    return next((project.id for project in store.projects if name in project.resources), default_project(store).id)


def join(store: Store, project: Project, name: str) -> bool:
    """Move what has this URN into `project`; says whether it was elsewhere before."""
    if name in project.resources:
        return False
    leave(store, name, the_cloud().durations.project_move)
    project.resources[name] = now()
    store.projects.save(project)
    return True


def leave(store: Store, name: str, after_seconds: float = 0.0) -> None:
    """What has this URN is gone, or about to join another project. The project is empty only after that time.

    The relocation "is asynchronous on DigitalOcean's side" (terraform-provider-digitalocean issue 1608).
    """
    for project in store.projects:
        if project.resources.pop(name, None) is not None:
            project.busy_until = max(project.busy_until, time.time() + after_seconds)
            store.projects.save(project)


def show_project(project: Project) -> Json:
    return {
        "id": project.id,
        "owner_uuid": "00000000-0000-4000-8000-000000000001",
        "owner_id": 1,
        "name": project.name,
        "description": project.description,
        "purpose": project.purpose,
        "environment": project.environment,
        "is_default": project.is_default,
        "created_at": project.created_at,
        "updated_at": project.updated_at,
    }


def show_resource(name: str, assigned_at: str, status: str) -> Json:
    _, kind, identifier = name.split(":", 2)
    links = {"self": url(f"/v2/{PATHS[kind]}/{identifier}")} if kind in PATHS else {}
    return {"urn": name, "assigned_at": assigned_at, "links": links, "status": status}


@routes.get("/v2/projects")
def list_projects() -> Response:
    store = the_cloud().store
    default_project(store)
    return page("projects", store.projects, show_project)


@routes.post("/v2/projects")
def create_project() -> Response:
    store, body = the_cloud().store, Body.of_request()
    default_project(store)
    project = Project(
        id=new_uuid(),
        name=_name(store, body.required_text("name"), None),
        description=_short(body, "description", ""),
        purpose=_purpose(body),
        environment=body.choice("environment", ENVIRONMENTS, "Development"),
        is_default=False,
        created_at=now(),
        updated_at=now(),
    )
    store.projects.save(project)
    return answer({"project": show_project(project)}, 201)


@routes.get("/v2/projects/<project_id>")
def get_project(project_id: str) -> Response:
    return answer({"project": show_project(_known(project_id))})


@routes.put("/v2/projects/<project_id>")
@routes.patch("/v2/projects/<project_id>")
def update_project(project_id: str) -> Response:
    store, project, body = the_cloud().store, _known(project_id), Body.of_request()
    if request.method == "PUT":
        for field in ("name", "description", "purpose", "environment", "is_default"):
            if not body.has(field):
                raise unprocessable(f"{field} is required")
    changed_name = _name(store, body.required_text("name"), project) if body.has("name") else project.name
    description = _short(body, "description", project.description)
    purpose = _purpose(body) if body.has("purpose") else project.purpose
    environment = body.choice("environment", ENVIRONMENTS, project.environment)
    is_default = body.truth("is_default", project.is_default)
    if project.is_default and not is_default:
        raise precondition_failed("a default project stays so until another one becomes the default")
    if is_default and not project.is_default:
        former = default_project(store)
        former.is_default = False
        store.projects.save(former)
    project.name, project.description, project.purpose = changed_name, description, purpose
    project.environment, project.is_default, project.updated_at = environment, is_default, now()
    store.projects.save(project)
    return answer({"project": show_project(project)})


@routes.delete("/v2/projects/<project_id>")
def delete_project(project_id: str) -> Response:
    project = _known(project_id)
    if project.is_default:
        raise precondition_failed("cannot delete the default project")
    if project.resources or time.time() < project.busy_until:
        raise precondition_failed("cannot delete a project with resources")
    the_cloud().store.projects.delete(project.id)
    return no_content()


@routes.get("/v2/projects/<project_id>/resources")
def list_resources(project_id: str) -> Response:
    project = _known(project_id)
    return page("resources", project.resources.items(), lambda item: show_resource(item[0], item[1], "ok"))


@routes.post("/v2/projects/<project_id>/resources")
def assign_resources(project_id: str) -> Response:
    store, project = the_cloud().store, _known(project_id)
    names = Body.of_request().texts("resources")
    for name in names:
        if not _exists(store, name):
            raise not_found(f"The resource {name!r} could not be found.")
    answers = []
    for name in names:
        moved = join(store, project, name)
        answers.append(show_resource(name, project.resources[name], "assigned" if moved else "already_assigned"))
    return answer({"resources": answers})


def _exists(store: Store, name: str) -> bool:
    parts = name.split(":", 2)
    if len(parts) != 3 or parts[0] != "do" or parts[1] not in PATHS:
        raise ApiError(400, "bad_request", HOLDS)
    kind, identifier = parts[1], parts[2]
    record: Droplet | Database | LoadBalancer | None = None
    if kind == "droplet":
        record = store.droplets.get(int(identifier)) if identifier.isdigit() else None
    elif kind == "dbaas":
        record = store.databases.get(identifier)
    else:
        record = store.load_balancers.get(identifier)
    return record is not None


def _known(project_id: str) -> Project:
    store = the_cloud().store
    project = default_project(store) if project_id == "default" else store.projects.get(project_id)
    if project is None:
        raise not_found()
    return project


def _name(store: Store, name: str, but: Project | None) -> str:
    if len(name) > 175:
        raise unprocessable("name is too long (maximum is 175 characters)")
    if any(project.name == name and project is not but for project in store.projects):
        raise conflict("name is already in use by another project")
    return name


def _short(body: Body, field: str, default: str) -> str:
    text = body.text(field, default)
    if len(text) > 255:
        raise body.refuse(field, "is too long (maximum is 255 characters)")
    return text


#: The purposes that the API knows; any other is kept as "Other: ..." (API reference, `purpose`).
PURPOSES = (
    "Just trying out DigitalOcean",
    "Class project / Educational purposes",
    "Website or blog",
    "Web Application",
    "Service or API",
    "Mobile Application",
    "Machine learning / AI / Data processing",
    "IoT",
    "Operational / Developer tooling",
)


def _purpose(body: Body) -> str:
    purpose = _short(body, "purpose", "")
    if not purpose:
        raise unprocessable("purpose can't be blank")
    return purpose if purpose in PURPOSES or purpose.startswith("Other: ") else f"Other: {purpose}"
