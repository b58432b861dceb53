"""SSH to a node that was there before: its droplet is switched on if it is off, and restarted once if it hangs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from k3s_cluster.account.client import Credentials
from k3s_cluster.account.droplet_power import DropletPower, DropletState, PowerError
from k3s_cluster.over_ssh.connection import Connection, HostKeyError, NodeError, connect, target_of
from k3s_cluster.over_ssh.progress import Progress, tell

#: One that is well answers at once, and one that somebody has just rebooted within a boot. All in all it is known
#: within three minutes whether a node can be reached.
ANSWERS_SECONDS = 20
REBOOT_SECONDS = 40
BOOT_SECONDS = 90


def reach(
    props: Mapping[str, Any],
    credentials: Credentials | None,
    is_ready: Callable[[], bool | None],
    progress: Progress,
) -> Connection:
    """A connection to the node of `props`. NodeError if it cannot be had: with what DigitalOcean knows, and what to do.

    `is_ready` asks the other servers whether the cluster calls the node Ready; None if none answers. A droplet that is
    on is restarted only if they answer and it is not: where nothing answers, it may be the line from here. A member of
    etcd is not: it may be what the majority lacks.
    """
    if credentials is None:
        return connect(target_of(props, props), progress)
    if isinstance(answer := _try(props, ANSWERS_SECONDS, progress), Connection):
        return answer
    power = DropletPower(credentials, str(props["droplet_id"]))
    why_not = ""
    try:
        state = power.state()
        if state is None:
            raise NodeError(f"{props['name']}: its droplet is gone; `pulumi up --refresh` makes another one")
        if state.status == "off":
            tell(props["urn"], f"{props['name']}: its droplet is off, and is switched on")
            power.act("power_on", progress)
        else:
            if isinstance(answer := _try(props, REBOOT_SECONDS, progress), Connection):
                return answer
            why_not = _MEMBER if props.get("etcd_member") else _WHY_NOT.get(is_ready(), "")
            if not why_not:
                tell(props["urn"], f"{props['name']}: its droplet is on and does not answer SSH, and is restarted")
                power.act("power_cycle", progress)
    except PowerError as error:
        raise NodeError(f"{answer} It could not be helped by DigitalOcean's API, either: {error}.") from None
    if isinstance(answer := _try(props, BOOT_SECONDS, progress), Connection):
        return answer
    raise NodeError(f"{answer} {_known(props, power, _now(power))} {why_not or _what_to_do(props)}")


def _try(props: Mapping[str, Any], seconds: float, progress: Progress) -> Connection | NodeError:
    """A connection, or why there is none after so many seconds. Raises HostKeyError."""
    try:
        return connect(target_of(props, props), progress, seconds)
    except HostKeyError:
        raise
    except NodeError as error:
        return error


#: By what the other servers say of a node whose droplet is on and that does not answer SSH.
_WHY_NOT: Mapping[bool | None, str] = {
    True: "The cluster calls the node Ready, so it was not restarted: look at who may reach its port 22.",
    None: "No other server answers, either, so it was not restarted: it may be the line from here.",
}
_MEMBER = "It is a member of etcd, whose majority may need it, so it was not restarted: do that in the control panel."


def _now(power: DropletPower) -> DropletState | None:
    try:
        return power.state()
    except PowerError:
        return None


def _known(props: Mapping[str, Any], power: DropletPower, state: DropletState | None) -> str:
    """What DigitalOcean knows of the droplet, and where to look at it."""
    if state is None:
        return f"Its console: {power.console}."
    last = f", its last action was {state.last_action}" if state.last_action else ""
    return (
        f"DigitalOcean says that droplet {props['droplet_id']} is {state.status}{last}. Its console: {power.console}."
    )


def _what_to_do(props: Mapping[str, Any]) -> str:
    """The command that replaces the droplet, and what that would lose."""
    replace = f"`doctl compute droplet delete {props['droplet_id']}`, then `pulumi up --refresh`, replaces it"
    holds_state = props.get("etcd_member") or (props["role"] == "server" and not props["peers"])
    return f"{replace}; its disk, which holds the cluster's state, would be lost." if holds_state else f"{replace}."
