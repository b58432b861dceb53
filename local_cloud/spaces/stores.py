"""The stores of this checkout's cloud: one for each region, in the backbone's namespace, from its first bucket on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from local_cloud import certificates, paths
from local_cloud.network.namespaces import BACKBONE
from local_cloud.spaces import access_keys, regions
from local_cloud.spaces.access_keys import AccessKey
from local_cloud.spaces.store import Store
from local_cloud.toolchain.progress import Report, to_stderr

FOLDER = paths.CLOUD / "spaces"
ACCOUNTS = FOLDER / "accounts"
TLS = FOLDER / "tls"


def store(region: str) -> Store:
    """The store of a region, whether there is anything in it or not. MachineRoomError for a region without Spaces."""
    return Store(
        folder=FOLDER / region,
        namespace=BACKBONE,
        host=regions.host(region),
        address=regions.address(region),
        accounts=ACCOUNTS,
        certificate=TLS / "server.pem",
        key=TLS / "server.key",
        authority=certificates.AUTHORITY / "ca.pem",
    )


def used() -> list[Store]:
    """The stores that have ever had a bucket."""
    return [each for each in map(store, regions.REGIONS) if each.exists()]


def start(stores: Iterable[Store], report: Report = to_stderr) -> None:
    """Start the stores that do not run."""
    certificates.kept_server(TLS, certificates.authority_of_cloud(), regions.names())
    for each in stores:
        each.start(report)


def make_bucket(region: str, name: str, report: Report = to_stderr) -> str:
    """Make a bucket, with a key that goes again; return `HOST/NAME`. MachineRoomError where the store refuses."""
    there = store(region)
    start([there], report)
    key = access_keys.make(ACCOUNTS)
    try:
        there.make_bucket(name, key)
    finally:
        access_keys.revoke(ACCOUNTS, key.id)
    return f"{there.host}/{name}"


def make_key() -> AccessKey:
    """A new key for all of them."""
    return access_keys.make(ACCOUNTS)


def revoke_key(key_id: str) -> None:
    """Let the key be refused from now on. MachineRoomError when there is no such key."""
    access_keys.revoke(ACCOUNTS, key_id)


def logs() -> dict[str, Path]:
    """The log of each store that was ever used, by its host."""
    return {each.host: each.log for each in used()}
