"""What dynamic resources that ask DigitalOcean's API themselves have in common: the token, from Pulumi's config."""

from __future__ import annotations

import os

from pulumi.dynamic import ConfigureRequest, ResourceProvider

from k3s_cluster.account.client import Credentials
from k3s_cluster.stack_config import credentials

#: A run of Pulumi waits for the cloud anyway; a plan does not.
ANSWER_SECONDS = 60.0
#: While a run of Pulumi asks again: the API may be out of order, and members leave a VPC or a project some time after
#: their own deletion was answered.
PATIENCE_SECONDS = 600


class AccountProvider(ResourceProvider):
    """Knows what the account is asked with; `_credentials` is None without a token."""

    serialize_as_secret_always = False
    _credentials: Credentials | None = None

    def configure(self, req: ConfigureRequest) -> None:
        keys = ("digitalocean:apiEndpoint", "digitalocean:token")
        config = {key: value for key in keys if (value := req.config.get(key))}
        self._credentials = credentials(config, os.environ)
