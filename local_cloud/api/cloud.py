"""What every call can reach: the records, the work behind them, and the cloud's settings."""

from __future__ import annotations

import time
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from flask import current_app, g

from local_cloud import addresses
from local_cloud.api.addressing import NoAddressLeft, free_address
from local_cloud.api.answers import ApiError, unprocessable
from local_cloud.api.durations import Durations
from local_cloud.api.faults import Faults
from local_cloud.api.rate_limit import RateLimit
from local_cloud.api.records import Database, DepartingKind, Departure, Droplet, LoadBalancer, Vpc
from local_cloud.api.store import Store
from local_cloud.api.traffic import Traffic
from local_cloud.api.work import Outcome, Work

EXTENSION = "local_cloud"


@dataclass
class Cloud:
    store: Store
    work: Work
    durations: Durations
    faults: Faults
    rate_limit: RateLimit
    traffic: Traffic


@dataclass(frozen=True)
class Unfinished:
    """Work that a call waits for."""

    outcome: Outcome
    seconds: float
    must_succeed: bool = False


def the_cloud() -> Cloud:
    """The cloud that the current request is for."""
    cloud = current_app.extensions[EXTENSION]
    assert isinstance(cloud, Cloud)
    return cloud


def finish_before_answering(outcome: Outcome, seconds: float = 20.0) -> None:
    """Let the caller wait for this work, at most `seconds`, after the store is free again; a failure is only logged.

    DigitalOcean answers first and works later; waiting a moment saves callers from races that prove nothing.
    """
    g.unfinished.append(Unfinished(outcome, seconds))


def succeed_before_answering(outcome: Outcome, seconds: float = 120.0) -> None:
    """Like `finish_before_answering`, but a failure is answered with 500 and its message."""
    g.unfinished.append(Unfinished(outcome, seconds, must_succeed=True))


def wait_for_unfinished() -> None:
    """What the two functions above asked for. Raises ApiError 500 for work that had to succeed and did not."""
    for each in g.unfinished:
        try:
            problem = each.outcome.result(timeout=each.seconds)
        except StillRunning:
            problem = f"still under way after {each.seconds:.0f} s"
        if problem and each.must_succeed:
            raise ApiError(500, "server_error", problem)


def new_public_address(store: Store) -> str:
    taken = {IPv4Address(each.public_ip) for each in _with_addresses(store)} | {addresses.PUBLIC_GATEWAY}
    return _free(store, "public", addresses.PUBLIC, taken)


def new_reserved_address(store: Store) -> str:
    return _free(store, "reserved", addresses.RESERVED, {IPv4Address(each.id) for each in store.reserved_ips})


def new_private_address(store: Store, vpc: Vpc) -> str:
    taken = {IPv4Address(each.private_ip) for each in _with_addresses(store) if each.vpc_uuid == vpc.id}
    return _free(store, vpc.id, IPv4Network(vpc.ip_range), taken)


def depart(store: Store, kind: DepartingKind, record: Droplet | Database | LoadBalancer) -> Departure:
    """Note that what `record` describes is to be taken down; its addresses stay taken until then."""
    departure = Departure(
        id=f"{kind}:{record.id}",
        kind=kind,
        resource_id=str(record.id),
        vpc_uuid=record.vpc_uuid,
        public_ip=record.public_ip,
        private_ip=record.private_ip,
    )
    store.departures.save(departure)
    return departure


def _with_addresses(store: Store) -> list[Droplet | Database | LoadBalancer | Departure]:
    return [*store.droplets, *store.databases, *store.load_balancers, *store.departures]


def _free(store: Store, name: str, network: IPv4Network, taken: set[IPv4Address]) -> str:
    released = {IPv4Address(each.address): each.released_at for each in store.released if each.network == name}
    try:
        address = free_address(network, taken, released, time.time())
    except NoAddressLeft as error:
        raise unprocessable(str(error)) from None
    store.released.delete(f"{name}/{address}")
    return str(address)
