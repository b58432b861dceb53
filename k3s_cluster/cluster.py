"""A K3s cluster on DigitalOcean: puts the rooms together in order."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_random as random

from k3s_cluster import datastore_connections, hardening, immutable_settings, invariants
from k3s_cluster.cloud.access import Access, AccessArgs
from k3s_cluster.cloud.api_address import ApiName, ApiNameArgs, ReservedAddress, ReservedAddressArgs
from k3s_cluster.cloud.datastore import Datastore, DatastoreArgs
from k3s_cluster.cloud.load_balancer import ApiLoadBalancer, ApiLoadBalancerArgs
from k3s_cluster.cloud.machines import Machine, MachineArgs
from k3s_cluster.cloud.network import Network, NetworkArgs
from k3s_cluster.cloud.project import Project, ProjectArgs
from k3s_cluster.k3s_config import (
    API_PORT,
    NodeAddresses,
    NodeMarks,
    Role,
    Tokens,
    agent_config,
    server_config,
    server_marks,
    server_rules,
)
from k3s_cluster.kubeconfig import owner_of
from k3s_cluster.kubeconfig_place import require_place
from k3s_cluster.over_ssh.datastore_grants import DatastoreGrants, DatastoreGrantsArgs
from k3s_cluster.over_ssh.forked_datastore import ForkedDatastore, ForkedDatastoreArgs
from k3s_cluster.over_ssh.kubeconfig import Kubeconfig, KubeconfigArgs
from k3s_cluster.over_ssh.node import Node, NodeArgs
from k3s_cluster.over_ssh.restored_datastore import RestoredDatastore, RestoredDatastoreArgs
from k3s_cluster.settings import (
    AgentPoolSettings,
    ClusterSettings,
    DatastoreRestoreSettings,
    EmbeddedEtcdSettings,
    ExternalDatastoreSettings,
    ManagedDatastoreSettings,
    SqliteDatastoreSettings,
)

#: Long enough that guessing is hopeless: 48 letters and digits are 285 bits.
TOKEN_LENGTH = 48


class K3sCluster(pulumi.ComponentResource):
    """Everything from the VPC to the kubeconfig. `outputs` is what a stack exports.

    Datastore, load balancer and droplets come up at the same time and meet at the nodes: the first server, then all
    others side by side (two servers that start together on an empty database can each make their own CA). Members of
    etcd join one by one. A cluster that is there is changed node by node, servers before agents; so is one that may be
    there, where `is_new` is false.
    """

    outputs: dict[str, pulumi.Input[object]]

    def __init__(
        self,
        name: str,
        settings: ClusterSettings,
        opts: pulumi.ResourceOptions | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        owner = owner_of(pulumi.get_project(), settings.stack)
        require_place(settings, owner)
        for note in settings.notes:
            pulumi.log.warn(note)
        gated = pulumi.ResourceOptions(transformations=[self._after_invariants])
        super().__init__("k3s:cluster:K3sCluster", name, None, pulumi.ResourceOptions.merge(gated, opts))
        self._name = name
        self._settings = settings
        self._is_new = is_new
        self._child = pulumi.ResourceOptions(parent=self)
        # The database is worth nothing without K3s's rows in it, its user, and the token that seals what it holds.
        protect = isinstance(settings.datastore, ManagedDatastoreSettings) and settings.datastore.protect
        self._kept = pulumi.ResourceOptions(parent=self, protect=protect)
        # Everything is made in this region, and so after what cannot be changed was refused.
        self._invariants = invariants.Invariants(name, invariants.of(settings), self._child)
        self._region = self._invariants.region
        self._network = Network(
            name,
            NetworkArgs(
                settings.name_prefix,
                self._region,
                str(settings.vpc_cidr),
                settings.vpc_id,
                (settings.server_tag, settings.agent_tag),
            ),
            self._child,
        )
        self._tags = {tag: resource.name for tag, resource in self._network.tags.items()}
        self._access = Access(
            name,
            AccessArgs(
                settings, self._network.vpc_range, self._tags[settings.server_tag], self._tags[settings.agent_tag]
            ),
            self._child,
        )
        self._project = Project(
            name, ProjectArgs(settings.project_name, settings.name_prefix, settings.project_environment), self._child
        )
        datastore = self._datastore(name)
        balancer = self._load_balancer(name)
        self._servers = self._machines(
            "server", "server", settings.servers.count, settings.servers.size, settings.image
        )
        pools = [
            (pool, self._machines("agent", pool.name, pool.count, pool.size, pool.image))
            for pool in settings.agent_pools
        ]
        agents = [machine for _, machines in pools for machine in machines]
        machines = [*self._servers, *agents]
        parts = [part.urn_in_cloud for part in (*machines, datastore, balancer) if part is not None]
        self._project.hold(parts)

        api_address = balancer.ip if balancer else self._single_node_address(name)
        api_name = self._api_name(name, api_address)
        api_host = pulumi.Output.from_input(settings.api_domain or api_address)
        nodes = self._nodes(pools, api_address, datastore)
        kubeconfig = Kubeconfig(
            self._logical_name("kubeconfig"),
            KubeconfigArgs(
                host=self._servers[0].public_ip,
                host_key=self._servers[0].host_key,
                private_key=self._access.private_key,
                api_address=api_host,
                # A name that somebody else keeps can be made only when the address is known: by then we must be done.
                check_address=api_address if api_name and not api_name.is_kept else None,
                droplet_id=self._servers[0].droplet_id if settings.topology == "single-node" else None,
                context=settings.stack,
                path=settings.kubeconfig_path,
                merge=settings.kubeconfig_merge,
                owner=owner,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[*nodes, *([api_name] if api_name else [])]),
        )
        secret_kubeconfig: pulumi.Output[str] = pulumi.Output.secret(kubeconfig.kubeconfig)
        self.outputs = {
            "apiEndpoint": pulumi.Output.concat("https://", api_host, f":{API_PORT}"),
            "apiAddress": api_address,
            "kubeconfig": secret_kubeconfig,
            "kubeconfigPath": kubeconfig.path,
            "servers": [_described(machine) for machine in self._servers],
            "agents": [_described(machine) for machine in agents],
            "sshCommand": _ssh_command(self._servers[0]),
            "sshPrivateKey": self._access.private_key,
            "serverToken": self._server_token,
            "datastore": {
                "engine": settings.datastore.engine,
                "version": datastore.version if datastore else None,
                "host": datastore.host if datastore else None,
            },
        }
        self.register_outputs(self.outputs)

    def _after_invariants(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        """Nothing is under way when a change is refused: pulumi 3.274 then shows a traceback for whatever else is."""
        if args.resource is self or isinstance(args.resource, invariants.Invariants):
            return None
        after = pulumi.ResourceOptions(depends_on=[self._invariants])
        return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, after))

    def _datastore(self, name: str) -> Datastore | None:
        """The managed database, where there is one."""
        settings = self._settings
        if not isinstance(settings.datastore, ManagedDatastoreSettings):
            return None
        tag = self._tags[settings.server_tag]
        args = DatastoreArgs(settings.name_prefix, self._region, settings.datastore, self._network.vpc_id, tag)
        return Datastore(f"{name}-datastore", args, self._kept)

    def _single_node_address(self, name: str) -> pulumi.Output[str]:
        settings, server = self._settings, self._servers[0]
        if settings.reserved_ip is None:
            return server.public_ip
        args = ReservedAddressArgs(self._region, settings.reserved_ip, server.droplet_id)
        return ReservedAddress(f"{name}-reserved-ip", args, self._child).ip

    def _api_name(self, name: str, address: pulumi.Output[str]) -> ApiName | None:
        if self._settings.api_domain is None:
            return None
        return ApiName(f"{name}-api-name", ApiNameArgs(self._settings.api_domain, address), self._child)

    def _load_balancer(self, name: str) -> ApiLoadBalancer | None:
        settings = self._settings
        if settings.load_balancer is None:
            return None
        args = ApiLoadBalancerArgs(
            settings.name_prefix,
            self._region,
            settings.load_balancer,
            settings.access,
            self._network.vpc_id,
            self._tags[settings.server_tag],
            self._project.id,
        )
        return ApiLoadBalancer(f"{name}-load-balancer", args, self._child)

    def _machines(self, role: Role, kind: str, count: int, size: str, image: str) -> list[Machine]:
        settings = self._settings
        args = MachineArgs(
            role=role,
            kind=kind,
            # The disk of a single node's server is the cluster's only memory.
            replaceable=role == "agent" or settings.topology == "ha",
            name_prefix=settings.name_prefix,
            region=self._region,
            image=image,
            size=size,
            k3s_version=settings.k3s_version,
            vpc_id=self._network.vpc_id,
            tag=self._tags[settings.server_tag if role == "server" else settings.agent_tag],
            ssh_keys=self._access.ssh_keys,
            public_keys=settings.access.public_keys,
            firewalls=self._access.firewalls,
        )
        return [Machine(self._logical_name(f"{kind}-{index}"), args, self._child) for index in range(count)]

    def _nodes(
        self,
        pools: Sequence[tuple[AgentPoolSettings, list[Machine]]],
        api_address: pulumi.Output[str],
        datastore: Datastore | None,
    ) -> list[Node]:
        settings = self._settings
        endpoint, datastore_ca = self._datastore_access(datastore)
        before: list[pulumi.Resource] = [*self._before_servers(datastore)] if datastore else []
        if settings.restore_file:
            restored = self._restored_datastore(settings.restore_file, endpoint, datastore_ca, before)
            secrets = (restored.server_token, restored.agent_token)
            before = [restored]
        elif datastore is not None and datastore.restore is not None:
            forked = self._forked_datastore(datastore, datastore.restore, before)
            secrets = (forked.server_token, self._token("agent-token"))
            before = [forked]
        else:
            secrets = (self._token("server-token"), self._token("agent-token"))
        self._server_token: pulumi.Output[str] = pulumi.Output.secret(secrets[0])
        tokens = pulumi.Output.all(*secrets).apply(lambda known: Tokens(server=known[0], agent=known[1]))
        one_by_one = not self._is_new or isinstance(settings.datastore, EmbeddedEtcdSettings)
        servers: list[Node] = []
        for index, machine in enumerate(self._servers):
            config = pulumi.Output.all(_addresses(machine), tokens, api_address, endpoint).apply(
                lambda told: server_config(settings, told[0], told[1], told[2], told[3])
            )
            marks = server_marks(settings)
            servers.append(self._node(f"server-{index}", "server", machine, config, marks, datastore_ca, before))
            before = [servers[-1] if one_by_one else servers[0]]
        after = servers[:1] if self._is_new else servers
        joined = []
        for pool, machines in pools:
            marks = NodeMarks(pool.labels, pool.taints)
            for index, machine in enumerate(machines):
                told = pulumi.Output.all(_addresses(machine), tokens, marks)
                config = told.apply(lambda known: agent_config(settings, known[0], known[1], known[2]))
                joined.append(self._node(f"{pool.name}-{index}", "agent", machine, config, marks, None, after))
        return [*servers, *joined]

    def _node(
        self,
        name: str,
        role: Role,
        machine: Machine,
        config: pulumi.Output[str],
        marks: NodeMarks,
        datastore_ca: pulumi.Input[str] | None,
        after: Sequence[pulumi.Resource],
    ) -> Node:
        settings = self._settings
        etcd_member = role == "server" and isinstance(settings.datastore, EmbeddedEtcdSettings)
        resized_in_place = role == "server" and settings.topology == "single-node"
        args = NodeArgs(
            role=role,
            name=machine.name,
            droplet_id=machine.droplet_id,
            size=machine.size if resized_in_place else None,
            host=machine.public_ip,
            host_key=machine.host_key,
            private_key=self._access.private_key,
            node_password=machine.node_password,
            authorized_keys=self._access.authorized_keys,
            k3s_version=settings.k3s_version,
            config=pulumi.Output.secret(config),
            files={**hardening.files(settings, role), **datastore_connections.files(settings, role)},
            datastore_ca=datastore_ca,
            labels=dict(marks.labels),
            taints=list(marks.taints),
            api_name=settings.api_name,
            # A server that joins etcd must not ask itself.
            server_addresses=[server.private_ip for server in self._servers if not (etcd_member and server is machine)],
            peers=[
                {"host": server.public_ip, "host_key": server.host_key}
                for server in self._servers
                if server is not machine
            ],
            drain_timeout=settings.roll.drain_timeout,
            at_a_time=settings.roll.max_unavailable_agents,
            health_check=_health_check(settings) if role == "server" else None,
            etcd_member=etcd_member,
            from_backup=etcd_member and bool(settings.restore_file),
            fixed=immutable_settings.of(server_rules(settings)) if role == "server" else {},
        )
        return Node(self._logical_name(name), args, pulumi.ResourceOptions(parent=self, depends_on=list(after)))

    def _datastore_access(
        self, managed: Datastore | None
    ) -> tuple[pulumi.Output[str | None], pulumi.Input[str] | None]:
        """What servers are told of a datastore outside themselves: endpoint (a secret) and CA."""
        match self._settings.datastore:
            case ManagedDatastoreSettings():
                assert managed is not None
                return managed.endpoint, managed.ca
            case ExternalDatastoreSettings(endpoint=endpoint, ca=ca):
                return pulumi.Output.secret(endpoint), ca
            case SqliteDatastoreSettings() | EmbeddedEtcdSettings():
                return pulumi.Output.from_input(None), None

    def _before_servers(self, datastore: Datastore) -> list[pulumi.Resource]:
        """What must be there before a server may use the managed database."""
        after = pulumi.ResourceOptions(parent=self, depends_on=[datastore.firewall, datastore.at_version])
        grants = DatastoreGrants(self._logical_name("datastore-grants"), self._grants(datastore), after)
        # While its version changes, the database may be away: no server is restarted then.
        return [datastore.at_version, grants]

    def _grants(self, datastore: Datastore) -> DatastoreGrantsArgs:
        """The managed database, its administrator and K3s's user, and the server to reach it through."""
        return DatastoreGrantsArgs(
            host=self._servers[0].public_ip,
            host_key=self._servers[0].host_key,
            private_key=self._access.private_key,
            engine=datastore.engine,
            database_host=datastore.host,
            database_port=datastore.port,
            database_ca=datastore.ca,
            administrator=datastore.administrator,
            administrator_password=datastore.administrator_password,
            database=datastore.database,
            user=datastore.user,
            password=datastore.password,
        )

    def _restored_datastore(
        self,
        file: str,
        endpoint: pulumi.Output[str | None],
        datastore_ca: pulumi.Input[str] | None,
        after: Sequence[pulumi.Resource],
    ) -> RestoredDatastore:
        """The backup's rows, or its snapshot, and tokens: there before the first server starts."""
        settings = self._settings
        args = RestoredDatastoreArgs(
            file=file,
            engine=settings.datastore.engine,
            k3s_version=settings.k3s_version,
            fixed=immutable_settings.of(server_rules(settings)),
            host=self._servers[0].public_ip,
            host_key=self._servers[0].host_key,
            private_key=self._access.private_key,
            endpoint=endpoint,
            ca=datastore_ca,
        )
        opts = pulumi.ResourceOptions.merge(self._kept, pulumi.ResourceOptions(depends_on=list(after)))
        return RestoredDatastore(self._logical_name("restored-datastore"), args, opts)

    def _forked_datastore(
        self, datastore: Datastore, restore: DatastoreRestoreSettings, after: Sequence[pulumi.Resource]
    ) -> ForkedDatastore:
        """The rows of DigitalOcean's backup without the old machines and users, before the first server starts."""
        settings = self._settings
        args = ForkedDatastoreArgs(
            **vars(self._grants(datastore)),
            source=restore.cluster,
            server_token=pulumi.Output.secret(restore.token),
            k3s_version=settings.k3s_version,
            fixed=immutable_settings.of(server_rules(settings)),
            database_id=datastore.database_id,
            endpoint=datastore.endpoint,
        )
        opts = pulumi.ResourceOptions.merge(self._kept, pulumi.ResourceOptions(depends_on=list(after)))
        return ForkedDatastore(self._logical_name("forked-datastore"), args, opts)

    def _token(self, name: str) -> pulumi.Output[str]:
        logical_name = self._logical_name(name)
        return random.RandomPassword(logical_name, length=TOKEN_LENGTH, special=False, opts=self._kept).result

    def _logical_name(self, part: str) -> str:
        """Pulumi's name of a part. URNs do not hold the parent's name, so that two clusters in a program need two.

        The cluster `k3s`, which is this project's own, has had plain names from the beginning, and keeps them.
        """
        return part if self._name == "k3s" else f"{self._name}-{part}"


def _health_check(settings: ClusterSettings) -> dict[str, int] | None:
    balancer = settings.load_balancer
    if balancer is None:
        return None
    return {"interval": balancer.interval, "healthy": balancer.healthy, "unhealthy": balancer.unhealthy}


def _addresses(machine: Machine) -> pulumi.Output[NodeAddresses]:
    return pulumi.Output.all(machine.name, machine.public_ip, machine.private_ip).apply(
        lambda known: NodeAddresses(name=known[0], public=known[1], private=known[2])
    )


def _described(machine: Machine) -> dict[str, pulumi.Output[str]]:
    return {
        "name": machine.name,
        "publicAddress": machine.public_ip,
        "privateAddress": machine.private_ip,
        "size": machine.size,
    }


def _ssh_command(server: Machine) -> pulumi.Output[str]:
    """One line for any shell; what follows it is run on the server. The host key is known.

    The stack's key is alone in an SSH agent of its own, which ends with the connection: a person's other keys would use
    up the attempts that sshd allows. `-o` overrides what a person's ~/.ssh/config says of agents.
    """
    return pulumi.Output.concat(
        "ssh-agent sh -c 'pulumi stack output sshPrivateKey --show-secrets | ssh-add -q - && ",
        "exec ssh -o IdentitiesOnly=no -o IdentityAgent=SSH_AUTH_SOCK ",
        '-o "KnownHostsCommand=/bin/echo ',
        *(server.public_ip, " ", server.host_key, '" root@', server.public_ip, ' "$@"\' ssh'),
    )
