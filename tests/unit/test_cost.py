"""What a stack costs a month: equal to tables made by hand from DigitalOcean's price lists."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from k3s_cluster.account import limits
from k3s_cluster.account.cost import beyond_limit, deployed, planned, statement
from k3s_cluster.account.facts import Account, Database, LoadBalancer
from k3s_cluster.settings import ClusterSettings, parse_settings
from tests.unit.accounts import ACCOUNT, with_cluster
from tests.unit.stack_files import CHECKOUT, config, stack_config

#: By hand, USD a month: digitalocean.com/pricing/droplets, .../load-balancers and .../managed-databases (2026-09-30).
#: 2 x s-2vcpu-4gb at 24, s-1vcpu-2gb at 12, a load balancer's node at 12, db-s-1vcpu-2gb at 30.45.
HIGHLY_AVAILABLE = Decimal("102.45")
#: 1 x s-2vcpu-4gb at 24.
SINGLE_NODE = Decimal("24.00")


def settings(**changes: object) -> ClusterSettings:
    return parse_settings(config(**changes), stack="dev", folder=CHECKOUT)


def running(account: Account = ACCOUNT) -> Account:
    """The account with the whole reference stack in it."""
    return replace(
        with_cluster(account),
        load_balancers=(LoadBalancer("other", 6), LoadBalancer("k3s-api-loadbalancer", 1)),
        databases=(Database("k3s-ext-datastore", "pg", "17", "db-s-1vcpu-2gb", 1),),
    )


@pytest.mark.parametrize(("stack", "total"), [("fra1", HIGHLY_AVAILABLE), ("single", SINGLE_NODE)])
def test_the_stacks_of_the_repository_cost_what_the_price_lists_say(stack: str, total: Decimal) -> None:
    plan = planned(parse_settings(stack_config(stack), stack=stack, folder=CHECKOUT), ACCOUNT)
    assert (plan.total, plan.unknown) == (total, ())


def test_the_statement_names_every_part_and_the_difference() -> None:
    plan = settings()
    assert statement(planned(plan, ACCOUNT), deployed(plan, ACCOUNT)) == (
        "Cost: $102.45 a month (2 servers s-2vcpu-4gb $48.00, 1 agent s-1vcpu-2gb $12.00, load balancer of 1 node "
        "$12.00, database db-s-1vcpu-2gb of 1 node $30.45). Deployed now: $0.00; difference: +$102.45. Droplets at the "
        "account's own prices, the rest as listed on 2026-09-30; without traffic and taxes."
    )


CHANGES: dict[str, tuple[dict[str, object], str]] = {
    "nothing": ({}, "Deployed now: $102.45; difference: +$0.00."),
    "two agents more": ({"agentCount": 3}, "Deployed now: $102.45; difference: +$24.00."),
    "no agent": ({"agentCount": 0}, "Deployed now: $102.45; difference: -$12.00."),
    "a pool": (
        {"agentCount": 1, "agentPools": [{"name": "big", "count": 2, "size": "s-4vcpu-8gb"}]},
        "Deployed now: $102.45; difference: +$96.00.",
    ),
    "a larger load balancer": ({"loadBalancerSize": "lb-medium"}, "Deployed now: $102.45; difference: +$24.00."),
    "a standby": (
        {"datastoreSize": "db-s-2vcpu-4gb", "datastoreNodes": 2},
        "Deployed now: $102.45; difference: +$91.35.",
    ),
}


@pytest.mark.parametrize(("changes", "difference"), CHANGES.values(), ids=CHANGES.keys())
def test_the_difference_to_what_is_deployed(changes: dict[str, object], difference: str) -> None:
    plan = settings(**changes)
    assert difference in statement(planned(plan, running()), deployed(plan, running()))


def test_etcd_costs_its_servers_and_no_database() -> None:
    plan = planned(settings(datastoreEngine="etcd", serverCount=3), ACCOUNT)
    assert plan.total == Decimal("96.00")


def test_a_price_that_is_not_known_is_said_and_not_guessed() -> None:
    said = statement(planned(settings(datastoreSize="db-s-8vcpu-32gb"), ACCOUNT), None)
    assert said.startswith("Cost: at least $72.00 a month (")
    assert "database db-s-8vcpu-32gb of 1 node at an unknown price" in said
    assert "Deployed now" not in said


def test_what_the_account_does_not_tell_is_not_counted_as_nothing() -> None:
    assert deployed(settings(), replace(ACCOUNT, droplets=None)) is None
    assert deployed(settings(), replace(ACCOUNT, databases=None)) is None
    assert deployed(settings(topology="single-node"), replace(ACCOUNT, databases=None)) is not None


def test_a_limit_is_kept() -> None:
    plan = settings(costLimit="102.45")
    cost = planned(plan, ACCOUNT)
    assert beyond_limit(plan.cost_limit, cost, deployed(plan, ACCOUNT)) is None
    assert beyond_limit(None, cost, None) is None
    assert beyond_limit(Decimal(102), cost, deployed(plan, ACCOUNT)) == (
        "costLimit: `102` is exceeded: this stack would cost $102.45 a month; raise costLimit, or choose fewer or "
        "smaller nodes."
    )


def test_a_limit_does_not_stand_against_a_stack_becoming_cheaper() -> None:
    fewer = settings(agentCount=0)
    assert beyond_limit(Decimal(50), planned(fewer, running()), deployed(fewer, running())) is None


def test_a_limit_is_not_kept_by_not_knowing() -> None:
    plan = settings(datastoreSize="db-s-8vcpu-32gb")
    assert beyond_limit(Decimal(500), planned(plan, ACCOUNT), deployed(plan, ACCOUNT)) == (
        "costLimit: `500` cannot be kept for certain: what database db-s-8vcpu-32gb of 1 node costs is not known; set "
        "costLimit to `none`, or choose another size."
    )


OWN = {"adminCidrs": ["198.51.100.7/32"]}


def test_a_database_too_small_for_its_servers_is_said_with_figures() -> None:
    assert limits.warnings(settings(**OWN, serverCount=3)) == [
        "datastoreSize: `db-s-1vcpu-2gb` takes 47 connections, and 3 servers may have 51 while one starts or is "
        "asked much at once; what gets none fails. Choose a larger datastoreSize or fewer servers."
    ]
    assert limits.warnings(
        settings(**OWN, topology="single-node", datastoreEngine="pg", datastoreSize="db-s-1vcpu-1gb")
    ) == [
        "datastoreSize: `db-s-1vcpu-1gb` takes 22 connections, and its server may have 35 while one starts or is "
        "asked much at once; what gets none fails. Choose a larger datastoreSize."
    ]
    assert limits.warnings(settings(**OWN, datastoreSize="db-s-1vcpu-1gb", datastoreEngine="mysql")) == []
    assert limits.warnings(settings(**OWN, serverCount=4, datastoreSize="db-s-2vcpu-4gb")) == []
    assert limits.warnings(settings(**OWN, topology="single-node")) == []


@pytest.mark.parametrize(
    ("engine", "size", "connections"),
    [
        ("pg", "db-s-1vcpu-1gb", 22),
        ("pg", "db-s-2vcpu-4gb", 97),
        ("mysql", "db-s-1vcpu-1gb", 72),
        ("pg", "large", None),
    ],
)
def test_connections_by_size(engine: str, size: str, connections: int | None) -> None:
    assert limits.connection_limit(engine, size) == connections


@pytest.mark.parametrize(
    ("ranges", "warned"),
    [
        (["10.0.0.0/8"], True),
        (["192.168.1.7/32", "fd00::/8"], True),
        (["100.64.0.0/10"], True),
        (["10.0.0.0/8", "198.51.100.7/32"], False),
        (["172.32.0.0/16"], False),
        (["192.168.1.7/32", "2001:db8::/32"], False),
    ],
)
def test_administrators_whom_the_internet_never_sees_are_said(ranges: list[str], warned: bool) -> None:
    said = limits.warnings(settings(topology="single-node", adminCidrs=ranges))
    assert [line.partition(" private")[0].startswith(f"adminCidrs: {', '.join(ranges)} ") for line in said] == [
        True
    ] * warned


def test_administrators_everywhere_are_said() -> None:
    (warning,) = limits.warnings(settings(topology="single-node"))
    assert warning == (
        "adminCidrs: 0.0.0.0/0, ::/0 lets the whole internet reach SSH (port 22) and the Kubernetes API (port 6443); "
        "`pulumi config set --path 'adminCidrs[0]' 198.51.100.7/32`, with your own address, narrows it."
    )
