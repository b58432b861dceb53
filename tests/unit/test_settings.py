"""Settings: defaults that fit the topology, and one clear line for everything that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_cluster.settings import (
    KEYS,
    SECRET_KEYS,
    DatastoreRestoreSettings,
    EmbeddedEtcdSettings,
    EtcdS3Settings,
    ExternalDatastoreSettings,
    ManagedDatastoreSettings,
    SqliteDatastoreSettings,
    cron,
    parse_settings,
)
from k3s_cluster.settings.parse import without_effect
from tests.unit.stack_files import CHECKOUT, config, declared, refusals, stack_config


def test_pulumi_yaml_declares_exactly_the_keys_that_are_read() -> None:
    assert set(declared()) == set(KEYS)
    assert all(entry["description"] for entry in declared().values())


def test_defaults_make_the_reference_cluster() -> None:
    settings = parse_settings(config(), stack="fra1", folder=CHECKOUT)
    assert (settings.topology, settings.region, settings.image) == ("ha", "fra1", "ubuntu-24-04-x64")
    assert (settings.servers.count, settings.servers.size) == (2, "s-2vcpu-4gb")
    (pool,) = settings.agent_pools
    assert (pool.name, pool.count, pool.size) == ("agent", 1, "s-1vcpu-2gb")
    assert (settings.server_tag, settings.agent_tag) == ("k3s_server", "k3s_agent")
    assert settings.datastore == ManagedDatastoreSettings(
        "pg", "17", "db-s-1vcpu-2gb", 1, protect=True, password_version=1
    )
    assert settings.load_balancer is not None
    assert (settings.load_balancer.nodes, settings.load_balancer.interval) == (1, 10)
    assert (settings.load_balancer.healthy, settings.load_balancer.unhealthy) == (5, 3)
    assert settings.access.open_to_everyone
    assert settings.kubeconfig_path == "kubeconfig/fra1.yaml"


def test_a_single_node_has_one_server_no_agent_no_database_and_no_load_balancer() -> None:
    settings = parse_settings(config(topology="single-node"), stack="dev", folder=CHECKOUT)
    assert (settings.servers.count, settings.agent_count) == (1, 0)
    assert settings.datastore == SqliteDatastoreSettings()
    assert settings.load_balancer is None


def test_a_single_node_may_have_agents() -> None:
    settings = parse_settings(config(topology="single-node", agentCount=3), stack="dev", folder=CHECKOUT)
    assert (settings.servers.count, settings.agent_count) == (1, 3)


@pytest.mark.parametrize("topology", ["ha", "single-node"])
@pytest.mark.parametrize(("engine", "version"), [("pg", "17"), ("mysql", "8")])
def test_either_topology_may_have_a_managed_database(topology: str, engine: str, version: str) -> None:
    given = config(topology=topology, datastoreEngine=engine, datastoreSize="db-s-2vcpu-4gb", datastoreNodes=2)
    settings = parse_settings(given, stack="dev", folder=CHECKOUT)
    assert settings.datastore == ManagedDatastoreSettings(
        engine, version, "db-s-2vcpu-4gb", 2, protect=True, password_version=1
    )  # type: ignore[arg-type]


def test_etcd_has_three_servers_unless_told_otherwise_and_one_on_a_single_node() -> None:
    ha = parse_settings(config(datastoreEngine="etcd"), stack="dev", folder=CHECKOUT)
    every_twelve_hours = EmbeddedEtcdSettings("0 */12 * * *", 5, None)
    assert (ha.datastore, ha.servers.count) == (every_twelve_hours, 3)
    five = parse_settings(config(datastoreEngine="etcd", serverCount=5), stack="dev", folder=CHECKOUT)
    assert five.servers.count == 5
    single = parse_settings(config(datastoreEngine="etcd", topology="single-node"), stack="dev", folder=CHECKOUT)
    assert (single.datastore, single.servers.count) == (every_twelve_hours, 1)


BUCKET = {
    "endpoint": "fra1.digitaloceanspaces.com",
    "bucket": "snapshots",
    "accessKey": "hidden-access",
    "secretKey": "hidden-secret",
}


def test_snapshots_of_etcd_go_to_a_bucket_whose_keys_are_not_shown() -> None:
    given = config(datastoreEngine="etcd", etcdSnapshotSchedule="@every 6h", etcdSnapshotRetention=9, etcdS3=BUCKET)
    settings = parse_settings(given, stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)
    s3 = EtcdS3Settings(
        "fra1.digitaloceanspaces.com", "snapshots", "us-east-1", "", None, "hidden-access", "hidden-secret"
    )
    assert settings.datastore == EmbeddedEtcdSettings("@every 6h", 9, s3)
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("bucket", "endpoint"), [("fra1", "fra1.digitaloceanspaces.com"), ("minio", "minio.example.com:9000")]
)
def test_a_host_may_begin_like_its_bucket(bucket: str, endpoint: str) -> None:
    given = config(datastoreEngine="etcd", etcdS3={**BUCKET, "bucket": bucket, "endpoint": endpoint})
    datastore = parse_settings(given, stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS).datastore
    assert isinstance(datastore, EmbeddedEtcdSettings)
    assert datastore.s3 is not None
    assert datastore.s3.endpoint == endpoint


@pytest.mark.parametrize(
    ("version", "refused"),
    [("v1.33.3+k3s1", True), ("v1.33.4+k3s1", False), ("v1.32.8+k3s1", False), ("v1.30.14+k3s2", True)],
)
def test_snapshots_in_a_bucket_are_counted_by_a_k3s_that_can(version: str, refused: bool) -> None:
    given = config(datastoreEngine="etcd", k3sVersion=version, etcdS3={**BUCKET, "retention": "9"})
    if not refused:
        parse_settings(given, stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)
        return
    (problem,) = refusals(given)
    assert problem == (
        f"etcdS3: retention needs a K3s of August 2025 or later, and k3sVersion is `{version}`; raise k3sVersion, or "
        "`pulumi config rm --path etcdS3.retention`."
    )
    given = config(datastoreEngine="etcd", k3sVersion=version, etcdS3=BUCKET)
    parse_settings(given, stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"endpoint": "minio.example.com:65536"}, "has an invalid port in endpoint; use a number from 1 to 65535"),
        ({"endpoint": "minio.example.com:0"}, "has an invalid port in endpoint; use a number from 1 to 65535"),
        ({"bucket": ""}, "needs a text for bucket; set it with `pulumi config set --path --secret etcdS3.bucket`"),
        ({"key": "x"}, "has the unknown key `key`; there are `endpoint`, `bucket`, `accessKey`, `secretKey`, "),
        ({"endpoint": "https://s3"}, "needs for endpoint a host, such as `fra1.digitaloceanspaces.com`"),
        ({"endpoint": "snapshots.fra1.digitaloceanspaces.com"}, "needs for endpoint the region's host alone, such as "),
        ({"retention": "0"}, "needs for retention a number from 1 to 9999"),
        ({"retention": "many"}, "needs for retention a number from 1 to 9999"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_refused_without_its_keys(changes: dict[str, str], problem: str) -> None:
    (refused,) = refusals(config(datastoreEngine="etcd", etcdS3={**BUCKET, **changes}))
    assert refused.startswith(f"etcdS3: its value {problem}")
    assert "hidden" not in refused


def test_a_bucket_s_keys_are_refused_in_plain_and_with_another_engine() -> None:
    (plain,) = refusals(config(datastoreEngine="etcd", etcdS3=BUCKET), secrets=())
    assert plain == "etcdS3: is kept in plain text; set it with `pulumi config set --secret --path etcdS3.secretKey`."
    (other,) = refusals(config(etcdS3=BUCKET))
    assert other.startswith("etcdS3: is for datastoreEngine `etcd` only, and this stack has `pg`")
    (schedule,) = refusals(config(datastoreEngine="etcd", etcdSnapshotSchedule="often"))
    assert schedule == (
        "etcdSnapshotSchedule: `often` must be a cron expression of five fields, such as `0 */12 * * *`, "
        "or `@every 6h`."
    )


ENDPOINT = "postgres://k3s:hidden-password@db.example.com:5432/k3s"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("topology", ["ha", "single-node"])
def test_an_external_datastore_is_an_endpoint_that_nothing_shows_and_a_ca(topology: str) -> None:
    given = config(
        topology=topology, datastoreEngine="external", datastoreEndpoint=ENDPOINT, datastoreCa=CERTIFICATE.strip()
    )
    settings = parse_settings(given, stack="dev", folder=CHECKOUT, secrets=["datastoreEndpoint"])
    assert settings.datastore == ExternalDatastoreSettings(ENDPOINT, CERTIFICATE)
    assert "hidden-password" not in repr(settings)


def test_an_endpoint_in_plain_or_of_another_kind_is_refused_without_showing_it() -> None:
    given = config(datastoreEngine="external", datastoreEndpoint=ENDPOINT)
    assert refusals(given, secrets=()) == (
        "datastoreEndpoint: is kept in plain text; set it with `pulumi config set --secret datastoreEndpoint`.",
    )
    given = config(datastoreEngine="external", datastoreEndpoint="redis://:hidden-password@db.example.com")
    (problem,) = refusals(given)
    assert problem.startswith("datastoreEndpoint: its value must be a datastore endpoint of K3s: `postgres://")
    assert "hidden-password" not in problem


def test_a_backup_is_restored_into_an_external_sql_database_and_nothing_else_external() -> None:
    given = config(datastoreEngine="external", datastoreEndpoint=ENDPOINT, restoreFile="fra1.backup")
    settings = parse_settings(given, stack="dev", folder=CHECKOUT, secrets=["datastoreEndpoint"])
    assert settings.restore_file == "fra1.backup"
    (problem,) = refusals({**given, "datastoreEndpoint": "https://k3s:hidden-password@db.example.com:2379"})
    assert problem.startswith("restoreFile: a backup cannot be restored into datastoreEngine `external`; choose")


@pytest.mark.parametrize("engine", ["pg", "mysql", "etcd"])
def test_a_backup_is_restored_into_every_engine_of_a_highly_available_stack(engine: str) -> None:
    given = config(topology="ha", datastoreEngine=engine, restoreFile="fra1.backup")
    assert parse_settings(given, stack="dev", folder=CHECKOUT).restore_file == "fra1.backup"


@pytest.mark.parametrize("stack", ["fra1", "single", "local"])
def test_the_repository_s_stacks_are_good(stack: str) -> None:
    assert parse_settings(stack_config(stack), stack=stack, folder=CHECKOUT).stack == stack


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


def test_public_key_files_are_read_and_account_keys_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "id_ed25519.pub"
    file.write_text(f"{KEY} me@laptop\n")
    settings = parse_settings(config(sshKeys=["laptop", str(file)]), stack="dev", folder=CHECKOUT)
    assert settings.access.account_keys == ("laptop",)
    assert settings.access.public_keys == (f"{KEY} me@laptop",)


def test_pools_take_the_stack_s_image_and_replace_the_short_form_unless_it_has_a_count() -> None:
    pools = [
        {"name": "big", "count": 2, "size": "s-4vcpu-8gb", "labels": {"disk": "ssd"}, "taints": ["a=b:NoSchedule"]}
    ]
    settings = parse_settings(config(agentPools=pools), stack="dev", folder=CHECKOUT)
    short, big = settings.agent_pools
    assert (short.name, short.count) == ("agent", 0)
    assert (big.name, big.count, big.image) == ("big", 2, "ubuntu-24-04-x64")
    assert (big.labels, big.taints) == ((("disk", "ssd"),), ("a=b:NoSchedule",))
    both = parse_settings(config(agentPools=pools, agentCount=1), stack="dev", folder=CHECKOUT)
    assert [pool.count for pool in both.agent_pools] == [1, 2]


def pool(**changes: object) -> dict[str, object]:
    return {"agentPools": [{"name": "big", "count": 1, "size": "s-4vcpu-8gb", **changes}]}


REFUSED_POOLS = {
    "no list": ({"agentPools": {"big": 1}}, "must be a list of pools, each with name, count and size."),
    "no name": (
        {"agentPools": [{"count": 1, "size": "s-4vcpu-8gb"}]},
        "has no name in pool 1, which must be 1 to 20 lower-case letters, digits and single dashes, "
        "beginning with a letter.",
    ),
    "a name that is taken": (
        pool(name="server"),
        "has `server` for name in pool 1, which must be another word: `server` and `agent` are taken by serverCount "
        "and agentCount.",
    ),
    "no size": (
        {"agentPools": [{"name": "big", "count": 1}]},
        "has no size in pool 1, which must be a droplet size's slug, such as `s-1vcpu-2gb`.",
    ),
    "a count below zero": (
        pool(count=-1),
        "has `-1` for count in pool 1, which must be a whole number from 0 to 1000.",
    ),
    "a size that is no slug": (
        pool(size="huge one"),
        "has `huge one` for size in pool 1, which must be a droplet size's slug, such as `s-1vcpu-2gb`.",
    ),
    "a taint without effect": (
        pool(taints=["dedicated=batch"]),
        "has `['dedicated=batch']` for taints in pool 1, which must be a list of taints such as "
        "`dedicated=batch:NoSchedule`.",
    ),
    "a label with a space": (
        pool(labels={"disk": "very fast"}),
        "has `{'disk': 'very fast'}` for labels in pool 1, which must be a map of label names to texts; put a value in "
        "quotes.",
    ),
    "a label that Kubernetes sets": (
        pool(labels={"kubernetes.io/hostname": "mine"}),
        "has the label `kubernetes.io/hostname` in pool 1, which Kubernetes sets itself; choose another name, such as "
        "`hostname` alone.",
    ),
    "a server's role": (
        pool(labels={"node-role.kubernetes.io/control-plane": "true"}),
        "has the label `node-role.kubernetes.io/control-plane` in pool 1, which Kubernetes sets itself; choose another "
        "name, such as `control-plane` alone.",
    ),
    "an unknown key": (
        pool(lables={}),
        "has the unknown key `lables` in pool 1; there are `name`, `count`, `size`, `image`, `labels` or `taints`.",
    ),
    "a label that YAML rounds": (
        pool(labels={"version": 1.1}),
        "has `{'version': 1.1}` for labels in pool 1, which must be a map of label names to texts; put a "
        "value in quotes.",
    ),
    "two taints of one key and effect": (
        pool(taints=["dedicated=a:NoSchedule", "dedicated=b:NoSchedule"]),
        "has two taints `dedicated` with the effect NoSchedule in pool 1; Kubernetes takes one.",
    ),
    "a count in other digits": (
        pool(count="\u0663"),
        "has `\u0663` for count in pool 1, which must be a whole number from 0 to 1000.",
    ),
    "two of one name": (
        {"agentPools": [{"name": "big", "count": 1, "size": "s"}, {"name": "big", "count": 2, "size": "s"}]},
        "has two pools called `big`; give each a name of its own.",
    ),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED_POOLS.values(), ids=REFUSED_POOLS.keys())
def test_refused_pools(changes: dict[str, object], message: str) -> None:
    (problem,) = refusals(config(**changes))
    assert problem == f"agentPools: `{config(**changes)['agentPools']}` {message}"


REFUSED = {
    "unknown topology": ({"topology": "cluster"}, "topology: `cluster` must be `single-node` or `ha`."),
    "one server in ha": (
        {"serverCount": 1},
        "serverCount: `1` is too few for topology `ha`, which needs at least 2; "
        "set serverCount to 2, or topology to `single-node`.",
    ),
    "two servers on a single node": (
        {"topology": "single-node", "serverCount": 2},
        "serverCount: `2` does not fit topology `single-node`, which has 1; "
        "leave serverCount at `auto`, or set topology to `ha`.",
    ),
    "agents below zero": ({"agentCount": -1}, "agentCount: `-1` must be a whole number from 0 to 1000, or `auto`."),
    "servers below zero": ({"serverCount": -2}, "serverCount: `-2` must be a whole number from 1 to 1000, or `auto`."),
    "a count that is no number": (
        {"agentCount": "many"},
        "agentCount: `many` must be a whole number from 0 to 1000, or `auto`.",
    ),
    "a count with a fraction": (
        {"agentCount": 1.5},
        "agentCount: `1.5` must be a whole number from 0 to 1000, or `auto`.",
    ),
    "a region that is none": ({"region": "Frankfurt"}, "region: `Frankfurt` must be a region's slug, such as `fra1`."),
    "a prefix that no host name may have": (
        {"namePrefix": "K3s_"},
        "namePrefix: `K3s_` must be 1 to 24 lower-case letters, digits and single dashes, beginning with a letter.",
    ),
    "a prefix that is too long": (
        {"namePrefix": "a" * 25},
        f"namePrefix: `{'a' * 25}` must be 1 to 24 lower-case letters, digits and single dashes, "
        "beginning with a letter.",
    ),
    "an unknown environment": (
        {"projectEnvironment": "Test"},
        "projectEnvironment: `Test` must be `Development`, `Staging` or `Production`.",
    ),
    "a range that is none": (
        {"vpcCidr": "ten"},
        "vpcCidr: `ten` must be an IPv4 range such as 10.10.10.0/24 (Expected 4 octets in 'ten').",
    ),
    "a range with host bits": (
        {"vpcCidr": "10.10.10.1/24"},
        "vpcCidr: `10.10.10.1/24` must be an IPv4 range such as 10.10.10.0/24 (10.10.10.1/24 has host bits set).",
    ),
    "a public range": (
        {"vpcCidr": "8.8.8.0/24"},
        "vpcCidr: `8.8.8.0/24` must be private: inside `10.0.0.0/8`, `172.16.0.0/12` or `192.168.0.0/16`.",
    ),
    "a range larger than a VPC": (
        {"vpcCidr": "10.0.0.0/8"},
        "vpcCidr: `10.0.0.0/8` must be from /16 to /28 in size, as DigitalOcean's VPCs are.",
    ),
    "K3s's pod range": (
        {"vpcCidr": "10.42.0.0/24"},
        "vpcCidr: `10.42.0.0/24` overlaps 10.42.0.0/16, which K3s gives to pods; choose another range, or another "
        "`cluster-cidr` in k3sServerConfig before the cluster is made.",
    ),
    "DigitalOcean's own range": (
        {"vpcCidr": "10.244.1.0/24"},
        "vpcCidr: `10.244.1.0/24` must not overlap 10.244.0.0/16, which DigitalOcean uses itself.",
    ),
    "more ranges than a firewall's rule takes": (
        {"topology": "single-node", "adminCidrs": [f"198.51.{n // 200}.{n % 200}/32" for n in range(1000)]},
        "adminCidrs: holds 1000 ranges, and a rule of this stack's firewalls takes 999; give networks instead of "
        "single addresses.",
    ),
    "more than one with a load balancer takes": (
        {"adminCidrs": [f"198.51.{n // 200}.{n % 200}/32" for n in range(1001)]},
        "adminCidrs: holds 1001 ranges, and a rule of this stack's firewalls takes 1000; give networks instead of "
        "single addresses.",
    ),
    "a range too small for the nodes": (
        {"vpcCidr": "10.10.10.0/28", "agentCount": 9},
        "vpcCidr: `10.10.10.0/28` is too small: it has room for 11 addresses, and this stack needs 13 "
        "(11 droplets, 2 for load balancer and datastore); choose a larger range or fewer nodes.",
    ),
    "a size that is no slug": (
        {"serverSize": "4 GB"},
        "serverSize: `4 GB` must be a droplet size's slug, such as `s-2vcpu-4gb`.",
    ),
    "a version without its K3s part": (
        {"k3sVersion": "v1.36.4"},
        "k3sVersion: `v1.36.4` must be a K3s release such as `v1.36.4+k3s1`.",
    ),
    "an unknown component": (
        {"disable": ["treafik"]},
        'disable: `["treafik"]` may hold `traefik`, `servicelb`, `local-storage` or `metrics-server`, not `treafik`.',
    ),
    "a list that is none": (
        {"disable": "traefik"},
        "disable: `traefik` must be a list of strings; set one with `pulumi config set --path 'KEY[0]' VALUE`.",
    ),
    "an engine that is not offered": (
        {"datastoreEngine": "redis"},
        "datastoreEngine: `redis` must be `auto`, `sqlite`, `pg`, `mysql`, `etcd` or `external`.",
    ),
    "SQLite under several servers": (
        {"datastoreEngine": "sqlite"},
        "datastoreEngine: `sqlite` is a file on one server's disk, which topology `ha` cannot share; "
        "choose `pg`, `mysql`, `etcd` or `external`, or set topology to `single-node`.",
    ),
    "etcd on two servers": (
        {"datastoreEngine": "etcd", "serverCount": 2},
        "serverCount: `2` is too few for datastoreEngine `etcd`, which needs 3 servers to outlive one; "
        "set serverCount to `auto` or 3.",
    ),
    "etcd on four servers": (
        {"datastoreEngine": "etcd", "serverCount": 4},
        "serverCount: `4` is even, and etcd outlives no more failures with it than with 3; set serverCount to 3 or 5.",
    ),
    "an external datastore nowhere": (
        {"datastoreEngine": "external"},
        "datastoreEndpoint: has no value, and datastoreEngine `external` needs one; "
        "set it with `pulumi config set --secret datastoreEndpoint`.",
    ),
    "an endpoint of an engine that has none": (
        {"datastoreEndpoint": "https://10.0.0.1:2379"},
        "datastoreEndpoint: is for datastoreEngine `external` only, and this stack has `pg`; "
        "set datastoreEngine, or `pulumi config rm datastoreEndpoint`.",
    ),
    "a CA that is none": (
        {"datastoreCa": "ca.pem"},
        "datastoreCa: `ca.pem` must be certificates in PEM; set them with `pulumi config set datastoreCa < ca.pem`.",
    ),
    "a database version with a dot": (
        {"datastoreVersion": "17.2"},
        "datastoreVersion: `17.2` must be a major version, such as `17`, or `auto`.",
    ),
    "a prefix too long for a MySQL user": (
        {"datastoreEngine": "mysql", "namePrefix": "production-europe-west"},
        "namePrefix: `production-europe-west` makes `production_europe_west_default_user` of the database's user, "
        "and MySQL takes 32 characters; choose a shorter prefix.",
    ),
    "a password before the first": (
        {"datastorePasswordVersion": 0},
        "datastorePasswordVersion: `0` must be a whole number from 1 to 999.",
    ),
    "neither protected nor not": (
        {"datastoreProtect": "maybe"},
        "datastoreProtect: `maybe` must be `true` or `false`.",
    ),
    "a restore from a database that has no such name": (
        {"datastoreRestoreFrom": "Old_Store"},
        "datastoreRestoreFrom: `Old_Store` must be a database cluster's name: `doctl databases list` shows them.",
    ),
    "a backup of no zone's time": (
        {"datastoreRestoreFrom": "old", "datastoreRestoreAt": "2026-01-31T19:25:22"},
        "datastoreRestoreAt: `2026-01-31T19:25:22` must be a time with a zone, such as `2026-01-31T19:25:22Z`; "
        "`doctl databases backups` has them.",
    ),
    "a date where YAML needs quotes": (
        {"datastoreVersion": "2026-01-31 00:00:00 +0000 UTC"},
        "datastoreVersion: `2026-01-31 00:00:00 +0000 UTC` must be a major version, such as `17`, or `auto`. YAML "
        "takes `2026-01-31` for a date where it has no quotes: put it in quotes if you meant a text.",
    ),
    "a date that would be a file": (
        {"topology": "single-node", "restoreFile": "2026-01-31 00:00:00 +0000 UTC"},
        "restoreFile: `2026-01-31 00:00:00 +0000 UTC` is what YAML makes of a date without quotes; put it in quotes.",
    ),
    "a date that would be a name": (
        {"projectName": "2026-01-31 00:00:00 +0000 UTC"},
        "projectName: `2026-01-31 00:00:00 +0000 UTC` is what YAML makes of a date without quotes; put it in quotes.",
    ),
    "a time where YAML needs quotes": (
        {"namePrefix": "2026-01-31 19:25:22 +0100 +0100"},
        "namePrefix: `2026-01-31 19:25:22 +0100 +0100` must be 1 to 24 lower-case letters, digits and single dashes, "
        "beginning with a letter. YAML takes `2026-01-31 19:25:22` for a date where it has no quotes: put it in quotes "
        "if you meant a text.",
    ),
    "a key's text for its file": (
        {"sshKeys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI me@home"]},
        'sshKeys: `["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI me@home"]` holds the text of an `ssh-ed25519` key: write it '
        "into a file, and give the file's path, such as `~/.ssh/id_ed25519.pub`.",
    ),
    "a key that is nothing": (
        {"sshKeys": [""]},
        "sshKeys: `[\"\"]` holds an empty entry: give a key's name in the account, its fingerprint, or a file's path.",
    ),
    "a restore without the token": (
        {"datastoreRestoreFrom": "old"},
        "datastoreRestoreToken: has no value, and datastoreRestoreFrom needs the old cluster's server token, which "
        "opens its rows; set it with `pulumi config set --secret datastoreRestoreToken`.",
    ),
    "a token that is none": (
        {"datastoreRestoreFrom": "old", "datastoreRestoreToken": "hidden token"},
        "datastoreRestoreToken: its value must be a server token, as `/var/lib/rancher/k3s/server/token` on a server "
        "has it.",
    ),
    "a token for nothing": (
        {"datastoreRestoreToken": "hidden"},
        "datastoreRestoreToken: belongs to datastoreRestoreFrom, which names no database; set that too, or "
        "`pulumi config rm datastoreRestoreToken`.",
    ),
    "a database made of itself": (
        {"datastoreRestoreFrom": "k3s-ext-datastore", "datastoreRestoreToken": "hidden"},
        "datastoreRestoreFrom: `k3s-ext-datastore` is what this stack's own database is called, and a copy needs "
        "another name; choose another namePrefix.",
    ),
    "two backups": (
        {"datastoreRestoreFrom": "old", "datastoreRestoreToken": "hidden", "restoreFile": "fra1.backup"},
        "datastoreRestoreFrom: `old` and restoreFile `fra1.backup` each fill the datastore; choose one, and "
        "`pulumi config rm` the other.",
    ),
    "DigitalOcean's backup of what it does not keep": (
        {"datastoreEngine": "etcd", "datastoreRestoreFrom": "old"},
        "datastoreRestoreFrom: is for datastoreEngine `pg` and `mysql`, which DigitalOcean backs up, and this stack "
        "has `etcd`; set datastoreEngine, or `pulumi config rm datastoreRestoreFrom`.",
    ),
    "no database node": ({"datastoreNodes": 0}, "datastoreNodes: `0` must be a whole number from 1 to 3."),
    "an unknown load balancer size": (
        {"loadBalancerSize": "lb-huge"},
        "loadBalancerSize: `lb-huge` must be `lb-small`, `lb-medium` or `lb-large`, or a number from 1 to 200.",
    ),
    "a health check every second": (
        {"healthCheckInterval": 1},
        "healthCheckInterval: `1` must be a whole number from 3 to 300.",
    ),
    "one check to be healthy": (
        {"healthCheckHealthy": 1},
        "healthCheckHealthy: `1` must be a whole number from 2 to 10.",
    ),
    "eleven checks to be unhealthy": (
        {"healthCheckUnhealthy": 11},
        "healthCheckUnhealthy: `11` must be a whole number from 2 to 10.",
    ),
    "an administrator nowhere": (
        {"adminCidrs": ["home"]},
        'adminCidrs: `["home"]` must hold ranges such as 198.51.100.7/32; `home` is none '
        "('home' does not appear to be an IPv4 or IPv6 network).",
    ),
    "nobody may come in": (
        {"adminCidrs": []},
        "adminCidrs: `[]` lets nobody in, not even `pulumi up`; name at least your own address.",
    ),
    "only IPv6 may come in": (
        {"adminCidrs": ["2001:db8::/64"]},
        "adminCidrs: holds no IPv4 range, and droplets are reached by IPv4; name your own address.",
    ),
    "firewall rules as a text": (
        {"firewallRules": "8080"},
        "firewallRules: `8080` must be a list of rules, each with ports and sources.",
    ),
    "a firewall rule without sources": (
        {"firewallRules": [{"ports": 8080}]},
        'firewallRules: `[{"ports": 8080}]` has no list of sources in rule 1, such as `198.51.100.0/24`, or '
        "`0.0.0.0/0` for everybody.",
    ),
    "a firewall rule with a misspelt key": (
        {"firewallRules": [{"port": 8080}]},
        'firewallRules: `[{"port": 8080}]` has the unknown key `port` in rule 1; there are `ports`, `sources`, '
        "`protocol` or `nodes`.",
    ),
    "a firewall rule for a range that ends before it begins": (
        {"firewallRules": [{"ports": "90-80", "sources": ["10.0.0.0/8"]}]},
        'firewallRules: `[{"ports": "90-80", "sources": ["10.0.0.0/8"]}]` has `90-80` for ports in rule 1, which must '
        "be a port or a range such as `30000-32767`, up to 65535.",
    ),
    "a firewall rule for another protocol": (
        {"firewallRules": [{"ports": "80", "sources": ["10.0.0.0/8"], "protocol": "icmp"}]},
        'firewallRules: `[{"ports": "80", "sources": ["10.0.0.0/8"], "protocol": "icmp"}]` has `icmp` for protocol in '
        "rule 1, which must be `tcp` or `udp`.",
    ),
    "a firewall rule that opens SSH": (
        {"firewallRules": [{"ports": "20-30", "sources": ["0.0.0.0/0"]}]},
        'firewallRules: `[{"ports": "20-30", "sources": ["0.0.0.0/0"]}]` opens tcp port 22 in rule 1, and adminCidrs '
        "says who reaches SSH.",
    ),
    "a firewall rule from nowhere": (
        {"firewallRules": [{"ports": "8080", "sources": ["home"]}]},
        'firewallRules: `[{"ports": "8080", "sources": ["home"]}]` must hold ranges such as 198.51.100.7/32; `home` is '
        "none ('home' does not appear to be an IPv4 or IPv6 network).",
    ),
    "two firewall rules for one port": (
        {
            "firewallRules": [
                {"ports": 9000, "sources": ["10.0.0.0/8"]},
                {"ports": "9000", "sources": ["10.0.0.0/8"], "nodes": "agents"},
            ]
        },
        'firewallRules: `[{"ports": 9000, "sources": ["10.0.0.0/8"]}, {"ports": "9000", "sources": ["10.0.0.0/8"], '
        '"nodes": "agents"}]` has two rules for tcp 9000; give all their sources to one.',
    ),
    "a firewall rule for Traefik's port": (
        {"firewallRules": [{"ports": "400-500", "sources": ["0.0.0.0/0"]}]},
        "firewallRules: opens tcp 400-500, and ports 80 and 443 are open to everybody while Traefik serves there; "
        "leave them out, or put `traefik` into disable.",
    ),
    "a key file that is not there": (
        {"sshKeys": ["/nowhere/id.pub"]},
        'sshKeys: `["/nowhere/id.pub"]` names a key file that cannot be read: `/nowhere/id.pub` '
        "(No such file or directory); give a public key file.",
    ),
    "a kubeconfig in a missing folder": (
        {"kubeconfigPath": "missing/{stack}.yaml"},
        "kubeconfigPath: `missing/{stack}.yaml` must be in a folder that exists: `mkdir -p missing`, "
        "or choose another path.",
    ),
    "a kubeconfig that is a folder": (
        {"kubeconfigPath": "tests"},
        "kubeconfigPath: `tests` must be a file, and is a folder: add a file name.",
    ),
    "a kubeconfig that is a device": (
        {"kubeconfigPath": "/dev/null"},
        "kubeconfigPath: `/dev/null` must be a file, and is something else: choose another path.",
    ),
    "a kubeconfig that is Pulumi's own file": (
        {"kubeconfigPath": "Pulumi.yaml"},
        "kubeconfigPath: `Pulumi.yaml` is among the program's own files: choose another path, such as "
        "`kubeconfig/{stack}.yaml`.",
    ),
    "a kubeconfig that would be another stack's settings": (
        {"kubeconfigPath": "./Pulumi.{stack}-access.yaml"},
        "kubeconfigPath: `./Pulumi.{stack}-access.yaml` is among the program's own files: choose another path, such as "
        "`kubeconfig/{stack}.yaml`.",
    ),
    "a kubeconfig in the repository's folder": (
        {"kubeconfigPath": "kubeconfig/../.git/{stack}.yaml"},
        "kubeconfigPath: `kubeconfig/../.git/{stack}.yaml` is among the program's own files: choose another path, such "
        "as `kubeconfig/{stack}.yaml`.",
    ),
    "a kubeconfig in a package of the program": (
        {"kubeconfigPath": "k3s_cluster/cloud/{stack}.yaml"},
        "kubeconfigPath: `k3s_cluster/cloud/{stack}.yaml` is among the program's own files: choose another path, such "
        "as `kubeconfig/{stack}.yaml`.",
    ),
    "a kubeconfig for a stack that is misspelt": (
        {"kubeconfigPath": "kubeconfig/{stak}.yaml"},
        "kubeconfigPath: `kubeconfig/{stak}.yaml` must be a path, and `{` has no meaning in it; only `{stack}` is "
        "replaced.",
    ),
    "a kubeconfig in a variable's folder": (
        {"kubeconfigPath": "$HOME/{stack}.yaml"},
        "kubeconfigPath: `$HOME/{stack}.yaml` must be a path, and `$` has no meaning in it; only `{stack}` is "
        "replaced.",
    ),
    "a kubeconfig in a stranger's home": (
        {"kubeconfigPath": "~nobody-here/{stack}.yaml"},
        "kubeconfigPath: `~nobody-here/{stack}.yaml` must begin with `~/` for your home folder (Could not determine "
        "home directory).",
    ),
    "a taint on servers without agents": (
        {"serverTaint": True, "agentCount": 0},
        "serverTaint: `true` keeps workloads off the servers, and this stack has no agents to take them; "
        "set agentCount, or leave serverTaint at `false`.",
    ),
    "an audit policy that is not there": (
        {"auditLog": "everything"},
        "auditLog: `everything` must be `auto`, `off`, `metadata`, or a policy file that can be read, and this one "
        "cannot (No such file or directory).",
    ),
    "an audit policy that is none": (
        {"auditLog": "Pulumi.yaml"},
        "auditLog: `Pulumi.yaml` names a file that holds no audit policy: `apiVersion: audit.k8s.io/v1`, "
        "`kind: Policy`, `rules`.",
    ),
    "network policies off, and hardened": (
        {"hardened": True, "k3sServerConfig": {"disable-network-policy": True}},
        "k3sServerConfig: `disable-network-policy: true` undoes what `hardened` does: CIS asks for network policies "
        "that are enforced (5.3); remove it, or set hardened to `false`.",
    ),
    "any kernel, and hardened": (
        {"hardened": True, "k3sAgentConfig": {"protect-kernel-defaults": False}},
        "k3sAgentConfig: `protect-kernel-defaults: false` undoes what `hardened` does: CIS asks the kubelet to insist "
        "on the kernel's parameters (4.2.6); remove it, or set hardened to `false`.",
    ),
    "a drain without time": ({"drainTimeout": 1}, "drainTimeout: `1` must be a whole number from 10 to 3600."),
    "no agent at a time": (
        {"maxUnavailableAgents": 0},
        "maxUnavailableAgents: `0` must be a whole number from 1 to 4.",
    ),
    "a K3s setting with a key of its own": (
        {"k3sServerConfig": {"disable": ["traefik"]}},
        "k3sServerConfig: may not hold `disable`: set `disable`.",
    ),
    "a K3s setting that the stack makes": (
        {"k3sAgentConfig": {"token": "mine"}},
        "k3sAgentConfig: may not hold `token`: the stack makes the tokens itself.",
    ),
    "a K3s setting with dashes": (
        {"k3sServerConfig": {"--debug": True}},
        "k3sServerConfig: may hold K3s's flags without their dashes in front, not `--debug`.",
    ),
    "a K3s setting of maps": (
        {"k3sServerConfig": {"kubelet-arg": {"a": 1}}},
        "k3sServerConfig: `kubelet-arg` must be a list of texts, or one text, not a map.",
    ),
    "a VPC by its name": (
        {"vpcId": "my-vpc"},
        "vpcId: `my-vpc` must be a VPC's id, such as `5a4981aa-9653-4bd1-bef5-d6bff52042e4`: `doctl vpcs list` shows "
        "them.",
    ),
    "a reserved address that is none": (
        {"topology": "single-node", "reservedIp": "yes"},
        "reservedIp: `yes` must be `auto`, or an IPv4 address that is reserved in the account, such as `203.0.113.10`.",
    ),
    "a reserved address in ha": (
        {"reservedIp": "auto"},
        "reservedIp: `auto` is for topology `single-node`; in `ha` the load balancer's address outlives the servers "
        "anyway. Remove it with `pulumi config rm reservedIp`.",
    ),
    "a URL for a name": (
        {"apiDomain": "https://k3s.example.com"},
        "apiDomain: `https://k3s.example.com` must be a DNS name in lower case with at least one dot, such as "
        "`k3s.example.com`.",
    ),
    "an address for a name": (
        {"apiDomain": "203.0.113.9"},
        "apiDomain: `203.0.113.9` must be a DNS name in lower case with at least one dot, such as `k3s.example.com`.",
    ),
    "a merge that is neither yes nor no": (
        {"kubeconfigMerge": "maybe"},
        "kubeconfigMerge: `maybe` must be `true` or `false`.",
    ),
    "a cost limit of nothing": (
        {"costLimit": 0},
        "costLimit: `0` must be an amount of USD above zero, such as `100` or `99.50`, or `none`.",
    ),
    "a cost limit with a currency": (
        {"costLimit": "$100"},
        "costLimit: `$100` must be an amount of USD above zero, such as `100` or `99.50`, or `none`.",
    ),
    "a misspelt key": (
        {"toplogy": "ha"},
        "toplogy: there is no such key; did you mean `topology`? Remove it with `pulumi config rm toplogy`.",
    ),
    "a key like no other": (
        {"zzz": "1"},
        "zzz: there is no such key; see `config` in Pulumi.yaml for the keys there are. "
        "Remove it with `pulumi config rm zzz`.",
    ),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(changes: dict[str, object], message: str) -> None:
    assert refusals(config(**changes)) == (message,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ssh-dss AAAAB3NzaC1kc3MAAACB me", "whose key of type `ssh-dss` OpenSSH does not accept"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA me", "which holds a certificate; give the public key that it was made"),
        ("ssh-frog AAAA me", "whose key of type `ssh-frog` OpenSSH does not accept"),
        (KEY[:-5], "whose key is damaged"),
        (KEY.replace("ssh-ed25519", "ssh-rsa"), "whose key is damaged"),
        ("", "which holds no public key"),
    ],
)
def test_a_key_that_no_server_would_take_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "id.pub"
    file.write_text(text)
    (problem,) = refusals(config(sshKeys=[str(file)]))
    assert message in problem


@pytest.mark.parametrize(
    "schedule",
    [
        "0 */12 * * *",
        "59 23 31 12 6",
        "0 0 1 1 0",
        "*/5,30 0-6/2 ? jan-DEC sun",
        "5/15 * * * *",
        "@midnight",
        "@every 1h30m",
        "0 0 29 2 *",
        "0 0 31 4/3 *",
        "0 0 1,31 jun *",
        "0 0 28/2 2 *",
        # A day of the week is enough by itself.
        "0 0 30 2 mon",
        "0 0 30 2 */2",
    ],
)
def test_a_schedule_that_k3s_reads_is_taken(schedule: str) -> None:
    assert cron.problem(schedule) is None


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("61 * * * *", "has `61` for the minute, which goes from 0 to 59"),
        ("60 * * * *", "has `60` for the minute, which goes from 0 to 59"),
        ("0 0 30 2 *", "is never due: no month that `2` names has day 30"),
        ("0 0 31 feb,4,6/5 ?", "is never due: no month that `feb,4,6/5` names has day 31"),
        ("0 25 * * *", "has `25` for the hour, which goes from 0 to 23"),
        ("0 24 * * *", "has `24` for the hour, which goes from 0 to 23"),
        ("0 0 0 * *", "has `0` for the day of the month, which goes from 1 to 31"),
        ("0 0 32 * *", "has `32` for the day of the month, which goes from 1 to 31"),
        ("0 0 * 13 *", "has `13` for the month, which goes from 1 to 12, or a name such as `feb`"),
        ("0 0 * * 7", "has `7` for the day of the week, which goes from 0 to 6, or a name such as `mon`"),
        ("0 0 * * someday", "has `someday` for the day of the week, which goes from 0 to 6, or a name such as `mon`"),
        ("0 9-5 * * *", "has `9-5` for the hour, which ends before it begins"),
        ("*/0 * * * *", "has `*/0` for the minute, and a step must be a number above zero, such as `*/2`"),
        ("1, * * * *", "has `` for the minute, which goes from 0 to 59"),
        ("@sometimes", "must be `@yearly`, `@annually`, `@monthly`, "),
        ("@every day", "must be `@yearly`"),
        ("* * * *", "must be a cron expression of five fields"),
    ],
)
def test_a_schedule_that_k3s_does_not_read_is_refused(schedule: str, message: str) -> None:
    (problem,) = refusals(config(datastoreEngine="etcd", etcdSnapshotSchedule=schedule))
    assert problem.startswith(f"etcdSnapshotSchedule: `{schedule}` {message}")


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("postgres://u:p@host:99999/db", "has an invalid port; use a number from 1 to 65535"),
        ("postgres://u:p@host:0/db?sslmode=require", "has an invalid port; use a number from 1 to 65535"),
        ("mysql://u:p@tcp(host:65536)/db", "has an invalid port; use a number from 1 to 65535"),
        ("https://one:2379,https://two:x", "has an invalid port; use a number from 1 to 65535"),
        ("mysql://u:p@host:3306/db", "must name a MySQL as its client does, `mysql://USER:PASSWORD@tcp(HOST:PORT)/"),
        ("postgres://u:p@host:65535/db", ""),
        ("postgres://u:p%3A99999@host/db", ""),
        ("postgres://u:p@[2001:db8::1]:5432/db", ""),
        ("mysql://u:p:99999@tcp(host:3306)/db?tls=true", ""),
        ("https://one:2379,https://two:2379", ""),
        ("postgres://u:p,x:y@10.0.0.5:5432/kine", ""),
        ("postgres://u:p@10.0.0.5:5432,10.0.0.6:5432/kine?application_name=a,b:c", ""),
        ("postgres://u:p@10.0.0.5:5432,10.0.0.6:99999/kine", "has an invalid port; use a number from 1 to 65535"),
        ("mysql://u:p@tcp(host:3306)/db?tls=a/b", ""),
        ("postgres://u:p#S3cret@host:5432/db", "holds a character that a URL cannot have as it is"),
        ("postgres://u:p%zz@host:5432/db", "holds a character that a URL cannot have as it is"),
        ("postgres://u:p^w@host:5432/db", "holds a character that a URL cannot have as it is"),
        ("postgres://u:p w@host:5432/db", "holds a character that a URL cannot have as it is"),
        ("postgres://u:p!$&'()*+,;=-._~@[2001:db8::1]:5432/db?sslmode=verify-ca&x=y", ""),
        ("mysql://u:p w#%@tcp(host:3306)/db", ""),
        ("postgres://u:p%23%25@host:5432/db", ""),
        ("postgres://u:p/S3cret@host:5432/db", "has an invalid port; use a number from 1 to 65535. In a password, `/`"),
        ("postgres://u:p@host:5432/db\n", "holds a line break"),
        ("https://host:2379#a", "holds a character that a URL cannot have as it is"),
        ("mysql://u:p@tcp(host:3306)/db?a#b%", ""),
    ],
)
def test_an_endpoint_s_port_and_form_are_looked_at_without_showing_it(endpoint: str, message: str) -> None:
    given = config(datastoreEngine="external", datastoreEndpoint=endpoint)
    if not message:
        assert parse_settings(given, stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)
        return
    (problem,) = refusals(given, secrets=SECRET_KEYS)
    assert problem.startswith(f"datastoreEndpoint: its value {message}")
    assert "u:p" not in problem


CA = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


def test_a_mysql_endpoint_may_be_written_as_digitalocean_shows_it() -> None:
    shown = "mysql://doadmin:AVNS_a%23b@db-1.b.db.ondigitalocean.com:25060/defaultdb?ssl-mode=REQUIRED"
    given = config(datastoreEngine="external", datastoreEndpoint=shown)
    (problem,) = refusals(given)
    assert problem.startswith("datastoreCa: has no value, and the database in datastoreEndpoint asks for TLS")
    datastore = parse_settings(
        {**given, "datastoreCa": CA}, stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS
    ).datastore
    assert isinstance(datastore, ExternalDatastoreSettings)
    assert datastore.endpoint == "mysql://doadmin:AVNS_a#b@tcp(db-1.b.db.ondigitalocean.com:25060)/defaultdb"
    plain = config(datastoreEngine="external", datastoreEndpoint=shown.replace("REQUIRED", "DISABLED"))
    assert parse_settings(plain, stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)


def told_of(**changes: object) -> list[str]:
    given = config(**changes)
    lines = without_effect(given, parse_settings(given, stack="dev", folder=CHECKOUT))
    return [line.partition(":")[0] for line in lines]


def test_a_setting_that_changes_nothing_is_told() -> None:
    assert told_of() == told_of(topology="single-node") == []
    given = config(etcdSnapshotSchedule="@daily")
    (line,) = without_effect(given, parse_settings(given, stack="dev", folder=CHECKOUT))
    assert line == (
        "etcdSnapshotSchedule: `@daily` has no effect, because datastoreEngine is `pg`, and not `etcd`; "
        "`pulumi config rm etcdSnapshotSchedule`."
    )
    assert told_of(datastoreEngine="etcd", etcdSnapshotSchedule="@daily", serverCount=3) == []
    assert told_of(topology="single-node", loadBalancerSize="lb-large") == ["loadBalancerSize"]
    assert told_of(loadBalancerSize="lb-large", healthCheckInterval=20) == []
    assert told_of(topology="single-node", datastoreSize="db-s-2vcpu-4gb") == ["datastoreSize"]
    without_agents = {"agentSize": "s-8vcpu-16gb", "k3sAgentConfig": {"debug": True}, "maxUnavailableAgents": 2}
    assert told_of(agentCount=0, **without_agents) == list(without_agents)
    assert told_of(agentCount=1, **without_agents) == []
    assert told_of(vpcId="5a4981aa-9653-4bd1-bef5-d6bff52042e4", vpcCidr="10.9.0.0/24") == ["vpcCidr"]


@pytest.mark.parametrize("spelled", ["true", "True", "TRUE"])
def test_yaml_s_spellings_of_a_boolean_are_taken(spelled: str) -> None:
    opposite = {"true": "false", "True": "False", "TRUE": "FALSE"}[spelled]
    given = {**config(), "serverTaint": spelled, "hardened": opposite}
    settings = parse_settings(given, stack="dev", folder=CHECKOUT)
    assert (settings.server_taint, settings.hardened) == (True, False)


def test_a_private_key_file_is_refused_without_showing_it(tmp_path: Path) -> None:
    file = tmp_path / "id_ed25519"
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n")
    (problem,) = refusals(config(sshKeys=[str(file)]))
    assert "holds no public key" in problem
    assert "secret" not in problem


def test_all_problems_come_at_once() -> None:
    found = refusals(config(topology="x", region="y", vpcCidr="z"))
    assert [problem.split(":")[0] for problem in found] == ["topology", "region", "vpcCidr"]


def test_what_is_there_already_is_left_out_by_default() -> None:
    settings = parse_settings(config(), stack="dev", folder=CHECKOUT)
    assert (settings.vpc_id, settings.project_name, settings.reserved_ip, settings.api_domain) == (None,) * 4
    assert settings.kubeconfig_merge is False


def test_the_range_of_a_vpc_that_is_there_is_not_the_stack_s_to_measure() -> None:
    given = config(vpcId="5a4981aa-9653-4bd1-bef5-d6bff52042e4", vpcCidr="10.10.10.0/28", agentCount=9)
    assert parse_settings(given, stack="dev", folder=CHECKOUT).agent_count == 9


@pytest.mark.parametrize(
    "given",
    [
        "2026-01-31T19:25:22Z",
        # What Pulumi makes of the same without quotes, and of other ways to write it: seen with pulumi 3.259.
        "2026-01-31 19:25:22 +0000 UTC",
        "2026-01-31 20:25:22 +0100 +0100",
        "2026-01-31 20:25:22.000 +0100 CET",
    ],
)
def test_the_time_of_a_backup_is_taken_with_and_without_quotes(given: str) -> None:
    settings = parse_settings(
        config(datastoreRestoreFrom="old", datastoreRestoreAt=given, datastoreRestoreToken="secret-token"),
        stack="dev",
        folder=CHECKOUT,
        secrets=SECRET_KEYS,
    )
    assert isinstance(settings.datastore, ManagedDatastoreSettings)
    assert settings.datastore.restore == DatastoreRestoreSettings("old", "2026-01-31T19:25:22Z", "secret-token")


@pytest.mark.parametrize("given", ["secret-token", "K10" + "0a" * 32 + "::server:secret-token"])
def test_a_restore_from_digitalocean_s_backup_has_its_time_in_utc_and_the_token_s_password(given: str) -> None:
    restore = {"datastoreRestoreFrom": "old", "datastoreRestoreAt": "2026-01-31T20:25:22+01:00"}
    settings = parse_settings(
        config(**restore, datastoreRestoreToken=given), stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS
    )
    assert isinstance(settings.datastore, ManagedDatastoreSettings)
    assert settings.datastore.restore == DatastoreRestoreSettings("old", "2026-01-31T19:25:22Z", "secret-token")
    assert "secret-token" not in repr(settings)


def test_nothing_of_a_secret_is_shown_where_quotes_are_missing() -> None:
    (problem,) = refusals(config(datastoreRestoreFrom="old", datastoreRestoreToken="2026-01-31 00:00:00 +0000 UTC"))
    assert "2026" not in problem


def test_the_old_cluster_s_token_is_refused_in_plain() -> None:
    (problem,) = refusals(config(datastoreRestoreFrom="old", datastoreRestoreToken="seen-by-all"), secrets=())
    assert problem.startswith("datastoreRestoreToken: is kept in plain text; set it with `pulumi config set --secret ")
    assert "seen-by-all" not in problem


def test_what_pulumi_makes_of_texts_in_a_pool_is_taken_where_it_is_clear() -> None:
    given = pool(count="2", image=123456, labels={"gpu": True, "rack": 7, "zone": "a"})
    (agents,) = (
        each for each in parse_settings(config(**given), stack="dev", folder=CHECKOUT).agent_pools if each.count
    )
    assert (agents.count, agents.image) == (2, "123456")
    assert dict(agents.labels) == {"gpu": "true", "rack": "7", "zone": "a"}


@pytest.mark.parametrize("digits", ["\u0663", "\u00b2", "9" * 5000, "1e3", "0x3", " 3", "+3", "3_0"])
@pytest.mark.parametrize(
    "key", ["serverCount", "agentCount", "drainTimeout", "loadBalancerSize", "datastoreVersion", "costLimit"]
)
def test_only_digits_of_a_sensible_number_are_a_number(key: str, digits: str) -> None:
    (problem,) = refusals(config(**{key: digits}))
    assert problem.startswith(f"{key}: ")


@pytest.mark.parametrize("version", ["v1.\u0663\u0664.2+k3s1", f"v1.{'9' * 5000}.2+k3s1"])
def test_a_release_has_plain_digits_too(version: str) -> None:
    (problem,) = refusals(config(k3sVersion=version))
    assert "must be a K3s release such as" in problem


@pytest.mark.parametrize("path", ["~nouser/x/y", "a\0b/c"])
@pytest.mark.parametrize("key", ["sshKeys", "auditLog", "kubeconfigPath"])
def test_a_path_that_cannot_be_is_refused(key: str, path: str) -> None:
    (problem,) = refusals(config(**{key: [path] if key == "sshKeys" else path}))
    assert problem.startswith(f"{key}: ")


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(36, "File name too long")])
def test_a_kubeconfig_path_that_the_person_may_not_look_at_is_refused(
    error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_dir(_: Path) -> bool:
        raise error

    monkeypatch.setattr(Path, "is_dir", is_dir)
    (problem,) = refusals(config())
    assert f"must be a path that you may use ({error.strerror})" in problem
