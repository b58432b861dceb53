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


class Project(pulumi.ComponentResource):
    """A project: one that is made, or one of the account.

    Outputs: `id`.
    """

    id: pulumi.Output[str]

    def __init__(self, name: str, args: ProjectArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("k3s:cloud:Project", name, None, opts)
        self._name = name
        child = pulumi.ResourceOptions(parent=self)
        if args.existing:
            invoke = pulumi.InvokeOutputOptions(parent=self)
            self.id = digitalocean.get_project_output(name=args.existing, opts=invoke).id
        else:
            project = digitalocean.Project(
                f"{name}-project",
                name=f"{args.name_prefix}-cluster",
                description="A K3s cluster, kept by Pulumi",
                purpose="Service or API",
                environment=args.environment,
                opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
            )
            self.id = ProjectDeletion(f"{name}-project-deletion", project.id, child).target
        self.register_outputs({"id": self.id})

    def hold(self, urns: Sequence[pulumi.Input[str]]) -> None:
        """Move what has these URNs into the project: the droplets, the load balancer and the database."""
        digitalocean.ProjectResources(
            f"{self._name}-project-resources",
            project=self.id,
            resources=list(urns),
            # Its end would move the resources to the default project, where they are about to go themselves.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
