"""What a stack costs a month, in USD: what it asks for, and what is deployed. Pure.

Droplets are priced by the account's own list (GET /v2/sizes). What the API does not price is in the table below. A
reserved address is free while it leads to a droplet. Not counted: more traffic than droplets include, backups, taxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from k3s_cluster.account.facts import Account
from k3s_cluster.account.preflight import groups, own_droplets
from k3s_cluster.settings import ClusterSettings, ManagedDatastoreSettings

#: When the prices below were what digitalocean.com/pricing/load-balancers and .../managed-databases said.
LISTED = "2026-09-30"
LOAD_BALANCER_NODE = Decimal("12.00")
#: PostgreSQL and MySQL, for each node; a standby costs what the primary does. Larger sizes are not in the table.
DATABASE_NODE = {
    "db-s-1vcpu-1gb": Decimal("15.15"),
    "db-s-1vcpu-2gb": Decimal("30.45"),
    "db-s-2vcpu-4gb": Decimal("60.90"),
    "db-s-4vcpu-8gb": Decimal("122.10"),
}


@dataclass(frozen=True)
class Item:
    """Equal things. `each` is what one of them costs a month; None where that is not known."""

    what: str
    number: int
    each: Decimal | None

    @property
    def cost(self) -> Decimal | None:
        return None if self.each is None else self.each * self.number


@dataclass(frozen=True)
class Cost:
    """A month's cost, item by item."""

    items: tuple[Item, ...]

    @property
    def total(self) -> Decimal:
        """Of all items whose price is known."""
        return sum((item.cost for item in self.items if item.cost is not None), Decimal("0.00"))

    @property
    def unknown(self) -> tuple[str, ...]:
        """What has no known price, and is not in the total."""
        return tuple(item.what for item in self.items if item.cost is None)


def planned(settings: ClusterSettings, account: Account) -> Cost:
    """The cost of what these settings ask for. The account's list of sizes must be known."""
    prices = {size.slug: Decimal(str(size.price_monthly)) for size in account.sizes or ()}
    items = [
        Item(_nodes(group.kind, group.count, group.size), group.count, prices.get(group.size))
        for group in groups(settings)
    ]
    if settings.load_balancer:
        items.append(_load_balancer(settings.load_balancer.nodes))
    if isinstance(settings.datastore, ManagedDatastoreSettings):
        items.append(_database(settings.datastore.size, settings.datastore.nodes))
    return Cost(tuple(items))


def deployed(settings: ClusterSettings, account: Account) -> Cost | None:
    """The cost of what the stack has: droplets by its tags, load balancer and database by name.

    None where the account does not tell.
    """
    kinds: list[tuple[bool, Sequence[object] | None]] = [
        (True, account.droplets),
        (settings.load_balancer is not None, account.load_balancers),
        (isinstance(settings.datastore, ManagedDatastoreSettings), account.databases),
    ]
    if any(needed and found is None for needed, found in kinds):
        return None
    items = [Item(one.name, 1, Decimal(str(one.price_monthly))) for one in own_droplets(settings, account)]
    items += [
        _load_balancer(one.nodes)
        for one in account.load_balancers or ()
        if one.name == f"{settings.name_prefix}-api-loadbalancer"
    ]
    items += [
        _database(one.size, one.nodes)
        for one in account.databases or ()
        if one.name == f"{settings.name_prefix}-ext-datastore"
    ]
    return Cost(tuple(items))


def statement(plan: Cost, now: Cost | None) -> str:
    """One paragraph: what the plan costs, item by item, and the difference to what is deployed."""
    items = ", ".join(
        f"{item.what} {'at an unknown price' if item.cost is None else usd(item.cost)}" for item in plan.items
    )
    said = f"Cost: {_total(plan)} a month ({items})."
    if now is not None:
        said += f" Deployed now: {usd(now.total)}; difference: {_signed(plan.total - now.total)}."
    return f"{said} Droplets at the account's own prices, the rest as listed on {LISTED}; without traffic and taxes."


def beyond_limit(limit: Decimal | None, plan: Cost, now: Cost | None) -> str | None:
    """Why the plan goes past `costLimit`; None where it does not. What makes a stack cheaper always may."""
    if limit is None or (now is not None and plan.total <= now.total and not plan.unknown):
        return None
    if plan.total > limit:
        return (
            f"costLimit: `{limit}` is exceeded: this stack would cost {_total(plan)} a month; raise costLimit, or "
            "choose fewer or smaller nodes."
        )
    if plan.unknown:
        return (
            f"costLimit: `{limit}` cannot be kept for certain: what {' and '.join(plan.unknown)} costs is not known; "
            "set costLimit to `none`, or choose another size."
        )
    return None


def usd(amount: Decimal | None) -> str:
    return "at an unknown price" if amount is None else f"${amount:,.2f}"


def _total(cost: Cost) -> str:
    return f"{'at least ' if cost.unknown else ''}{usd(cost.total)}"


def _signed(amount: Decimal) -> str:
    return f"{'-' if amount < 0 else '+'}{usd(abs(amount))}"


def _nodes(kind: str, count: int, size: str) -> str:
    noun = kind if kind in ("server", "agent") else f"agent of pool {kind}"
    plural = noun.replace("server", "servers").replace("agent", "agents", 1)
    return f"{count} {noun if count == 1 else plural} {size}"


def _load_balancer(nodes: int) -> Item:
    return Item(f"load balancer of {nodes} {'node' if nodes == 1 else 'nodes'}", nodes, LOAD_BALANCER_NODE)


def _database(size: str, nodes: int, prices: Mapping[str, Decimal] = DATABASE_NODE) -> Item:
    return Item(f"database {size} of {nodes} {'node' if nodes == 1 else 'nodes'}", nodes, prices.get(size))
