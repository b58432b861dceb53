"""The whole program against Pulumi's mocks: what is asked of the cloud, in both topologies."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import mocks

from k3s_cluster.cluster import K3sCluster
from k3s_cluster.settings import SECRET_KEYS, parse_settings
from tests.unit.stack_files import CHECKOUT, config

DIGITALOCEAN = "digitalocean:index/"


@dataclass
class Cloud(mocks.Mocks):
    """Records every resource, and answers what a cloud would."""

    made: dict[str, mocks.MockResourceArgs] = field(default_factory=dict)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.made[args.name] = args
        answers: dict[str, Any] = dict(args.inputs)
        if args.typ == DIGITALOCEAN + "droplet:Droplet":
            number = len(self.made)
            answers |= {
                "ipv4Address": f"203.0.113.{number}",
                "ipv4AddressPrivate": f"10.10.10.{number}",
                "dropletUrn": f"do:droplet:{number}",
            }
        if args.typ == DIGITALOCEAN + "loadBalancer:LoadBalancer":
            answers |= {"ip": "203.0.113.250", "loadBalancerUrn": "do:loadbalancer:1"}
        if args.typ == DIGITALOCEAN + "databaseCluster:DatabaseCluster":
            answers |= {
                "privateHost": "db.example.com",
                "port": 25060,
                "user": "doadmin",
                "password": "administrator-secret",
                "clusterUrn": "do:dbaas:1",
            }
        if args.typ == DIGITALOCEAN + "databaseUser:DatabaseUser":
            answers |= {"password": "user-secret"}
        if args.typ == DIGITALOCEAN + "reservedIp:ReservedIp":
            answers |= {"ipAddress": "203.0.113.200"}
        if args.typ == "pulumi-python:dynamic/cloud:MachineName":
            answers |= {"name": f"{args.inputs['beginning']}{len(self.made):04x}"}
        if args.typ == "random:index/randomPassword:RandomPassword":
            answers |= {"result": f"{args.name}-secret"}
        if args.typ == "pulumi-python:dynamic/over_ssh:RestoredDatastore":
            answers |= {"server_token": "server-of-the-backup", "agent_token": "agent-of-the-backup"}
        if args.typ == "pulumi-python:dynamic/over_ssh:ForkedDatastore":
            answers |= {"server_token": args.inputs["server_token"]}
        if args.typ == "pulumi-python:dynamic/over_ssh:SshKeyPair":
            answers |= {"private_key": "PRIVATE", "public_key": "ssh-ed25519 AAAA"}
        is_droplet = args.typ == DIGITALOCEAN + "droplet:Droplet"
        return str(len(self.made)) if is_droplet else f"{args.name}-id", answers

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        if args.token == DIGITALOCEAN + "getVpc:getVpc":
            return {"id": args.args["id"], "region": "fra1", "ipRange": "10.77.0.0/20"}
        if args.token == DIGITALOCEAN + "getProject:getProject":
            return {"id": f"id-of-{args.args['name']}"}
        if args.token == DIGITALOCEAN + "getDomains:getDomains":
            return {"id": "1", "domains": [{"name": "example.com"}, {"name": "k8s.example.com"}]}
        assert args.token == DIGITALOCEAN + "getDatabaseCa:getDatabaseCa"
        return {"id": "1", "clusterId": args.args["clusterId"], "certificate": "CA"}

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Inputs by name of all resources whose type ends in `kind`."""
        return {name: args.inputs for name, args in self.made.items() if args.typ.endswith(f":{kind}")}


def secret(value: Any) -> str:
    """The text inside a property that reached the engine as a secret; fails if it came in plain."""
    assert isinstance(value, dict), "not a secret"
    text = value["value"]
    assert isinstance(text, str)
    return text


def up(cloud: Cloud | None = None, *, is_new: bool = False, **changes: object) -> tuple[Cloud, dict[str, Any]]:
    """Run the program; the cloud that saw it, and its outputs."""
    # Each run needs its own event loop, as each `pulumi up` has.
    asyncio.set_event_loop(asyncio.new_event_loop())
    cloud = cloud or Cloud()
    mocks.set_mocks(cloud, project="k3s-digitalocean", stack="dev")
    seen: dict[str, Any] = {}
    settings = parse_settings(config(**changes), stack="dev", folder=CHECKOUT, secrets=SECRET_KEYS)

    @pulumi.runtime.test
    def program() -> pulumi.Output[None]:
        cluster = K3sCluster("k3s", settings, is_new=is_new)
        return pulumi.Output.all(**cluster.outputs).apply(seen.update)

    program()
    return cloud, seen


def test_nothing_else_is_registered_where_a_change_is_refused() -> None:
    class Refusing(Cloud):
        def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
            if args.typ == "pulumi-python:dynamic/cluster:Invariants":
                raise ValueError("region cannot change")
            return super().new_resource(args)

    cloud = Refusing()
    with pytest.raises(Exception, match="region cannot change"):
        up(cloud)
    assert {args.typ for args in cloud.made.values()} <= {"pulumi:pulumi:Stack", "k3s:cluster:K3sCluster"}


def test_nothing_is_registered_where_somebody_else_s_file_is_in_the_kubeconfig_s_place(tmp_path: Path) -> None:
    precious = tmp_path / "precious.yaml"
    precious.write_text("precious: true\n")
    cloud = Cloud()
    with pytest.raises(Exception, match=r"precious\.yaml"):
        up(cloud, kubeconfigPath=str(precious))
    assert {args.typ for args in cloud.made.values()} <= {"pulumi:pulumi:Stack"}
    assert precious.read_text() == "precious: true\n"


@pytest.fixture(scope="module")
def ha() -> tuple[Cloud, dict[str, Any]]:
    return up()


@pytest.fixture(scope="module")
def single() -> tuple[Cloud, dict[str, Any]]:
    return up(topology="single-node", adminCidrs=["198.51.100.7/32"])


def test_ha_has_the_seed_s_names(ha: tuple[Cloud, dict[str, Any]]) -> None:
    cloud, _ = ha
    assert [vpc["name"] for vpc in cloud.of("Vpc").values()] == ["k3s-vpc-01"]
    assert [project["name"] for project in cloud.of("Project").values() if "name" in project] == ["k3s-cluster"]
    assert [database["name"] for database in cloud.of("DatabaseCluster").values()] == ["k3s-ext-datastore"]
    assert [user["name"] for user in cloud.of("DatabaseUser").values()] == ["k3s_default_user"]
    assert [lb["name"] for lb in cloud.of("LoadBalancer").values()] == ["k3s-api-loadbalancer"]
    assert sorted(tag["name"] for tag in cloud.of("Tag").values()) == ["k3s_agent", "k3s_server"]
    names = [droplet["name"] for droplet in cloud.of("Droplet").values()]
    assert sorted(name.rsplit("-", 1)[0] for name in names) == ["k3s-agent", "k3s-server", "k3s-server"]
    assert len(set(names)) == 3


def test_ha_load_balancer_passes_tls_through_to_the_servers(ha: tuple[Cloud, dict[str, Any]]) -> None:
    (balancer,) = ha[0].of("LoadBalancer").values()
    (rule,) = balancer["forwardingRules"]
    assert rule == {
        "entryProtocol": "https",
        "entryPort": 6443,
        "targetProtocol": "https",
        "targetPort": 6443,
        "tlsPassthrough": True,
    }
    assert balancer["dropletTag"] == "k3s_server"
    assert balancer["sizeUnit"] == 1
    assert balancer["healthcheck"] == {
        "protocol": "tcp",
        "port": 6440,
        "checkIntervalSeconds": 10,
        "healthyThreshold": 5,
        "unhealthyThreshold": 3,
    }
    assert balancer["firewall"] == {"allows": ["cidr:0.0.0.0/0"]}


def test_ha_database_is_open_to_servers_only(ha: tuple[Cloud, dict[str, Any]]) -> None:
    (firewall,) = ha[0].of("DatabaseFirewall").values()
    assert firewall["rules"] == [{"type": "tag", "value": "k3s_server"}]


def test_ha_project_holds_droplets_load_balancer_and_database(ha: tuple[Cloud, dict[str, Any]]) -> None:
    (resources,) = ha[0].of("ProjectResources").values()
    assert sorted(urn.split(":")[1] for urn in resources["resources"]) == [
        "dbaas",
        "droplet",
        "droplet",
        "droplet",
        "loadbalancer",
    ]


def test_an_update_of_the_load_balancer_leaves_it_in_the_project(ha: tuple[Cloud, dict[str, Any]]) -> None:
    (balancer,), (resources,) = ha[0].of("LoadBalancer").values(), ha[0].of("ProjectResources").values()
    assert balancer["projectId"] == resources["project"]


def test_ha_outputs(ha: tuple[Cloud, dict[str, Any]]) -> None:
    _, outputs = ha
    assert outputs["apiEndpoint"] == "https://203.0.113.250:6443"
    assert outputs["kubeconfigPath"] == "kubeconfig/dev.yaml"
    assert len(outputs["servers"]) == 2
    assert set(outputs["servers"][0]) == {"name", "publicAddress", "privateAddress", "size"}
    assert [agent["size"] for agent in outputs["agents"]] == ["s-1vcpu-2gb"]
    assert outputs["datastore"] == {"engine": "pg", "version": "17", "host": "db.example.com"}
    assert "root@203.0.113." in outputs["sshCommand"]


def test_ha_nodes_get_their_configuration(ha: tuple[Cloud, dict[str, Any]]) -> None:
    nodes = ha[0].of("Node")
    assert sorted(nodes) == ["agent-0", "server-0", "server-1"]
    assert "postgres://k3s_default_user:user-secret@db.example.com:25060/k3s" in secret(nodes["server-0"]["config"])
    assert "administrator-secret" not in secret(nodes["server-0"]["config"])
    assert len(nodes["agent-0"]["peers"]) == 2
    assert len(nodes["server-0"]["peers"]) == 1
    assert nodes["server-0"]["peers"][0]["host"] != nodes["server-0"]["host"]
    assert nodes["agent-0"].get("datastore_ca") is None


#: What each node waits for, of the nodes: a cluster that is there changes node by node, servers before agents.
ONE_BY_ONE = {
    "server-0": [],
    "server-1": ["server-0"],
    "server-2": ["server-1"],
    "agent-0": ["server-0", "server-1", "server-2"],
    "agent-1": ["server-0", "server-1", "server-2"],
}
SIDE_BY_SIDE = {name: ["server-0"] if after else [] for name, after in ONE_BY_ONE.items()}


@pytest.mark.parametrize(
    ("engine", "is_new", "expected"),
    [
        ("pg", False, ONE_BY_ONE),
        ("pg", True, SIDE_BY_SIDE),
        ("etcd", False, ONE_BY_ONE),
        # etcd takes one new member at a time.
        ("etcd", True, {**SIDE_BY_SIDE, "server-2": ["server-1"]}),
    ],
)
def test_nodes_of_a_new_cluster_join_side_by_side_and_others_change_in_turn(
    monkeypatch: pytest.MonkeyPatch, engine: str, is_new: bool, expected: dict[str, list[str]]
) -> None:
    waits: dict[str, list[str]] = {}
    register = mocks.MockMonitor.RegisterResource

    def noted(monitor: mocks.MockMonitor, request: Any) -> Any:
        waits[request.name] = sorted(urn.rpartition("::")[2] for urn in request.dependencies)
        return register(monitor, request)

    monkeypatch.setattr(mocks.MockMonitor, "RegisterResource", noted)
    up(is_new=is_new, datastoreEngine=engine, serverCount=3, agentCount=2)
    found = {name: [other for other in waits[name] if other in expected] for name in expected}
    assert found == expected


def test_user_data_of_no_droplet_holds_a_credential(ha: tuple[Cloud, dict[str, Any]]) -> None:
    for droplet in ha[0].of("Droplet").values():
        told = secret(droplet["userData"])
        assert "k3s-first-boot" in told
        assert not {word for word in ("user-secret", "administrator-secret", "-token-secret") if word in told}


def inbound(cloud: Cloud, name: str) -> set[tuple[str, str, tuple[str, ...]]]:
    rules = cloud.of("Firewall")[name]["inboundRules"]
    return {(rule["protocol"], rule.get("portRange", ""), tuple(rule["sourceAddresses"])) for rule in rules}


BUCKET = {"endpoint": "fra1.example", "bucket": "b", "accessKey": "hidden-access", "secretKey": "hidden-secret"}
EVERYONE = ("0.0.0.0/0", "::/0")
VPC = ("10.10.10.0/24",)


def test_ha_firewalls(ha: tuple[Cloud, dict[str, Any]]) -> None:
    agents = {
        ("tcp", "22", EVERYONE),
        ("tcp", "80", EVERYONE),
        ("tcp", "443", EVERYONE),
        ("udp", "8472", VPC),
        ("tcp", "10250", VPC),
        ("icmp", "", VPC),
    }
    assert inbound(ha[0], "k3s-agents") == agents
    assert inbound(ha[0], "k3s-servers") == agents | {("tcp", "6443", VPC), ("tcp", "6440", VPC)}


def test_further_rules_are_in_the_firewall_of_the_nodes_that_they_are_for() -> None:
    rules = [
        {"ports": "30080-30090", "sources": ["198.51.100.0/24", "2001:db8::/64"]},
        {"ports": 9000, "sources": ["10.99.0.0/16"], "nodes": "agents", "protocol": "udp"},
        {"ports": 9000, "sources": ["10.99.0.0/16"], "nodes": "servers"},
    ]
    cloud, _ = up(firewallRules=rules)
    firewalls = cloud.of("Firewall")

    def opened(name: str) -> set[tuple[str, str, tuple[str, ...]]]:
        return {
            (rule["protocol"], rule["portRange"], tuple(rule["sourceAddresses"]))
            for rule in firewalls[name]["inboundRules"]
            if rule.get("portRange") in ("30080-30090", "9000")
        }

    for_all = ("tcp", "30080-30090", ("198.51.100.0/24", "2001:db8::/64"))
    assert opened("k3s-servers") == {for_all, ("tcp", "9000", ("10.99.0.0/16",))}
    assert opened("k3s-agents") == {for_all, ("udp", "9000", ("10.99.0.0/16",))}


def test_the_load_balancer_is_let_in_wherever_it_connects_from(ha: tuple[Cloud, dict[str, Any]]) -> None:
    (balancer,) = (args for args in ha[0].made.values() if args.typ.endswith(":LoadBalancer"))
    firewall = ha[0].of("Firewall")["k3s-api-loadbalancer"]
    assert firewall["tags"] == ["k3s_server"]
    assert firewall["inboundRules"] == [
        {"protocol": "tcp", "portRange": port, "sourceLoadBalancerUids": [f"{balancer.name}-id"]}
        for port in ("6443", "6440")
    ]


def test_flannel_by_wireguard_has_its_own_ports_between_nodes() -> None:
    cloud, _ = up(k3sServerConfig={"flannel-backend": "wireguard-native"})
    for name in ("k3s-agents", "k3s-servers"):
        assert [rule for rule in inbound(cloud, name) if rule[0] == "udp"] == [("udp", "51820-51821", VPC)]


def test_single_node_is_one_droplet_and_nothing_that_costs_more(single: tuple[Cloud, dict[str, Any]]) -> None:
    cloud, outputs = single
    assert len(cloud.of("Droplet")) == 1
    assert not cloud.of("LoadBalancer")
    assert not cloud.of("DatabaseCluster")
    assert not cloud.of("DatastoreGrants")
    server = outputs["servers"][0]
    assert outputs["apiEndpoint"] == f"https://{server['publicAddress']}:6443"
    assert outputs["datastore"] == {"engine": "sqlite", "version": None, "host": None}


def test_single_node_opens_ssh_and_the_api_to_administrators_only(single: tuple[Cloud, dict[str, Any]]) -> None:
    rules = inbound(single[0], "k3s-servers")
    assert ("tcp", "22", ("198.51.100.7/32",)) in rules
    assert ("tcp", "6443", (*VPC, "198.51.100.7/32")) in rules


def test_admin_ranges_close_the_load_balancer_too() -> None:
    cloud, _ = up(adminCidrs=["198.51.100.7/32", "2001:db8::/64"])
    (balancer,) = cloud.of("LoadBalancer").values()
    assert balancer["firewall"] == {"allows": ["cidr:198.51.100.7/32"]}


def test_a_prefix_names_everything_apart() -> None:
    cloud, _ = up(namePrefix="blue")
    named = [
        args.inputs["name"]
        for args in cloud.made.values()
        if args.typ.startswith(DIGITALOCEAN) and "name" in args.inputs and not args.typ.endswith("DatabaseDb")
    ]
    assert named
    assert all(name.startswith("blue") for name in named)


def test_pools_have_machines_of_their_own_names_and_sizes() -> None:
    pools = [{"name": "big", "count": 2, "size": "s-4vcpu-8gb", "labels": {"disk": "ssd"}}]
    cloud, outputs = up(agentPools=pools, agentCount=1)
    assert sorted(name for name in cloud.of("Node")) == ["agent-0", "big-0", "big-1", "server-0", "server-1"]
    assert [agent["size"] for agent in outputs["agents"]] == ["s-1vcpu-2gb", "s-4vcpu-8gb", "s-4vcpu-8gb"]
    assert cloud.of("Droplet")["big-0-droplet"]["name"].startswith("k3s-big-")
    assert cloud.of("Node")["big-0"]["labels"] == {"disk": "ssd"}


def test_a_replaceable_machine_gets_a_new_name_with_a_new_image_or_size() -> None:
    ha, _ = up()
    assert ha.of("MachineName")["server-0-name"]["keepers"] == {"image": "ubuntu-24-04-x64", "size": "s-2vcpu-4gb"}
    single, _ = up(topology="single-node", agentCount=1)
    assert "keepers" not in single.of("MachineName")["server-0-name"]
    assert "keepers" in single.of("MachineName")["agent-0-name"]


def test_etcd_makes_no_database_and_its_members_reach_only_each_other() -> None:
    cloud, outputs = up(datastoreEngine="etcd", etcdS3={**BUCKET})
    assert outputs["datastore"] == {"engine": "etcd", "version": None, "host": None}
    assert not cloud.of("DatabaseCluster")
    rules = cloud.of("Firewall")["k3s-servers"]["inboundRules"]
    (etcd,) = [rule for rule in rules if rule.get("portRange") == "2379-2380"]
    assert etcd["sourceTags"] == ["k3s_server"]
    assert "sourceAddresses" not in etcd
    assert "2379-2380" not in str(cloud.of("Firewall")["k3s-agents"])
    nodes = {name: node for name, node in cloud.of("Node").items() if node["role"] == "server"}
    assert len(nodes) == 3
    addresses = {address for node in nodes.values() for address in node["server_addresses"]}
    for node in nodes.values():
        # A joining server must not ask itself, and only servers are members.
        assert len(node["server_addresses"]) == 2
        assert node["etcd_member"]
        assert "hidden-secret" in secret(node["config"])
        own = yaml.safe_load(secret(node["config"]))["node-ip"]
        assert set(node["server_addresses"]) == addresses - {own}
    for droplet in cloud.of("Droplet").values():
        assert "hidden" not in secret(droplet["userData"])
    (agent,) = [node for node in cloud.of("Node").values() if node["role"] == "agent"]
    assert not agent["etcd_member"]
    assert "hidden" not in secret(agent["config"])
    assert set(agent["server_addresses"]) == addresses


def test_another_password_is_another_user_who_gets_the_rights() -> None:
    cloud, _ = up(datastorePasswordVersion=2)
    (user,) = cloud.of("DatabaseUser").values()
    (granted,) = cloud.of("DatastoreGrants").values()
    assert user["name"] == granted["user"] == "k3s_default_user_2"
    assert "k3s_default_user_2:user-secret@" in secret(cloud.of("Node")["server-0"]["config"])


def test_mysql_is_reached_by_a_dsn() -> None:
    cloud, outputs = up(datastoreEngine="mysql")
    (database,) = cloud.of("DatabaseCluster").values()
    assert (database["engine"], database["version"]) == ("mysql", "8")
    (granted,) = cloud.of("DatastoreGrants").values()
    assert granted["engine"] == "mysql"
    assert secret(granted["password"]) == "user-secret"
    server = cloud.of("Node")["server-0"]
    assert "mysql://k3s_default_user:user-secret@tcp(db.example.com:25060)/k3s" in secret(server["config"])
    assert server["datastore_ca"] == "CA"
    assert outputs["datastore"] == {"engine": "mysql", "version": "8", "host": "db.example.com"}


@pytest.mark.parametrize("topology", ["ha", "single-node"])
def test_an_external_datastore_is_told_to_servers_as_a_secret_and_nothing_is_made(topology: str) -> None:
    endpoint = "postgres://u:endpoint-secret@db.example.com:5432/k3s"
    cloud, outputs = up(topology=topology, datastoreEngine="external", datastoreEndpoint=endpoint)
    assert not cloud.of("DatabaseCluster")
    for name, node in cloud.of("Node").items():
        told = secret(node.pop("config"))
        assert (f"datastore-endpoint: {endpoint}" in told) is name.startswith("server-")
    assert outputs["datastore"] == {"engine": "external", "version": None, "host": None}
    assert "endpoint-secret" not in repr(outputs)
    assert not [name for name, made in cloud.made.items() if "endpoint-secret" in repr(made.inputs)]


VPC_ID = "5a4981aa-9653-4bd1-bef5-d6bff52042e4"


def test_a_vpc_that_is_there_is_joined_and_its_range_is_what_firewalls_let_in() -> None:
    cloud, _ = up(vpcId=VPC_ID)
    assert not cloud.of("Vpc")
    assert {droplet["vpcUuid"] for droplet in cloud.of("Droplet").values()} == {VPC_ID}
    (balancer,) = cloud.of("LoadBalancer").values()
    assert balancer["vpcUuid"] == VPC_ID
    assert ("tcp", "6443", ("10.77.0.0/20",)) in inbound(cloud, "k3s-servers")


def test_a_project_that_is_there_is_joined() -> None:
    cloud, _ = up(projectName="shop")
    (resources,) = cloud.of("ProjectResources").values()
    assert resources["project"] == "id-of-shop"
    assert not [project for project in cloud.of("Project").values() if "name" in project]


def test_a_reserved_address_is_the_api_s_and_is_in_the_certificates() -> None:
    cloud, outputs = up(topology="single-node", reservedIp="auto")
    assert outputs["apiEndpoint"] == "https://203.0.113.200:6443"
    (reserved,) = cloud.of("ReservedIp").values()
    assert reserved["region"] == "fra1"
    assert '- "203.0.113.200"' in secret(cloud.of("Node")["server-0"]["config"])
    (kubeconfig,) = cloud.of("Kubeconfig").values()
    assert kubeconfig["api_address"] == "203.0.113.200"


def test_an_address_of_the_account_is_only_assigned() -> None:
    cloud, outputs = up(topology="single-node", reservedIp="203.0.113.99")
    assert not cloud.of("ReservedIp")
    (assignment,) = cloud.of("ReservedIpAssignment").values()
    assert assignment["ipAddress"] == "203.0.113.99"
    assert outputs["apiAddress"] == "203.0.113.99"


def test_a_name_in_a_domain_of_the_account_gets_a_record_in_the_nearest_one() -> None:
    cloud, outputs = up(apiDomain="dev.k8s.example.com")
    (record,) = cloud.of("DnsRecord").values()
    assert record == {"domain": "k8s.example.com", "type": "A", "name": "dev", "value": "203.0.113.250", "ttl": 60}
    assert outputs["apiEndpoint"] == "https://dev.k8s.example.com:6443"
    for server in ("server-0", "server-1"):
        assert "- dev.k8s.example.com" in secret(cloud.of("Node")[server]["config"])
    (kubeconfig,) = cloud.of("Kubeconfig").values()
    assert kubeconfig["api_address"] == "dev.k8s.example.com"
    assert kubeconfig.get("check_address") is None


def test_a_domain_itself_is_its_root_record() -> None:
    cloud, _ = up(apiDomain="example.com")
    (record,) = cloud.of("DnsRecord").values()
    assert (record["domain"], record["name"]) == ("example.com", "@")


def test_a_name_in_nobody_s_domain_is_left_to_its_keeper_and_the_api_is_asked_by_its_address() -> None:
    cloud, outputs = up(apiDomain="api.notexample.com")
    assert not cloud.of("DnsRecord")
    (kubeconfig,) = cloud.of("Kubeconfig").values()
    assert kubeconfig["api_address"] == "api.notexample.com"
    assert kubeconfig["check_address"] == outputs["apiAddress"] == "203.0.113.250"


def test_a_cluster_from_a_backup_has_the_backup_s_tokens_and_waits_for_its_rows() -> None:
    cloud, _ = up(restoreFile="backups/fra1.backup")
    (restored,) = cloud.of("RestoredDatastore").values()
    assert restored["file"] == "backups/fra1.backup"
    assert restored["fixed"] == {"secrets-encryption": "true"}
    assert "postgres://k3s_default_user:user-secret@" in secret(restored["endpoint"])
    told = secret(cloud.of("Node")["server-0"]["config"])
    assert "token: server-of-the-backup" in told
    assert "agent-token: agent-of-the-backup" in told
    assert "token: agent-of-the-backup" in secret(cloud.of("Node")["agent-0"]["config"])
    assert not [name for name in cloud.of("RandomPassword") if name.endswith("-token")]


def test_a_cluster_from_digitalocean_s_backup_has_the_old_server_token_and_waits_for_the_copy() -> None:
    cloud, outputs = up(
        namePrefix="new",
        datastoreRestoreFrom="old",
        datastoreRestoreAt="2026-01-31T19:25:22Z",
        datastoreRestoreToken="token-of-the-old",
    )
    (database,) = cloud.of("DatabaseCluster").values()
    assert database["backupRestore"] == {"databaseName": "old", "backupCreatedAt": "2026-01-31T19:25:22Z"}
    # It is in the copy, and the API refuses a second one.
    assert not cloud.of("DatabaseDb")
    (user,) = cloud.of("DatabaseUser").values()
    (forked,) = cloud.of("ForkedDatastore").values()
    assert user["name"] == forked["user"] == "new_default_user"
    assert secret(forked["server_token"]) == "token-of-the-old"
    assert forked["fixed"] == {"secrets-encryption": "true"}
    told = secret(cloud.of("Node")["server-0"]["config"])
    assert "\ntoken: token-of-the-old" in told
    assert "agent-token: agent-token-secret" in told
    assert [name for name in cloud.of("RandomPassword") if name.endswith("-token")] == ["agent-token"]
    assert outputs["serverToken"] == "token-of-the-old"


def test_a_setting_without_effect_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda line, *_: warned.append(line))
    up(topology="single-node", datastoreNodes=3)
    assert [line.partition(":")[0] for line in warned if "has no effect" in line] == ["datastoreNodes"]
