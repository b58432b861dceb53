"""Preflight: what an account refuses, in one exact line each, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Network

import pytest

from k3s_cluster.account.facts import Account, Database, DatabaseOffer, Vpc
from k3s_cluster.account.preflight import advice, is_new, problems
from k3s_cluster.account.scopes import needed_scopes
from k3s_cluster.settings import SECRET_KEYS, ClusterSettings, parse_settings
from tests.unit.accounts import ACCOUNT, FINGERPRINT, HERE, LAYOUTS, with_cluster
from tests.unit.stack_files import CHECKOUT, config

POOL = {"name": "big", "count": 1, "size": "s-4vcpu-8gb"}


def settings(**changes: object) -> ClusterSettings:
    return parse_settings(config(**changes), stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)


@pytest.mark.parametrize("topology", ["ha", "single-node"])
def test_the_defaults_can_be_made(topology: str) -> None:
    assert problems(settings(topology=topology), ACCOUNT) == []


REFUSED: dict[str, tuple[dict[str, object], Account, str]] = {
    "a token that may only read": (
        {},
        replace(ACCOUNT, scopes=("read",)),
        "token: may only read, and this stack is to be made with it; make a token with full access, or with custom "
        "scopes, under API > Tokens, and set it as DIGITALOCEAN_TOKEN.",
    ),
    "a token without some scopes": (
        {},
        replace(
            ACCOUNT,
            scopes=tuple(
                set(needed_scopes(settings())) - {"vpc:delete", "droplet:update", "database:view_credentials"}
            ),
        ),
        "token: lacks the scopes `database:view_credentials`, `droplet:update`, `vpc:delete`, which this stack needs "
        "to be made, changed and destroyed; make a token with full access, or with all that README.md lists under "
        '"Custom scopes", under API > Tokens, and set it as DIGITALOCEAN_TOKEN.',
    ),
    "a locked account": (
        {},
        replace(ACCOUNT, locked=True),
        "account: is locked, so that nothing can be made in it; DigitalOcean's support can say why.",
    ),
    "a region that does not exist": (
        {"region": "fra9"},
        ACCOUNT,
        "region: `fra9` is no region of DigitalOcean; the nearest are `fra1`, `ams3` and `nyc3`.",
    ),
    "a region that is full": (
        {"region": "ams2"},
        ACCOUNT,
        "region: `ams2` takes no new droplets; the nearest are `ams3`, `fra1` and `nyc3`.",
    ),
    "a server size that does not exist": (
        {"serverSize": "s-2vcpu-5gb"},
        ACCOUNT,
        "serverSize: `s-2vcpu-5gb` is no droplet size of DigitalOcean; "
        "the nearest are `s-2vcpu-4gb`, `s-4vcpu-8gb` and `s-1vcpu-2gb`.",
    ),
    "a server size that is no longer offered": (
        {"serverSize": "4gb"},
        ACCOUNT,
        "serverSize: `4gb` is no longer offered; the nearest are `s-2vcpu-4gb-amd`, `s-2vcpu-4gb` and `s-1vcpu-2gb`.",
    ),
    "an agent size of another region": (
        {"agentSize": "c-2"},
        ACCOUNT,
        "agentSize: `c-2` is not offered in fra1; the nearest are `s-2vcpu-4gb-amd`, `s-2vcpu-4gb` and `s-1vcpu-2gb`.",
    ),
    "a pool's size that does not exist": (
        {"agentPools": [POOL, {**POOL, "name": "small", "size": "s-1vcpu-3gb"}]},
        ACCOUNT,
        "agentPools[1].size: `s-1vcpu-3gb` is no droplet size of DigitalOcean; "
        "the nearest are `s-1vcpu-2gb`, `s-4vcpu-8gb` and `s-2vcpu-4gb`.",
    ),
    "a disk too small for the image": (
        {"image": "large-x64", "agentSize": "s-2vcpu-4gb", "serverSize": "s-1vcpu-2gb"},
        ACCOUNT,
        "serverSize: `s-1vcpu-2gb` has a disk of 50 GB, and the image `large-x64` needs 60 GB; choose a larger size.",
    ),
    "an image that does not exist": (
        {"image": "ubuntu-24-40-x64"},
        ACCOUNT,
        "image: `ubuntu-24-40-x64` is no image in this account; "
        "the nearest are `ubuntu-24-04-x64`, `ubuntu-22-04-x64` and `debian-12-x64`.",
    ),
    "a retired image": (
        {"image": "ubuntu-20-04-x64"},
        ACCOUNT,
        "image: `ubuntu-20-04-x64` is retired: no droplet can be made of it; "
        "the nearest are `ubuntu-24-04-x64`, `ubuntu-22-04-x64` and `debian-12-x64`.",
    ),
    "an image of another region": (
        {"image": "debian-13-x64"},
        ACCOUNT,
        "image: `debian-13-x64` is not offered in fra1; "
        "the nearest are `debian-12-x64`, `ubuntu-24-04-x64` and `ubuntu-22-04-x64`.",
    ),
    "a pool's retired image": (
        {"agentPools": [{**POOL, "image": "ubuntu-20-04-x64"}]},
        ACCOUNT,
        "agentPools[0].image: `ubuntu-20-04-x64` is retired: no droplet can be made of it; "
        "the nearest are `ubuntu-24-04-x64`, `ubuntu-22-04-x64` and `debian-12-x64`.",
    ),
    "an engine that is not offered": (
        {"datastoreEngine": "mysql", "datastoreVersion": "8"},
        ACCOUNT,
        "datastoreEngine: `mysql` is not offered; the nearest are `redis` and `pg`.",
    ),
    "an engine of other regions": (
        {},
        replace(ACCOUNT, database_offers={"pg": DatabaseOffer(("nyc3", "ams3"), ("17",), LAYOUTS)}),
        "region: `fra1` has no managed databases of engine `pg`; the nearest are `ams3` and `nyc3`.",
    ),
    "a database version that is not offered": (
        {"datastoreVersion": "11"},
        ACCOUNT,
        "datastoreVersion: `11` of engine `pg` is not offered; choose `17`, `16` or `15`.",
    ),
    "a database size that does not exist": (
        {"datastoreSize": "db-s-1vcpu-3gb"},
        ACCOUNT,
        "datastoreSize: `db-s-1vcpu-3gb` is no database size for engine `pg`; "
        "the nearest are `db-s-1vcpu-2gb` and `db-s-1vcpu-1gb`.",
    ),
    "standbys of a size that takes none": (
        {"datastoreSize": "db-s-1vcpu-1gb", "datastoreNodes": 2},
        ACCOUNT,
        "datastoreNodes: `2` is not offered with the size `db-s-1vcpu-1gb`, which takes `1`; "
        "the nearest size for it is `db-s-1vcpu-2gb`.",
    ),
    "a range that another VPC has": (
        {"vpcCidr": "10.20.4.0/24"},
        ACCOUNT,
        "vpcCidr: `10.20.4.0/24` overlaps 10.20.0.0/20 of the VPC `default-fra1` in fra1; "
        "free are `10.20.16.0/24`, `10.20.17.0/24` and `10.20.18.0/24`.",
    ),
    "a range that a VPC of another region has": (
        {"vpcCidr": "10.10.11.0/24"},
        ACCOUNT,
        "vpcCidr: `10.10.11.0/24` overlaps 10.10.11.0/24 of the VPC `default-nyc3` in nyc3; "
        "free are `10.10.12.0/24`, `10.10.13.0/24` and `10.10.14.0/24`.",
    ),
    "a range that holds two VPCs": (
        {"vpcCidr": "10.10.0.0/16"},
        replace(
            ACCOUNT,
            vpcs=(
                Vpc("1", "one", "fra1", IPv4Network("10.10.1.0/24")),
                Vpc("2", "two", "ams3", IPv4Network("10.10.2.0/24")),
            ),
        ),
        "vpcCidr: `10.10.0.0/16` overlaps 10.10.1.0/24 of the VPC `one` in fra1, 10.10.2.0/24 of the VPC `two` in "
        "ams3; free are `10.11.0.0/16`, `10.12.0.0/16` and `10.13.0.0/16`.",
    ),
    "the last range of its block": (
        {"vpcCidr": "192.168.255.0/24"},
        replace(ACCOUNT, vpcs=(Vpc("1", "one", "fra1", IPv4Network("192.168.255.0/24")),)),
        "vpcCidr: `192.168.255.0/24` overlaps 192.168.255.0/24 of the VPC `one` in fra1; "
        "free are `192.168.0.0/24`, `192.168.1.0/24` and `192.168.2.0/24`.",
    ),
    "a VPC that does not exist": (
        {"vpcId": "5a4981aa-9653-4bd1-bef5-d6bff52042e4"},
        ACCOUNT,
        "vpcId: `5a4981aa-9653-4bd1-bef5-d6bff52042e4` is no VPC of this account; "
        "in fra1 there is `vpc-of-fra1` (`default-fra1`, 10.20.0.0/20).",
    ),
    "a VPC, where the region has none": (
        {"vpcId": "5a4981aa-9653-4bd1-bef5-d6bff52042e4"},
        replace(ACCOUNT, vpcs=()),
        "vpcId: `5a4981aa-9653-4bd1-bef5-d6bff52042e4` is no VPC of this account; "
        "there is none in fra1; remove vpcId, and the stack makes one.",
    ),
    "a project that does not exist": (
        {"projectName": "plattform"},
        ACCOUNT,
        "projectName: `plattform` is no project of this account; the nearest are `platform` and `k3s-cluster`.",
    ),
    "a reserved address that does not exist": (
        {"topology": "single-node", "reservedIp": "192.0.2.9"},
        ACCOUNT,
        "reservedIp: `192.0.2.9` is no reserved address of this account; choose `192.0.2.7` or `auto`.",
    ),
    "a reserved address of another region": (
        {"topology": "single-node", "reservedIp": "192.0.2.8"},
        ACCOUNT,
        "reservedIp: `192.0.2.8` is in nyc3, and region is `fra1`; choose `192.0.2.7` or `auto`.",
    ),
    "more agents than the account may have droplets": (
        {"agentCount": 8},
        ACCOUNT,
        "agentCount: this stack needs 10 more droplets, and the account, which has 1, may have 10 in all; ask for "
        "fewer nodes, destroy what is not needed, or have the limit raised under Settings > Resource Limits.",
    ),
    "one agent more than the account may have droplets": (
        {"agentCount": 8},
        with_cluster(agents=7),
        "agentCount: this stack needs 1 more droplet, and the account, which has 10, may have 10 in all; ask for "
        "fewer nodes, destroy what is not needed, or have the limit raised under Settings > Resource Limits.",
    ),
    "a droplet where the account may have none": (
        {"topology": "single-node"},
        replace(ACCOUNT, droplet_limit=1),
        "serverCount: this stack needs 1 more droplet, and the account, which has 1, may have 1 in all; ask for fewer "
        "nodes, destroy what is not needed, or have the limit raised under Settings > Resource Limits.",
    ),
    "a key that does not exist": (
        {"sshKeys": ["laptob"]},
        ACCOUNT,
        "sshKeys: `laptob` is neither the name nor the fingerprint of a key in the account; "
        "the nearest are `laptop` and `twice`.",
    ),
    "a key in an account without keys": (
        {"sshKeys": ["laptop"]},
        replace(ACCOUNT, ssh_keys=()),
        "sshKeys: `laptop` is neither the name nor the fingerprint of a key in the account; "
        "the account has none; give the path of a public key file.",
    ),
    "a name that two keys have": (
        {"sshKeys": ["twice"]},
        ACCOUNT,
        "sshKeys: `twice` is the name of 2 keys in the account; choose `aa:bb` or `cc:dd`.",
    ),
}


@pytest.mark.parametrize(("changes", "account", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(changes: dict[str, object], account: Account, message: str) -> None:
    assert problems(settings(**changes), account) == [message]


def test_all_problems_come_at_once() -> None:
    wrong = settings(serverSize="huge-1", image="ubuntu-20-04-x64", datastoreVersion="11", sshKeys=["nobody"])
    found = problems(wrong, replace(ACCOUNT, scopes=("read",)))
    keys = [problem.split(":")[0] for problem in found]
    assert keys == ["token", "image", "serverSize", "datastoreVersion", "sshKeys"]


def test_what_is_not_known_is_not_held_against_the_plan() -> None:
    assert (
        problems(settings(sshKeys=["laptop"], projectName="x", vpcId="5a4981aa-9653-4bd1-bef5-d6bff52042e4"), Account())
        == []
    )


def test_keys_are_found_by_name_and_by_fingerprint() -> None:
    assert problems(settings(sshKeys=["laptop", FINGERPRINT]), ACCOUNT) == []


VPC, ADDRESS = "5a4981aa-9653-4bd1-bef5-d6bff52042e4", "192.0.2.7"
#: A plan of every kind, and the rights beyond those that any plan needs.
ANY = {
    *("account:read", "image:read", "regions:read", "sizes:read"),
    *("tag:create", "tag:read", "tag:delete"),
    *(
        f"{kind}:{verb}"
        for kind in ("droplet", "firewall", "ssh_key")
        for verb in ("create", "read", "update", "delete")
    ),
}


def every(*kinds: str) -> set[str]:
    return {f"{kind}:{verb}" for kind in kinds for verb in ("create", "read", "update", "delete")}


PLANS: dict[str, tuple[dict[str, object], set[str]]] = {
    "single-node": ({"topology": "single-node"}, every("project", "vpc")),
    "an own address": (
        {"topology": "single-node", "reservedIp": "auto"},
        every("project", "vpc", "reserved_ip"),
    ),
    "an address that is there": (
        {"topology": "single-node", "reservedIp": ADDRESS},
        every("project", "vpc") | {"reserved_ip:read", "reserved_ip:update"},
    ),
    "pg": ({}, every("project", "vpc", "load_balancer", "database") | {"database:view_credentials"}),
    "mysql": (
        {"datastoreEngine": "mysql", "datastoreVersion": "8"},
        every("project", "vpc", "load_balancer", "database") | {"database:view_credentials"},
    ),
    "etcd": ({"datastoreEngine": "etcd", "serverCount": 3}, every("project", "vpc", "load_balancer")),
    "a name": (
        {"topology": "single-node", "apiDomain": "k3s.example.com"},
        every("project", "vpc", "domain"),
    ),
    "in what is there": (
        {"topology": "single-node", "projectName": "platform", "vpcId": VPC},
        {"project:read", "project:assign_resource", "vpc:read"},
    ),
}
IN_ACCOUNT = replace(
    ACCOUNT,
    vpcs=(*(ACCOUNT.vpcs or ()), Vpc(VPC, "shared", "fra1", IPv4Network("10.30.0.0/20"))),
    domains=("example.com",),
    database_offers={"pg": DatabaseOffer(HERE, ("17",), LAYOUTS), "mysql": DatabaseOffer(HERE, ("8",), LAYOUTS)},
)


@pytest.mark.parametrize(("changes", "more"), PLANS.values(), ids=PLANS.keys())
def test_a_token_needs_the_scopes_of_all_that_the_plan_has_and_no_other(
    changes: dict[str, object], more: set[str]
) -> None:
    plan = settings(**changes)
    needed = needed_scopes(plan)
    assert set(needed) == ANY | more | ({"actions:read"} if plan.topology == "single-node" else set())
    assert problems(plan, replace(IN_ACCOUNT, scopes=needed)) == []


@pytest.mark.parametrize("changes", [changes for changes, _ in PLANS.values()], ids=PLANS.keys())
def test_a_token_that_lacks_any_one_of_them_is_told_its_name(changes: dict[str, object]) -> None:
    plan = settings(**changes)
    for scope in needed_scopes(plan):
        rest = tuple(each for each in needed_scopes(plan) if each != scope)
        (problem,) = problems(plan, replace(IN_ACCOUNT, scopes=rest))
        assert problem.startswith(f"token: lacks the scope `{scope}`, which this stack needs ")


def test_a_name_in_nobody_s_domain_needs_no_right_to_change_domains() -> None:
    plan = settings(topology="single-node", apiDomain="k3s.example.org")
    has = tuple(scope for scope in needed_scopes(plan) if not scope.startswith("domain:"))
    assert problems(plan, replace(IN_ACCOUNT, scopes=(*has, "domain:read"))) == []
    unanswered = replace(IN_ACCOUNT, domains=None)
    assert problems(plan, replace(unanswered, scopes=(*has, "domain:read"))) == []
    (problem,) = problems(plan, replace(unanswered, scopes=has))
    assert "`domain:create`, `domain:delete`, `domain:read`, `domain:update`" in problem


@pytest.mark.parametrize("full", [("read", "write"), ("write",), ("api:write",), ("api:read", "api:write")])
def test_full_access_is_enough_in_old_words_and_new_ones(full: tuple[str, ...]) -> None:
    assert problems(settings(), replace(ACCOUNT, scopes=full)) == []


def test_a_right_that_includes_another_is_taken_for_it() -> None:
    needed = set(needed_scopes(settings()))
    assert (
        problems(settings(), replace(ACCOUNT, scopes=("read", *(s for s in needed if not s.endswith(":read"))))) == []
    )
    joins = settings(projectName="platform")
    has = set(needed_scopes(joins)) - {"project:assign_resource"} | {"project:update"}
    assert problems(joins, replace(ACCOUNT, scopes=tuple(has))) == []


def test_reading_alone_is_refused_in_new_words_too() -> None:
    (problem,) = problems(settings(), replace(ACCOUNT, scopes=("api:read",)))
    assert problem.startswith("token: may only read")


def test_scopes_of_a_form_that_is_not_known_are_not_held_against_the_token() -> None:
    assert problems(settings(), replace(ACCOUNT, scopes=("admin",))) == []


def test_a_later_run_finds_its_own_vpc_and_droplets_in_place() -> None:
    account = with_cluster(replace(ACCOUNT, droplet_limit=4))
    own = Vpc("own", "k3s-vpc-01", "fra1", IPv4Network("10.10.10.0/24"))
    assert problems(settings(), replace(account, vpcs=(own,))) == []


def test_a_cluster_is_new_only_where_the_account_is_known_to_have_no_droplet_of_it() -> None:
    assert is_new(settings(), ACCOUNT)
    assert not is_new(settings(), with_cluster(ACCOUNT))
    assert is_new(settings(namePrefix="blue"), with_cluster(ACCOUNT))
    assert not is_new(settings(), replace(ACCOUNT, droplets=None))


def test_the_first_vpc_of_a_region_is_said_to_stay() -> None:
    elsewhere = replace(ACCOUNT, vpcs=(Vpc("1", "one", "ams3", IPv4Network("10.20.0.0/20")),))
    (said,) = advice(settings(), elsewhere)
    assert "fra1 has no VPC yet" in said
    assert "`pulumi destroy` will leave `k3s-vpc-01`" in said
    assert advice(settings(vpcId="5b0b6f26-5b0a-4b0e-9b0a-5b0b6f265b0a"), elsewhere) == []
    assert advice(settings(), ACCOUNT) == []
    assert advice(settings(), replace(ACCOUNT, vpcs=None)) == []


def test_a_size_with_less_memory_than_k3s_asks_is_said() -> None:
    small = [
        replace(ACCOUNT.sizes[0], slug=slug, memory=memory) for slug, memory in (("s-small", 2047), ("s-tiny", 511))
    ]
    account = replace(ACCOUNT, sizes=(*ACCOUNT.sizes, *small))
    assert advice(settings(serverSize="s-small"), account) == [
        "serverSize: `s-small` has 2047 MiB of memory, and K3s asks 2048 for servers."
    ]
    assert advice(settings(agentSize="s-tiny"), account) == [
        "agentSize: `s-tiny` has 511 MiB of memory, and K3s asks 512 for agents."
    ]
    assert advice(settings(agentSize="s-small"), account) == []


def test_a_default_vpc_that_an_earlier_stack_left_is_pointed_at() -> None:
    default = Vpc("left-1", "k3s-vpc-01", "fra1", IPv4Network("10.10.10.0/24"), default=True)
    (said,) = advice(settings(), replace(ACCOUNT, vpcs=(default,)))
    assert "`pulumi config set vpcId left-1`" in said
    assert advice(settings(), replace(with_cluster(ACCOUNT), vpcs=(default,))) == []
    assert advice(settings(), replace(ACCOUNT, vpcs=(replace(default, default=False),))) == []


def test_what_runs_may_be_of_a_size_or_image_that_is_no_longer_offered() -> None:
    retired = with_cluster(replace(ACCOUNT, sizes=()), image="")
    assert problems(settings(image="ubuntu-20-04-x64"), retired) == []
    one_more = problems(settings(image="ubuntu-20-04-x64", agentCount=2), retired)
    assert [problem.split(":")[0] for problem in one_more] == ["image", "agentSize"]


def test_a_database_that_runs_may_be_of_a_version_that_is_no_longer_offered() -> None:
    runs = replace(ACCOUNT, databases=(Database("k3s-ext-datastore", "pg", "14", "db-s-1vcpu-1gb", 1),))
    assert problems(settings(datastoreVersion="14", datastoreSize="db-s-1vcpu-1gb"), runs) == []
    assert problems(settings(datastoreVersion="14", datastoreSize="db-s-1vcpu-2gb"), runs) == []
    assert problems(settings(datastoreVersion="13"), runs) != []


def test_a_database_that_runs_may_be_of_a_size_that_is_no_longer_offered() -> None:
    runs = replace(ACCOUNT, databases=(Database("k3s-ext-datastore", "pg", "16", "db-s-9vcpu-1gb", 1),))
    assert problems(settings(datastoreVersion="17", datastoreSize="db-s-9vcpu-1gb"), runs) == []
    assert problems(settings(datastoreVersion="16", datastoreSize="db-s-9vcpu-2gb"), runs) != []


def test_another_image_is_looked_at_before_droplets_are_replaced() -> None:
    (problem,) = problems(settings(image="ubuntu-20-04-x64"), with_cluster())
    assert problem.startswith("image: `ubuntu-20-04-x64` is retired")


def test_a_database_is_no_matter_where_the_state_is_elsewhere() -> None:
    etcd = settings(datastoreEngine="etcd", serverCount=3, datastoreVersion="11")
    assert problems(etcd, replace(ACCOUNT, database_offers={})) == []


def test_sizes_that_no_node_has_are_not_looked_at() -> None:
    assert problems(settings(agentCount=0, agentSize="no-such-size"), ACCOUNT) == []
    assert set(HERE) == {"fra1", "ams3"}


RESTORE = {"datastoreRestoreFrom": "old", "datastoreRestoreToken": "token"}
OLD = Database("old", "pg", "17", "db-s-1vcpu-1gb", 1, ("doadmin", "old_default_user"))
BACKED_UP = replace(
    ACCOUNT,
    databases=(OLD,),
    database_backups=(datetime(2026, 1, 30, 19, 25, 21, tzinfo=UTC), datetime(2026, 1, 31, 19, 25, 22, 5, tzinfo=UTC)),
)


def test_a_restore_that_can_be_is_not_held_against_the_plan() -> None:
    assert problems(settings(**RESTORE), BACKED_UP) == []
    assert problems(settings(**RESTORE, datastoreRestoreAt="2026-01-31T19:25:22Z"), BACKED_UP) == []
    assert problems(settings(**RESTORE, datastoreSize="db-s-1vcpu-2gb", datastoreNodes=2), BACKED_UP) == []
    # Nothing is known.
    assert problems(settings(**RESTORE), Account()) == []
    assert problems(settings(**RESTORE), replace(BACKED_UP, database_backups=None)) == []


def test_once_the_copy_is_there_the_old_database_may_go() -> None:
    own = Database("k3s-ext-datastore", "pg", "17", "db-s-1vcpu-1gb", 1)
    assert problems(settings(**RESTORE), replace(ACCOUNT, databases=(own,), database_backups=())) == []


@pytest.mark.parametrize(
    ("changes", "account", "problem"),
    [
        (
            {"datastoreRestoreFrom": "odd"},
            BACKED_UP,
            "datastoreRestoreFrom: `odd` is no database of this account; the nearest is `old`.",
        ),
        (
            {},
            replace(BACKED_UP, databases=()),
            "datastoreRestoreFrom: `old` is no database of this account; the account has none, and backups go with "
            "their database.",
        ),
        (
            {},
            replace(BACKED_UP, databases=(replace(OLD, engine="mysql", version="8"),)),
            "datastoreEngine: `pg` cannot be made of a backup of `old`, which is of engine `mysql`; set "
            "datastoreEngine to that, or choose another database.",
        ),
        (
            {"datastoreVersion": "16"},
            BACKED_UP,
            "datastoreVersion: `16` is not the version of `old`, of which a backup is to be restored; set it to `17`, "
            "and raise it after the restore.",
        ),
        (
            {"datastoreSize": "db-s-1vcpu-1gb"},
            replace(BACKED_UP, databases=(replace(OLD, size="db-s-1vcpu-2gb"),)),
            "datastoreSize: `db-s-1vcpu-1gb` is smaller than `old`, which has `db-s-1vcpu-2gb`; set it to that, or a "
            "larger one.",
        ),
        (
            {},
            replace(BACKED_UP, databases=(replace(OLD, users=("doadmin", "k3s_default_user")),)),
            "namePrefix: `k3s` makes `k3s_default_user` of the database's user, and `old` has one of that name, which "
            "would come along; choose another prefix, or raise datastorePasswordVersion.",
        ),
        (
            {},
            replace(BACKED_UP, database_backups=()),
            "datastoreRestoreFrom: `old` has no backup yet; DigitalOcean makes one every day.",
        ),
        (
            {"datastoreRestoreAt": "2026-01-31T19:25:23Z"},
            BACKED_UP,
            "datastoreRestoreAt: `2026-01-31T19:25:23Z` is no time of a backup of `old`; the last are "
            "`2026-01-30T19:25:21Z` and `2026-01-31T19:25:22Z`.",
        ),
    ],
)
def test_a_restore_that_cannot_be_is_one_line(changes: dict[str, object], account: Account, problem: str) -> None:
    assert problems(settings(**{**RESTORE, **changes}), account) == [problem]
