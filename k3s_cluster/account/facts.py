"""What an account has and may have, asked all at once. What could not be learned is None, and said in `notes`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from typing import Any, TypeVar
from urllib.parse import quote

from k3s_cluster.account.client import Client, NoAnswer, NotAllowed, NotFound, TokenRefused
from k3s_cluster.settings import ClusterSettings, ManagedDatastoreSettings

T = TypeVar("T")

#: More than there are questions, so that they take as long as the slowest one.
AT_ONCE = 16


@dataclass(frozen=True)
class Region:
    slug: str
    available: bool


@dataclass(frozen=True)
class Size:
    """Memory in MiB, disk in GiB, price in USD a month."""

    slug: str
    available: bool
    regions: tuple[str, ...]
    memory: int
    disk: int
    price_monthly: float


@dataclass(frozen=True)
class Image:
    """`status` is `available` where droplets can be made of it; `min_disk` in GiB."""

    slug: str
    status: str
    regions: tuple[str, ...]
    min_disk: int


@dataclass(frozen=True)
class Vpc:
    id: str
    name: str
    region: str
    ip_range: IPv4Network
    default: bool = False


@dataclass(frozen=True)
class Droplet:
    """`image` is empty where the image is no longer known by a slug."""

    name: str
    size: str
    image: str
    tags: tuple[str, ...]
    price_monthly: float


@dataclass(frozen=True)
class Database:
    name: str
    engine: str
    version: str
    size: str
    nodes: int
    users: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadBalancer:
    name: str
    nodes: int


@dataclass(frozen=True)
class SshKey:
    name: str
    fingerprint: str


@dataclass(frozen=True)
class ReservedAddress:
    ip: str
    region: str


@dataclass(frozen=True)
class DatabaseOffer:
    """What is sold of one engine. `sizes` maps a number of nodes to the sizes that it may have."""

    regions: tuple[str, ...]
    versions: tuple[str, ...]
    sizes: dict[int, tuple[str, ...]]


@dataclass(frozen=True)
class Account:
    """Everything that was asked for; None where there was no answer, or the token may not ask.

    `database_backups` are the times, in UTC, of those that the plan's database is to be made of, the last one last.
    `images` has those that were asked by slug or number, None where there is none of that name; `distributions` is what
    else there is; `scopes` is what the token may do.
    """

    scopes: tuple[str, ...] | None = None
    locked: bool = False
    droplet_limit: int | None = None
    regions: tuple[Region, ...] | None = None
    sizes: tuple[Size, ...] | None = None
    images: dict[str, Image | None] | None = None
    distributions: tuple[Image, ...] = ()
    vpcs: tuple[Vpc, ...] | None = None
    droplets: tuple[Droplet, ...] | None = None
    load_balancers: tuple[LoadBalancer, ...] | None = None
    databases: tuple[Database, ...] | None = None
    database_offers: dict[str, DatabaseOffer] | None = None
    database_backups: tuple[datetime, ...] | None = None
    ssh_keys: tuple[SshKey, ...] | None = None
    projects: tuple[str, ...] | None = None
    reserved_addresses: tuple[ReservedAddress, ...] | None = None
    domains: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def ask(client: Client, settings: ClusterSettings) -> Account:
    """What the account says about a plan with these settings. Raises TokenRefused.

    Raises NoAnswer, too, when nothing at all was answered. Only what the plan needs is asked for.
    """
    questions: dict[str, Callable[[Client], Any]] = {
        "scopes": lambda api: api.token_scopes(),
        "account": lambda api: api.get("/v2/account")["account"],
        "regions": lambda api: tuple(map(_region, api.all("/v2/regions", "regions"))),
        "sizes": lambda api: tuple(map(_size, api.all("/v2/sizes", "sizes"))),
        "distributions": lambda api: tuple(map(_image, api.all("/v2/images", "images", {"type": "distribution"}))),
        "vpcs": lambda api: tuple(map(_vpc, api.all("/v2/vpcs", "vpcs"))),
        "droplets": lambda api: tuple(map(_droplet, api.all("/v2/droplets", "droplets"))),
    }
    for image in sorted({settings.image, *(pool.image for pool in settings.agent_pools if pool.count)}):
        questions[f"image {image}"] = _asks_image(image)
    if settings.load_balancer:
        questions["load_balancers"] = lambda api: tuple(
            map(_load_balancer, api.all("/v2/load_balancers", "load_balancers"))
        )
    if isinstance(settings.datastore, ManagedDatastoreSettings):
        questions["databases"] = lambda api: tuple(map(_database, api.get("/v2/databases").get("databases") or ()))
        questions["database_offers"] = lambda api: _offers(api.get("/v2/databases/options")["options"])
        if settings.datastore.restore is not None:
            questions["database_backups"] = _asks_backups(settings.datastore.restore.cluster)
    if settings.access.account_keys:
        questions["ssh_keys"] = lambda api: tuple(map(_ssh_key, api.all("/v2/account/keys", "ssh_keys")))
    if settings.project_name:
        questions["projects"] = lambda api: tuple(item["name"] for item in api.all("/v2/projects", "projects"))
    if settings.reserved_ip and settings.reserved_ip != "auto":
        questions["reserved_addresses"] = lambda api: tuple(
            map(_reserved_address, api.all("/v2/reserved_ips", "reserved_ips"))
        )
    if settings.api_domain:
        questions["domains"] = lambda api: tuple(item["name"] for item in api.all("/v2/domains", "domains"))

    answers, notes = _asked(client, questions)
    account = answers.pop("account", None)
    images = {name.removeprefix("image "): answers.pop(name) for name in list(answers) if name.startswith("image ")}
    return Account(
        locked=bool(account) and account.get("status") == "locked",
        droplet_limit=account.get("droplet_limit") if account else None,
        images=images,
        notes=notes,
        **answers,
    )


def _asked(client: Client, questions: dict[str, Callable[[Client], Any]]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The answers that there are, and a note for each question that has none."""
    answers: dict[str, Any] = {}
    notes: list[str] = []
    unanswered = 0
    with ThreadPoolExecutor(AT_ONCE) as threads:
        running = {name: threads.submit(question, client) for name, question in questions.items()}
        for name, future in running.items():
            try:
                answers[name] = future.result()
            except NoAnswer as silence:
                unanswered += 1
                notes.append(str(silence))
            except (TokenRefused, NotAllowed, NotFound) as refused:
                # What a token may do is told by another service, and is not worth more than the API's own word.
                if name == "scopes":
                    continue
                if isinstance(refused, TokenRefused):
                    raise
                notes.append(str(refused))
            except (KeyError, TypeError, ValueError) as error:
                notes.append(f"{name}: not answered as the API describes it ({type(error).__name__})")
    if unanswered == len(questions):
        raise NoAnswer(notes[0])
    return answers, tuple(dict.fromkeys(notes))


def _asks_image(image: str) -> Callable[[Client], Image | None]:
    def question(api: Client) -> Image | None:
        try:
            return _image(api.get(f"/v2/images/{quote(image, safe='')}")["image"])
        except NotFound:
            return None

    return question


def _asks_backups(name: str) -> Callable[[Client], tuple[datetime, ...]]:
    def question(api: Client) -> tuple[datetime, ...]:
        found = [each for each in api.get("/v2/databases").get("databases") or () if each["name"] == name]
        if not found:
            return ()
        backups = api.get(f"/v2/databases/{quote(found[0]['id'], safe='')}/backups").get("backups") or ()
        return tuple(sorted(datetime.fromisoformat(each["created_at"]).astimezone(UTC) for each in backups))

    return question


def _region(item: dict[str, Any]) -> Region:
    return Region(item["slug"], bool(item["available"]))


def _size(item: dict[str, Any]) -> Size:
    return Size(
        slug=item["slug"],
        available=bool(item["available"]),
        regions=tuple(item["regions"]),
        memory=int(item["memory"]),
        disk=int(item["disk"]),
        price_monthly=float(item["price_monthly"]),
    )


def _image(item: dict[str, Any]) -> Image:
    return Image(
        slug=item.get("slug") or str(item["id"]),
        status=str(item.get("status") or "available"),
        regions=tuple(item.get("regions") or ()),
        min_disk=int(item.get("min_disk_size") or 0),
    )


def _vpc(item: dict[str, Any]) -> Vpc:
    return Vpc(item["id"], item["name"], item["region"], IPv4Network(item["ip_range"]), bool(item.get("default")))


def _droplet(item: dict[str, Any]) -> Droplet:
    return Droplet(
        name=item["name"],
        size=item["size_slug"],
        image=(item.get("image") or {}).get("slug") or "",
        tags=tuple(item.get("tags") or ()),
        price_monthly=float((item.get("size") or {}).get("price_monthly") or 0),
    )


def _database(item: dict[str, Any]) -> Database:
    users = tuple(user["name"] for user in item.get("users") or ())
    return Database(item["name"], item["engine"], str(item["version"]), item["size"], int(item["num_nodes"]), users)


def _load_balancer(item: dict[str, Any]) -> LoadBalancer:
    return LoadBalancer(item["name"], int(item.get("size_unit") or 1))


def _ssh_key(item: dict[str, Any]) -> SshKey:
    return SshKey(item["name"], item["fingerprint"])


def _reserved_address(item: dict[str, Any]) -> ReservedAddress:
    return ReservedAddress(item["ip"], item["region"]["slug"])


def _offers(options: dict[str, Any]) -> dict[str, DatabaseOffer]:
    return {
        engine: DatabaseOffer(
            regions=tuple(offer.get("regions") or ()),
            versions=tuple(offer.get("versions") or ()),
            sizes={int(layout["num_nodes"]): tuple(layout["sizes"]) for layout in offer.get("layouts") or ()},
        )
        for engine, offer in options.items()
    }
