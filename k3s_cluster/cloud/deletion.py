"""VPCs and projects are deleted here, over the API: Pulumi's DigitalOcean plugin cannot always do it.

Its resources are made and changed by it, and only forgotten at their end (`retain_on_delete`). Sources, of
github.com/digitalocean/terraform-provider-digitalocean at v2.99.1, which the plugin is made of:

- digitalocean/project/resource_project.go, resourceDigitalOceanProjectDelete: it first moves all that its *state* says
  is in the project to the default project. What was deleted since the state was last read is answered with 404, and
  the destroy fails, again and again, until somebody refreshes. resource_project_resources.go does the same. And three
  minutes are too short for a project that empties slowly (issue 1608 there: from 6 s to over 3 min).
- digitalocean/vpc/resource_vpc.go, resourceDigitalOceanVPCDelete: it repeats a deletion that is answered with 403 for
  two minutes, and fails. A region's default VPC answers so for ever, and the first VPC of a region is its default
  (github.com/digitalocean/godo/issues/337).
"""

from __future__ import annotations

import time
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource

from k3s_cluster.account.client import Answer
from k3s_cluster.account.provider import PATIENCE_SECONDS, AccountProvider
from k3s_cluster.over_ssh.progress import own_urn, progress_of, tell

RETRY_SECONDS = 2.0
GONE = (204, 404)
#: "Can not delete VPC with members" (409, once 403), "cannot delete a project with resources" (412).
IN_USE = (403, 409, 412)


class DeletionError(Exception):
    """Something stays in the account: the message says what, and why."""


class _Deletion(AccountProvider):
    """Does nothing until its end, which is the end of the thing at `path`."""

    failure = DeletionError
    command = "pulumi destroy"
    #: What is said while something is in the way.
    waiting: str

    def create(self, props: dict[str, Any]) -> CreateResult:
        path = self.path(props["target"])
        if self._ask("GET", path).status == 404:
            # A destroy that failed half way has deleted it and could not yet forget it.
            raise DeletionError(f"{path} is in the stack's state and no longer in the account: `pulumi up --refresh`")
        return CreateResult(props["target"], props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        replaces = ["target"] if olds["target"] != news["target"] else []
        return DiffResult(changes=bool(replaces), replaces=replaces)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Gone, as the thing itself is: then a refresh takes both out of the state."""
        if self._ask("GET", self.path(id_)).status == 404:
            return ReadResult("", {})
        return ReadResult(id_, props)

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        progress, deadline = progress_of(props["urn"]), time.monotonic() + PATIENCE_SECONDS
        while (answer := self._ask("DELETE", self.path(id_), accepted=IN_USE)).status not in GONE:
            in_the_way = self.make_way(id_, answer, props)
            if in_the_way is None:
                return
            if time.monotonic() >= deadline:
                raise DeletionError(f"{in_the_way}{answer.reason}")
            progress(self.waiting)
            time.sleep(RETRY_SECONDS)

    def path(self, target: str) -> str:
        raise NotImplementedError

    def make_way(self, id_: str, answer: Answer, props: dict[str, Any]) -> str | None:
        """After a deletion that was not taken: what is still in the way, or None where it is to stay.

        DeletionError where waiting does not help.
        """
        raise NotImplementedError

    def _not_allowed(self, id_: str, answer: Answer) -> DeletionError:
        asked = f"DELETE {self.path(id_)}"
        return DeletionError(str(self._client(asked).refused(asked, answer)))

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, object] | None = None,
        accepted: tuple[int, ...] = (),
        what: str = "",
    ) -> Answer:
        asked = f"{method} {path}"
        return self._insist(method, path, body, accepted=(404, *accepted), what=what, asked=asked)


class VpcDeletionProvider(_Deletion):
    waiting = "waiting for the VPC's members to leave it"

    def path(self, target: str) -> str:
        return f"/v2/vpcs/{target}"

    def make_way(self, id_: str, answer: Answer, props: dict[str, Any]) -> str | None:
        vpc = self._ask("GET", self.path(id_)).body.get("vpc") or {}
        if vpc.get("default"):
            tell(props["urn"], stays(vpc))
            return None
        members = self._ask("GET", f"{self.path(id_)}/members").body.get("members") or ()
        if answer.status == 403 and not members:
            raise self._not_allowed(id_, answer)
        named = ", ".join(f"{each.get('name')} ({each.get('urn')})" for each in members)
        return f"the VPC {id_} still has members: {named or 'none that the API names'}"


class ProjectDeletionProvider(_Deletion):
    waiting = "waiting for the project to be empty"

    def path(self, target: str) -> str:
        return f"/v2/projects/{target}"

    def make_way(self, id_: str, answer: Answer, _props: dict[str, Any]) -> str:
        if answer.status == 403:
            raise self._not_allowed(id_, answer)
        for held in self._ask("GET", f"{self.path(id_)}/resources").body.get("resources") or ():
            # One by one: 404 where it has gone meanwhile, and that must not keep the others here.
            self._ask("POST", "/v2/projects/default/resources", {"resources": [held["urn"]]}, what=held["urn"])
        return f"the project {id_} is not empty after {PATIENCE_SECONDS} s"


def stays(vpc: dict[str, Any]) -> str:
    """What is to be known of a default VPC, as the API describes it."""
    return (
        f"the VPC {vpc['name']} stays: it has become the default one of {vpc['region']}, and DigitalOcean does not "
        "delete that. It costs nothing. For the next cluster in it: "
        f"`pulumi config set vpcId {vpc['id']}`"
    )


class _OfTarget(Resource):
    """`target` is the id of what is deleted: whatever takes the id from here goes first."""

    target: pulumi.Output[str]


class VpcDeletion(_OfTarget, module="cloud", name="VpcDeletion"):
    """The end of a VPC, unless it has become the region's default one: then it says that it stays."""

    def __init__(self, name: str, vpc_id: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        props = {"urn": own_urn(name, "VpcDeletion", opts.parent, module="cloud"), "target": vpc_id}
        super().__init__(VpcDeletionProvider(), name, props, opts)


class ProjectDeletion(_OfTarget, module="cloud", name="ProjectDeletion"):
    """The end of a project. What somebody else has put into it moves to the account's default project."""

    def __init__(self, name: str, project_id: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        props = {"urn": own_urn(name, "ProjectDeletion", opts.parent, module="cloud"), "target": project_id}
        super().__init__(ProjectDeletionProvider(), name, props, opts)
