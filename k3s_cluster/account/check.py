"""Before anything is made: asks the account whether the plan can work, and says what it will cost."""

from __future__ import annotations

import pulumi

from k3s_cluster.account import cost, limits, preflight
from k3s_cluster.account.client import Client, Credentials, NoAnswer, TokenRefused
from k3s_cluster.account.facts import Account, ask
from k3s_cluster.settings import ClusterSettings


class PreflightError(pulumi.RunError):
    """All that stands against the plan, a line each; Pulumi shows it without a traceback."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("This plan cannot work in the account:\n" + "\n".join(f"  - {p}" for p in problems))


def check_account(settings: ClusterSettings, credentials: Credentials | None) -> bool:
    """Say what to know of this plan, and what it costs. True if the account is known to have no droplet of the stack.

    Raises PreflightError; changes nothing anywhere. Without credentials, and where the API does not answer, it says
    that it was skipped: the provider will say more.
    """
    for warning in limits.warnings(settings):
        pulumi.log.warn(warning)
    if credentials is None:
        pulumi.log.info("Preflight: skipped, because there is no DigitalOcean token to ask the account with.")
        return False
    try:
        account = ask(Client(credentials), settings)
    except NoAnswer as reason:
        pulumi.log.info(f"Preflight: skipped, because {credentials.endpoint} does not answer ({reason}).")
        return False
    except TokenRefused:
        raise PreflightError(
            [
                f"token: {credentials.endpoint} does not know the token in {credentials.source} (401); it may be "
                "mistyped, expired or deleted: make a new one under API > Tokens."
            ]
        ) from None
    for note in account.notes:
        pulumi.log.info(f"Preflight: one thing was not looked at ({note}).")
    for line in preflight.advice(settings, account):
        pulumi.log.warn(line)
    problems = [*preflight.problems(settings, account), *_over_budget(settings, account)]
    if problems:
        raise PreflightError(problems)
    return preflight.is_new(settings, account)


def _over_budget(settings: ClusterSettings, account: Account) -> list[str]:
    if account.sizes is None:
        return []
    plan, now = cost.planned(settings, account), cost.deployed(settings, account)
    pulumi.log.info(cost.statement(plan, now))
    beyond = cost.beyond_limit(settings.cost_limit, plan, now)
    return [beyond] if beyond else []
