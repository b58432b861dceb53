"""The DigitalOcean project that shows a cluster's parts together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_digitalocean as digitalocean

from k3s_cluster.cloud.deletion import ProjectDeletion


@dataclass(frozen=True)
class ProjectArgs:
    """`existing` is the name of a project that is there already; without it, one is made."""

    existing: str | None
    name_prefix: str
    environment: str
    resource_urns: Sequence[pulumi.Input[str]]


class Project(pulumi.ComponentResource):
    """A project and its resources: the droplets, the load balancer and the database."""

    def __init__(self, name: str, args: ProjectArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("k3s:cloud:Project", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        project_id: pulumi.Output[str]
        if args.existing:
            invoke = pulumi.InvokeOutputOptions(parent=self)
            project_id = digitalocean.get_project_output(name=args.existing, opts=invoke).id
        else:
            project = digitalocean.Project(
                f"{name}-project",
                name=f"{args.name_prefix}-cluster",
                description="A K3s cluster, kept by Pulumi",
                purpose="Service or API",
                environment=args.environment,
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
            project_id = ProjectDeletion(f"{name}-project-deletion", project.id, child).target
        digitalocean.ProjectResources(
            f"{name}-project-resources",
            project=project_id,
            resources=list(args.resource_urns),
            # Its end would move the resources to the default project, where they are about to go themselves.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        self.register_outputs({"id": project_id})
