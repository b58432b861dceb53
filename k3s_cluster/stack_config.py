"""The config of the stack that Pulumi is working on, and whether there is a token to work with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pulumi
from pulumi.runtime import get_config_env, is_config_secret
from pulumi.runtime.config import CONFIG

from k3s_cluster import kubeconfig_file
from k3s_cluster.kubeconfig import KubeconfigError, owner_of
from k3s_cluster.settings import ClusterSettings, parse_settings

#: Where the DigitalOcean provider looks for a token (pulumi.com/registry/packages/digitalocean).
TOKEN_VARIABLES = ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN")


def stack_settings() -> ClusterSettings:
    """The settings of the current stack. Raises SettingsError, which Pulumi shows without a traceback."""
    config = {**get_config_env(), **CONFIG.get()}
    own = _own(config, pulumi.get_project())
    secrets = {key for key in own if is_config_secret(f"{pulumi.get_project()}:{key}")}
    settings = parse_settings(own, stack=pulumi.get_stack(), folder=Path.cwd(), secrets=secrets)
    if settings.kubeconfig_merge:
        require_place_for_context(settings)
    if not pulumi.runtime.is_dry_run():
        require_token(config, os.environ)
    return settings


def require_token(config: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Raise RunError if nothing can be created for want of a token. A preview does without."""
    if "digitalocean:token" in config or any(environment.get(variable) for variable in TOKEN_VARIABLES):
        return
    raise pulumi.RunError(
        "There is no DigitalOcean token. With an account: make one under API > Tokens, and "
        "`export DIGITALOCEAN_TOKEN=...`. Without: `make demo` brings up a cloud on this machine, and "
        "`bin/local pulumi up` uses it."
    )


def require_place_for_context(settings: ClusterSettings) -> None:
    """Raise RunError if the person's own kubeconfig cannot take the stack's context: before anything is made."""
    file = kubeconfig_file.of_person(Path(settings.kubeconfig_path).expanduser())
    try:
        kubeconfig_file.refuse_foreign(file, settings.stack, owner_of(pulumi.get_project(), settings.stack))
    except KubeconfigError as error:
        raise pulumi.RunError(f"kubeconfigMerge: {settings.stack} cannot be merged into {file}: {error}.") from None


def _own(config: Mapping[str, str], project: str) -> dict[str, str]:
    prefix = f"{project}:"
    return {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}
