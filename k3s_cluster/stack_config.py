"""The config of the stack that Pulumi is working on, and whether there is a token to work with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pulumi
from pulumi.runtime import get_config_env, is_config_secret
from pulumi.runtime.config import CONFIG

from k3s_cluster.account.client import Credentials
from k3s_cluster.settings import ClusterSettings, parse_settings

#: Where the DigitalOcean provider looks for a token and for the API (pulumi.com/registry/packages/digitalocean).
TOKEN_VARIABLES = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")
ENDPOINT_VARIABLE = "DIGITALOCEAN_API_URL"
ENDPOINT = "https://api.digitalocean.com"


def stack_settings() -> ClusterSettings:
    """The settings of the current stack; those without effect are warned of.

    Raises SettingsError, which Pulumi shows without a traceback.
    """
    own = _own(_config(), pulumi.get_project())
    secrets = {key for key in own if is_config_secret(f"{pulumi.get_project()}:{key}")}
    settings = parse_settings(own, stack=pulumi.get_stack(), folder=Path.cwd(), secrets=secrets)
    # Said here, and not by the cluster: what the account refuses comes between.
    for note in settings.notes:
        pulumi.log.warn(note)
    return replace(settings, notes=())


def stack_credentials() -> Credentials | None:
    """What the provider will ask the API with. None without a token; RunError, too, where something is to be made."""
    found = credentials(_config(), os.environ)
    if found is None and not pulumi.runtime.is_dry_run():
        raise pulumi.RunError(
            "There is no DigitalOcean token. With an account: make one under API > Tokens, and "
            "`export DIGITALOCEAN_TOKEN=...`. Without: `make demo` brings up a cloud on this machine, and "
            "`bin/local pulumi up` uses it."
        )
    return found


def credentials(config: Mapping[str, str], environment: Mapping[str, str]) -> Credentials | None:
    """The token and the API's address in a stack's config, or else in the environment; None without a token.

    RunError for a token that cannot be sent: Pulumi's plugin takes it from the same place, and as it is.
    """
    endpoint = config.get("digitalocean:apiEndpoint") or environment.get(ENDPOINT_VARIABLE) or ENDPOINT
    if token := config.get("digitalocean:token"):
        _require_one_word(token, "digitalocean:token", "`pulumi config set --secret digitalocean:token`")
        return Credentials(endpoint, token, "the config's digitalocean:token")
    for variable in TOKEN_VARIABLES:
        if token := environment.get(variable):
            _require_one_word(token, variable, f"`export {variable}=...`")
            return Credentials(endpoint, token, variable)
    return None


def _require_one_word(token: str, place: str, how: str) -> None:
    # RFC 9110, 5.5: a header's value has visible characters.
    if not all("!" <= character <= "~" for character in token):
        raise pulumi.RunError(
            f"{place}: holds a space, a line break or another character that no token has; set it anew: {how}."
        )


def _config() -> dict[str, str]:
    return {**get_config_env(), **CONFIG.get()}


def _own(config: Mapping[str, str], project: str) -> dict[str, str]:
    prefix = f"{project}:"
    return {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
