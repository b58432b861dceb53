"""What dynamic resources that ask DigitalOcean's API themselves have in common: the token, from Pulumi's config."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from pulumi.dynamic import ConfigureRequest

from k3s_cluster.account.client import Answer, Client, Credentials, NoAnswer, Refused
from k3s_cluster.dynamic_provider import DynamicProvider
from k3s_cluster.stack_config import credentials

#: A run of Pulumi waits for the cloud anyway; a plan does not.
ANSWER_SECONDS = 60.0
#: While a run of Pulumi asks again: the API may be out of order, and members leave a VPC or a project some time after
#: their own deletion was answered.
PATIENCE_SECONDS = 600


class AccountProvider(DynamicProvider):
    """Knows what the account is asked with; `_credentials` is None without a token.

    `failure` is raised where there is no token or no success, and says that `command` can be run again.
    """

    failure: type[Exception] = RuntimeError
    command = "pulumi up"
    _credentials: Credentials | None = None

    def configure(self, req: ConfigureRequest) -> None:
        super().configure(req)
        keys = ("digitalocean:apiEndpoint", "digitalocean:token")
        config = {key: value for key in keys if (value := req.config.get(key))}
        self._credentials = credentials(config, os.environ)

    def _client(self, asked: str = "") -> Client:
        """What asks the account. `asked` stands before the message where there is no token."""
        if self._credentials is None:
            raise self.failure(f"{asked}: {_NO_TOKEN}" if asked else _NO_TOKEN)
        return Client(self._credentials, ANSWER_SECONDS)

    def _insist(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        accepted: Collection[int] = (),
        what: str = "",
        asked: str = "",
    ) -> Answer:
        """A success, or an answer whose status is one of `accepted`: as `Client.insist`, which says what `what` is."""
        client = self._client(asked)
        try:
            return client.insist(method, path, body, seconds=PATIENCE_SECONDS, accepted=accepted, what=what)
        except NoAnswer as silence:
            raise self.failure(f"{silence}; `{self.command}` can be run again") from None
        except Refused as refused:
            raise self.failure(str(refused)) from None


_NO_TOKEN = "there is no DigitalOcean token; set DIGITALOCEAN_TOKEN"  # noqa: S105 - a message
