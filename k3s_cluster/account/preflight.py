"""Whether a plan can work in an account: facts and settings in, a line for every problem out. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network

from k3s_cluster.account import scopes
from k3s_cluster.account.domains import domain_of
from k3s_cluster.account.facts import Account, Database, DatabaseOffer, Droplet, Size, Vpc
from k3s_cluster.settings import ClusterSettings, ManagedDatastoreSettings, address_ranges
from k3s_cluster.settings.values import DIGITALOCEAN_RANGES, PRIVATE_RANGES

#: How many choices a message names.
CHOICES = 3


@dataclass(frozen=True)
class Group:
    """Equal droplets that the settings ask for: `kind` is the middle of their names, the keys are the settings'."""

    kind: str
    count: int
    size: str
    image: str
    size_key: str
    image_key: str


def groups(settings: ClusterSettings) -> tuple[Group, ...]:
    """All droplets of a stack, servers first; pools without droplets left out."""
    servers = settings.servers
    found = [Group("server", servers.count, servers.size, settings.image, "serverSize", "image")]
    listed = 0
    for pool in settings.agent_pools:
        if pool.name == "agent":
            found.append(Group(pool.name, pool.count, pool.size, pool.image, "agentSize", "image"))
            continue
        key = f"agentPools[{listed}]"
        image_key = "image" if pool.image == settings.image else f"{key}.image"
        found.append(Group(pool.name, pool.count, pool.size, pool.image, f"{key}.size", image_key))
        listed += 1
    return tuple(group for group in found if group.count)


def own_droplets(settings: ClusterSettings, account: Account) -> tuple[Droplet, ...]:
    """The droplets in the account that bear one of the stack's tags."""
    tags = {settings.server_tag.lower(), settings.agent_tag.lower()}
    return tuple(one for one in account.droplets or () if tags & {tag.lower() for tag in one.tags})


def is_new(settings: ClusterSettings, account: Account) -> bool:
    """True if the account is known to have no droplet of the stack."""
    return account.droplets is not None and not own_droplets(settings, account)


def missing(group: Group, settings: ClusterSettings, account: Account) -> int:
    """How many droplets of this group are still to be made. One of another size or image has to be made anew."""
    name = f"{settings.name_prefix}-{group.kind}"
    there = [
        one
        for one in own_droplets(settings, account)
        # An image that was retired since may have lost its slug.
        if one.name.rpartition("-")[0] == name and one.size == group.size and one.image in (group.image, "")
    ]
    return max(0, group.count - len(there))


def problems(settings: ClusterSettings, account: Account) -> list[str]:
    """All that stands against the plan. What is not known is not held against it."""
    found = [*_token(settings, account), *_account(account)]
    region = list(_region(settings, account))
    found += region
    found += _images(settings, account, region_is_good=not region)
    if not region:
        found += _sizes(settings, account)
        found += _database(settings, account)
    found += _database_restore(settings, account)
    found += _network(settings, account)
    found += _project(settings, account)
    found += _reserved_ip(settings, account)
    found += _droplet_limit(settings, account)
    found += _ssh_keys(settings, account)
    return list(dict.fromkeys(found))


#: MiB that K3s asks for: docs.k3s.io/installation/requirements ("CPU and Memory").
SERVER_MEMORY, AGENT_MEMORY = 2048, 512


def advice(settings: ClusterSettings, account: Account) -> list[str]:
    """What does not stand against the plan, and is better known before it is carried out."""
    return [*_small(settings, account), *_default_vpc(settings, account)]


def _small(settings: ClusterSettings, account: Account) -> Iterator[str]:
    sizes = {size.slug: size for size in account.sizes or ()}
    for group in groups(settings):
        size, least = sizes.get(group.size), SERVER_MEMORY if group.kind == "server" else AGENT_MEMORY
        if size is not None and size.memory < least:
            role = "server" if group.kind == "server" else "agent"
            yield f"{group.size_key}: `{size.slug}` has {size.memory} MiB of memory, and K3s asks {least} for {role}s."


def _default_vpc(settings: ClusterSettings, account: Account) -> list[str]:
    """A region's first VPC becomes its default one, which nobody can delete.

    docs.digitalocean.com/reference/dots/reference/vpcs/vpcs-create ("Note").
    """
    if settings.vpc_id or account.vpcs is None:
        return []
    own = own_vpc_name(settings)
    here = [vpc for vpc in account.vpcs if vpc.region == settings.region]
    if not here:
        return [
            f"vpcCidr: {settings.region} has no VPC yet, and the first one becomes the region's default, which "
            f"DigitalOcean does not delete: `pulumi destroy` will leave `{own}`, which costs nothing. Make another VPC "
            f"in {settings.region} first if that is not wanted."
        ]
    left = next((vpc for vpc in here if vpc.name == own and vpc.default), None)
    if left and not own_droplets(settings, account):
        return [
            f"vpcId: the VPC `{own}` is the default one of {settings.region}. If an earlier `pulumi destroy` left it "
            f"there, its name is taken: `pulumi config set vpcId {left.id}` makes the cluster in it."
        ]
    return []


def _token(settings: ClusterSettings, account: Account) -> Iterator[str]:
    has = account.scopes or ()
    if not has or scopes.is_full(has):
        return
    if scopes.only_reads(has):
        yield (
            "token: may only read, and this stack is to be made with it; make a token with full access, or with custom "
            "scopes, under API > Tokens, and set it as DIGITALOCEAN_TOKEN."
        )
    elif scopes.are_custom(has):
        needed = scopes.needed_scopes(settings, _keeps_domain(settings, account, has))
        lacking = [scope for scope in needed if not scopes.grants(has, scope)]
        if lacking:
            yield (
                f"token: lacks the {_plural('scope', len(lacking))} {_all(lacking)}, which this stack needs to be "
                "made, changed and destroyed; make a token with full access, or with all that README.md lists under "
                '"Custom scopes", under API > Tokens, and set it as DIGITALOCEAN_TOKEN.'
            )


def _keeps_domain(settings: ClusterSettings, account: Account, has: Sequence[str]) -> bool:
    """Whether the account keeps apiDomain's domain. A token that may not see domains is told of all at once."""
    if settings.api_domain is None:
        return False
    if account.domains is None:
        return not scopes.grants(has, "domain:read")
    return domain_of(settings.api_domain, account.domains) is not None


def _account(account: Account) -> Iterator[str]:
    if account.locked:
        yield "account: is locked, so that nothing can be made in it; DigitalOcean's support can say why."


def _region(settings: ClusterSettings, account: Account) -> Iterator[str]:
    if account.regions is None:
        return
    named = {region.slug: region for region in account.regions}
    open_ones = [region.slug for region in account.regions if region.available]
    wanted = settings.region
    if wanted not in named:
        yield f"region: `{wanted}` is no region of DigitalOcean; {_nearest(wanted, open_ones)}."
    elif not named[wanted].available and any(missing(group, settings, account) for group in groups(settings)):
        yield f"region: `{wanted}` takes no new droplets; {_nearest(wanted, open_ones)}."


def _sizes(settings: ClusterSettings, account: Account) -> Iterator[str]:
    if account.sizes is None:
        return
    named = {size.slug: size for size in account.sizes}
    here = [size for size in account.sizes if size.available and settings.region in size.regions]
    for group in groups(settings):
        if not missing(group, settings, account):
            continue
        size = named.get(group.size)
        if size is None:
            choices = _nearest(group.size, [one.slug for one in here])
            yield f"{group.size_key}: `{group.size}` is no droplet size of DigitalOcean; {choices}."
        elif not size.available:
            yield f"{group.size_key}: `{group.size}` is no longer offered; {_like(size, here)}."
        elif settings.region not in size.regions:
            yield f"{group.size_key}: `{group.size}` is not offered in {settings.region}; {_like(size, here)}."


def _images(settings: ClusterSettings, account: Account, *, region_is_good: bool) -> Iterator[str]:
    sizes = {size.slug: size for size in account.sizes or ()}
    for group in groups(settings):
        if account.images is None or group.image not in account.images or not missing(group, settings, account):
            continue
        image, size = account.images[group.image], sizes.get(group.size)
        offered = [one.slug for one in account.distributions if settings.region in one.regions or not region_is_good]
        choices = _nearest(group.image, offered)
        if image is None:
            yield f"{group.image_key}: `{group.image}` is no image in this account; {choices}."
        elif image.status != "available":
            yield f"{group.image_key}: `{group.image}` is {image.status}: no droplet can be made of it; {choices}."
        elif region_is_good and image.regions and settings.region not in image.regions:
            yield f"{group.image_key}: `{group.image}` is not offered in {settings.region}; {choices}."
        elif size is not None and size.disk < image.min_disk:
            yield (
                f"{group.size_key}: `{group.size}` has a disk of {size.disk} GB, and the image `{group.image}` needs "
                f"{image.min_disk} GB; choose a larger size."
            )


def own_database(settings: ClusterSettings, account: Account) -> Database | None:
    """The stack's managed database, where it is there already."""
    name = ManagedDatastoreSettings.cluster_name(settings.name_prefix)
    return next((one for one in account.databases or () if one.name == name), None)


def _database_restore(settings: ClusterSettings, account: Account) -> Iterator[str]:
    """docs.digitalocean.com/products/databases/postgresql/how-to/fork-clusters: a size at least as large."""
    wanted = settings.datastore
    restore = wanted.restore if isinstance(wanted, ManagedDatastoreSettings) else None
    if restore is None or account.databases is None or own_database(settings, account):
        return
    assert isinstance(wanted, ManagedDatastoreSettings)
    source = next((one for one in account.databases if one.name == restore.cluster), None)
    if source is None:
        names = [one.name for one in account.databases]
        hint = _nearest(restore.cluster, names) if names else "the account has none, and backups go with their database"
        yield f"datastoreRestoreFrom: `{restore.cluster}` is no database of this account; {hint}."
        return
    if source.engine != wanted.engine:
        yield (
            f"datastoreEngine: `{wanted.engine}` cannot be made of a backup of `{source.name}`, which is of engine "
            f"`{source.engine}`; set datastoreEngine to that, or choose another database."
        )
        return
    if source.version != wanted.version:
        yield (
            f"datastoreVersion: `{wanted.version}` is not the version of `{source.name}`, of which a backup is to be "
            f"restored; set it to `{source.version}`, and raise it after the restore."
        )
    if _smaller(wanted.size, source.size):
        yield (
            f"datastoreSize: `{wanted.size}` is smaller than `{source.name}`, which has `{source.size}`; set it to "
            "that, or a larger one."
        )
    user = wanted.user_name(settings.name_prefix)
    if user in source.users:
        yield (
            f"namePrefix: `{settings.name_prefix}` makes `{user}` of the database's user, and `{source.name}` has one "
            "of that name, which would come along; choose another prefix, or raise datastorePasswordVersion."
        )
    times = account.database_backups
    if times is not None and not times:
        yield f"datastoreRestoreFrom: `{source.name}` has no backup yet; DigitalOcean makes one every day."
        return
    known = {time.replace(microsecond=0) for time in times or ()}
    if times and restore.at and datetime.fromisoformat(restore.at) not in known:
        shown = [time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in times[-CHOICES:]]
        yield (
            f"datastoreRestoreAt: `{restore.at}` is no time of a backup of `{source.name}`; "
            f"the last {'is' if len(shown) == 1 else 'are'} {_either(shown, 'and')}."
        )


def _smaller(wanted: str, source: str) -> bool:
    """Whether a database's size has less memory than another, as far as their slugs tell."""
    memory = [re.fullmatch(r".*-(\d+)gb", slug) for slug in (wanted, source)]
    return all(memory) and int(memory[0][1]) < int(memory[1][1])  # type: ignore[index]


def _database(settings: ClusterSettings, account: Account) -> Iterator[str]:
    """What is there already need not be offered any more."""
    wanted, offers = settings.datastore, account.database_offers
    if not isinstance(wanted, ManagedDatastoreSettings) or offers is None:
        return
    there = own_database(settings, account)
    same_version = there is not None and (there.engine, there.version) == (wanted.engine, wanted.version)
    same_size = there is not None and (there.engine, there.size, there.nodes) == (
        wanted.engine,
        wanted.size,
        wanted.nodes,
    )
    offer = offers.get(wanted.engine)
    if offer is None:
        if not (same_version and same_size):
            yield f"datastoreEngine: `{wanted.engine}` is not offered; {_nearest(wanted.engine, offers)}."
        return
    if not same_version:
        yield from _database_version(wanted, offer, settings.region)
    if not same_size:
        yield from _database_size(wanted, offer)


def _database_version(wanted: ManagedDatastoreSettings, offer: DatabaseOffer, region: str) -> Iterator[str]:
    if offer.regions and region not in offer.regions:
        yield (
            f"region: `{region}` has no managed databases of engine `{wanted.engine}`; "
            f"{_nearest(region, offer.regions)}."
        )
    if wanted.version not in offer.versions:
        newest_first = sorted(offer.versions, key=lambda version: (len(version), version), reverse=True)
        yield (
            f"datastoreVersion: `{wanted.version}` of engine `{wanted.engine}` is not offered; "
            f"choose {_either(newest_first[:CHOICES])}."
        )


def _database_size(wanted: ManagedDatastoreSettings, offer: DatabaseOffer) -> Iterator[str]:
    everything = list(dict.fromkeys(size for sizes in offer.sizes.values() for size in sizes))
    fitting = offer.sizes.get(wanted.nodes, ())
    if wanted.size not in everything:
        yield (
            f"datastoreSize: `{wanted.size}` is no database size for engine `{wanted.engine}`; "
            f"{_nearest(wanted.size, fitting or everything)}."
        )
    elif wanted.size not in fitting:
        allowed = [str(nodes) for nodes, sizes in sorted(offer.sizes.items()) if wanted.size in sizes]
        yield (
            f"datastoreNodes: `{wanted.nodes}` is not offered with the size `{wanted.size}`, which takes "
            f"{_either(allowed)}; {_nearest(wanted.size, fitting, what='size for it')}."
        )


def own_vpc_name(settings: ClusterSettings) -> str:
    """As k3s_cluster/cloud/network.py calls the stack's own VPC."""
    return f"{settings.name_prefix}-vpc-01"


def _network(settings: ClusterSettings, account: Account) -> Iterator[str]:
    """docs.digitalocean.com/reference/api, create VPC: ranges in one account may not overlap."""
    if account.vpcs is None:
        return
    if settings.vpc_id:
        yield from _vpc_that_is_there(settings, settings.vpc_id, account.vpcs)
        return
    own = own_vpc_name(settings)
    others = [vpc for vpc in account.vpcs if vpc.name != own]
    overlapped = [vpc for vpc in others if vpc.ip_range.overlaps(settings.vpc_cidr)]
    # A VPC that is there keeps its range, whatever was made beside it.
    if not overlapped or any(vpc.name == own for vpc in account.vpcs):
        return
    taken = ", ".join(f"{vpc.ip_range} of the VPC `{vpc.name}` in {vpc.region}" for vpc in overlapped)
    inside = address_ranges.ranges(settings.server_config).values()
    free = [str(each) for each in _free_ranges(settings.vpc_cidr, [*(vpc.ip_range for vpc in others), *inside])]
    hint = f"free are {_either(free, 'and')}" if free else "choose another private range"
    yield f"vpcCidr: `{settings.vpc_cidr}` overlaps {taken}; {hint}."


def _vpc_that_is_there(settings: ClusterSettings, vpc_id: str, vpcs: Sequence[Vpc]) -> Iterator[str]:
    region = settings.region
    found = next((vpc for vpc in vpcs if vpc.id == vpc_id), None)
    here = [f"{vpc.id}` (`{vpc.name}`, {vpc.ip_range})" for vpc in vpcs if vpc.region == region][:CHOICES]
    choices = (
        f"in {region} there {'is' if len(here) == 1 else 'are'} `{', `'.join(here)}"
        if here
        else (f"there is none in {region}; remove vpcId, and the stack makes one")
    )
    if found is None:
        yield f"vpcId: `{vpc_id}` is no VPC of this account; {choices}."
    elif found.region != region:
        yield f"vpcId: `{vpc_id}` is in {found.region}, and region is `{region}`; {choices}."
    else:
        yield from address_ranges.overlaps(settings.server_config, found.ip_range, "vpcId")


def _project(settings: ClusterSettings, account: Account) -> Iterator[str]:
    if account.projects is not None and settings.project_name and settings.project_name not in account.projects:
        yield (
            f"projectName: `{settings.project_name}` is no project of this account; "
            f"{_nearest(settings.project_name, account.projects)}."
        )


def _reserved_ip(settings: ClusterSettings, account: Account) -> Iterator[str]:
    if account.reserved_addresses is None or settings.reserved_ip in (None, "auto"):
        return
    found = next((each for each in account.reserved_addresses if each.ip == settings.reserved_ip), None)
    here = [each.ip for each in account.reserved_addresses if each.region == settings.region][:CHOICES]
    choices = f"choose {_either([*here, 'auto'])}"
    if found is None:
        yield f"reservedIp: `{settings.reserved_ip}` is no reserved address of this account; {choices}."
    elif found.region != settings.region:
        yield (
            f"reservedIp: `{settings.reserved_ip}` is in {found.region}, and region is `{settings.region}`; {choices}."
        )


def _free_ranges(wanted: IPv4Network, taken: Sequence[IPv4Network]) -> list[IPv4Network]:
    """The next ranges of that size in the same private block that nobody uses."""
    reserved = [IPv4Network(each) for each in DIGITALOCEAN_RANGES]
    block = next((each for each in PRIVATE_RANGES if wanted.subnet_of(each)), PRIVATE_RANGES[0])
    free: list[IPv4Network] = []
    step, at = wanted.num_addresses, int(wanted.network_address)
    for _ in range(4096):
        at += step
        if at > int(block.broadcast_address):
            at = int(block.network_address)
        candidate = IPv4Network((at, wanted.prefixlen))
        if not any(candidate.overlaps(each) for each in (*taken, *reserved)):
            free.append(candidate)
        if len(free) == CHOICES:
            break
    return free


def _droplet_limit(settings: ClusterSettings, account: Account) -> Iterator[str]:
    if account.droplets is None or account.droplet_limit is None:
        return
    wanted = settings.servers.count + settings.agent_count
    there, own = len(account.droplets), len(own_droplets(settings, account))
    new = max(0, wanted - own)
    if new and there + new > account.droplet_limit:
        key = "agentCount" if settings.agent_count else "serverCount"
        yield (
            f"{key}: this stack needs {new} more {_plural('droplet', new)}, and the account, which has {there}, may "
            f"have {account.droplet_limit} in all; ask for fewer nodes, destroy what is not needed, or have the limit "
            "raised under Settings > Resource Limits."
        )


def _ssh_keys(settings: ClusterSettings, account: Account) -> Iterator[str]:
    if account.ssh_keys is None:
        return
    names = [key.name for key in account.ssh_keys]
    known = {*names, *(key.fingerprint for key in account.ssh_keys)}
    for entry in settings.access.account_keys:
        if entry not in known:
            hint = _nearest(entry, names) if names else "the account has none; give the path of a public key file"
            yield f"sshKeys: `{entry}` is neither the name nor the fingerprint of a key in the account; {hint}."
        elif names.count(entry) > 1:
            prints = [key.fingerprint for key in account.ssh_keys if key.name == entry]
            yield f"sshKeys: `{entry}` is the name of {len(prints)} keys in the account; choose {_either(prints)}."


def _nearest(wanted: str, offered: Iterable[str] | Mapping[str, object], what: str = "") -> str:
    """The offered names that are most like `wanted`, as advice."""
    choices = difflib.get_close_matches(wanted, sorted(set(offered)), n=CHOICES, cutoff=0.0)
    if not choices:
        return "there is nothing to choose instead"
    return f"the nearest {f'{what} ' if what else ''}{'is' if len(choices) == 1 else 'are'} {_either(choices, 'and')}"


def _like(size: Size, offered: Sequence[Size]) -> str:
    """The offered sizes that are nearest in memory, then in price, as advice."""
    near = sorted(
        offered,
        key=lambda one: (abs(one.memory - size.memory), abs(one.price_monthly - size.price_monthly), one.slug),
    )[:CHOICES]
    if not near:
        return "there is nothing to choose instead"
    return f"the nearest {'is' if len(near) == 1 else 'are'} {_either([one.slug for one in near], 'and')}"


def _either(names: Sequence[str], word: str = "or") -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {word} {quoted[-1]}"


def _all(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"
