"""What every datastore must stand, whichever engine keeps the state. A module for an engine makes it its own:

    @pytest.fixture(scope="module")
    def stack() -> Iterator[Stack]:
        yield from brought_up(highly_available("e2e-pg", "10.30.0.0/24", datastoreEngine="pg"))

    class TestLife(Life):
        def stored(self, stack: Stack, key: str) -> int: ...

    class TestEnd(End):
        pass

What the module tests besides stands between the two classes, so that the cluster is there for it.
"""

from __future__ import annotations

import time
from typing import Any

from tests.e2e.datastore_login import attempt, from_droplet, login_of
from tests.e2e.prober import probing
from tests.e2e.stack import LOCAL_CLOUD, Stack, database_id, open_to_outsider, rented_with_prefix, run, wait_for

INTERVAL, UNHEALTHY = 3, 2
#: A request that is under way when a server dies waits for a connection that never comes; HAProxy gives it 3 s.
CONNECT_SECONDS = 3
RETURN_SECONDS = 60


def highly_available(name: str, vpc_cidr: str, **settings: Any) -> Stack:
    """The smallest highly available stack, called and prefixed `name`, with fast health checks."""
    return Stack(
        name,
        {
            "topology": "ha",
            "namePrefix": name,
            "vpcCidr": vpc_cidr,
            "healthCheckInterval": INTERVAL,
            "healthCheckHealthy": 2,
            "healthCheckUnhealthy": UNHEALTHY,
            **settings,
        },
    )


def change(stack: Stack, **settings: Any) -> str:
    """Change settings for good, and bring them about; what `pulumi up` said."""
    stack.config |= settings
    stack.configure()
    return stack.up().stdout


def with_token(stack: Stack, token: str, **settings: Any) -> None:
    """Write the stack's settings with `settings` over them, and the token that opens a copied database's rows."""
    stack.configure(**settings)
    stack.pulumi("config", "set", "--secret", "datastoreRestoreToken", token)


def asked(stack: Stack, database: str, query: str) -> list[str]:
    """The lines of an answer to the superuser, whom only this machine can be."""
    return run(LOCAL_CLOUD, "sql", "--cluster", database_id(stack), database, query).stdout.splitlines()


def api_address(stack: Stack) -> str:
    """The load balancer's address."""
    return str(stack.outputs()["apiEndpoint"]).removeprefix("https://").partition(":")[0]


def serves(droplet: str, address: str) -> bool:
    """Whether K3s lets `droplet` in at a server's `address`."""
    probe = f"exec 3<>/dev/tcp/{address}/6443"
    return run(LOCAL_CLOUD, "shell", droplet, "timeout", "2", "bash", "-c", probe, check=False).returncode == 0


class Life:
    """Up, a Deployment stored, a server lost and come back, agents more and fewer; in this order."""

    #: Seconds in which the load balancer must answer again after a server's power cut.
    answers_seconds: float = INTERVAL * UNHEALTHY + CONNECT_SECONDS
    #: Seconds in which a server shows what another one wrote.
    follows_seconds: float = 0

    def stored(self, stack: Stack, key: str) -> int:
        """How many times the engine itself, asked past Kubernetes, has Kubernetes's `key`."""
        raise NotImplementedError

    def test_every_node_is_ready_through_the_load_balancer(self, stack: Stack) -> None:
        outputs = stack.outputs()
        names = [node["name"] for node in (*outputs["servers"], *outputs["agents"])]
        assert stack.nodes() == dict.fromkeys(names, True)
        assert open_to_outsider(api_address(stack), 6443)
        assert f"server: {outputs['apiEndpoint']}" in stack.kubeconfig.read_text()
        assert outputs["datastore"]["engine"] == stack.config["datastoreEngine"]

    def test_up_again_changes_nothing(self, stack: Stack) -> None:
        stack.preview("--refresh", "--expect-no-changes")

    def test_a_deployment_is_stored(self, stack: Stack) -> None:
        assert self.stored(stack, "/registry/deployments/default/web") == 0
        stack.kubectl("create", "deployment", "web", "--image=nginx", "--replicas=3")
        stack.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        assert self.stored(stack, "/registry/deployments/default/web") >= 1

    def test_the_api_answers_while_one_server_is_dead_and_loses_nothing(self, stack: Stack) -> None:
        outputs = stack.outputs()
        server, address = outputs["servers"][0]["name"], outputs["servers"][0]["privateAddress"]
        agent = outputs["agents"][0]["name"]
        run(LOCAL_CLOUD, "fault", "kill", server)
        try:
            seconds = wait_for(
                "kubectl through the load balancer",
                lambda: stack.kubectl("get", "nodes", check=False).returncode == 0,
                self.answers_seconds,
            )
            print(f"\nafter a server's power cut, kubectl answered after {seconds:.1f} s")
            assert not serves(agent, address)
            # Once the health check has taken the dead server out, every request is answered at once.
            time.sleep(INTERVAL * UNHEALTHY)
            stack.kubectl("create", "configmap", "written-without-it")
            for _ in range(10):
                stack.kubectl("get", "deployment", "web")
            stack.kubectl("scale", "deployment", "web", "--replicas=4")
            wait_for("the controllers' work", lambda: replicas(stack, "web") == 4, RETURN_SECONDS)
        finally:
            run(LOCAL_CLOUD, "fault", "boot", server)
        back = wait_for("the server to serve again", lambda: serves(agent, address), RETURN_SECONDS)
        wait_for("all nodes Ready", lambda: all(stack.nodes().values()), RETURN_SECONDS)
        print(f"{server} serves again {back:.1f} s after its start")
        stack.kubectl("get", "configmap", "written-without-it")
        stack.kubectl("rollout", "status", "deployment/web", "--timeout=60s")

    def test_agents_come_and_go(self, stack: Stack) -> None:
        before = stack.nodes()
        change(stack, agentCount=2)
        found: dict[str, bool] = {}

        def there_are(nodes: int) -> bool:
            found.clear()
            found.update(stack.nodes())
            return len(found) == nodes

        wait_for("one node more", lambda: there_are(len(before) + 1), self.follows_seconds)
        assert all(found.values()), found
        change(stack, agentCount=1)
        wait_for("one node less", lambda: there_are(len(before)), self.follows_seconds)
        assert found == dict.fromkeys(before, True)
        stack.kubectl("rollout", "status", "deployment/web", "--timeout=60s")


class PasswordRotation:
    """Another password for the user of a managed database, while somebody asks the API all the time."""

    def users(self, stack: Stack) -> set[str]:
        """Whom the database itself lets in, besides its administrator."""
        raise NotImplementedError

    def test_a_new_password_is_not_noticed_at_the_api_and_the_old_one_is_worth_nothing(self, stack: Stack) -> None:
        servers = [server["name"] for server in stack.outputs()["servers"]]
        former = login_of(servers[0])
        assert self.users(stack) == {former["user"]}
        # A database is protected unless somebody says otherwise.
        change(stack, datastoreProtect=True)
        try:
            with probing(stack.kubeconfig) as probes:
                said = change(stack, datastorePasswordVersion=2)
                stack.kubectl("create", "configmap", "written-with-the-new-password")
        finally:
            change(stack, datastoreProtect=False)
        print(
            f"\nanother database password: {len(probes.failed)} of {probes.asked} requests failed, "
            f"the slowest answer took {probes.slowest} s {probes.failed[:3]}"
        )
        assert "DatabaseCluster" not in said
        logins = [login_of(server) for server in servers]
        (user,) = {login["user"] for login in logins}
        (password,) = {login["password"] for login in logins}
        assert user != former["user"]
        assert password != former["password"]
        assert self.users(stack) == {user}
        where = from_droplet(servers[0])
        assert "answers" in attempt(where, **logins[0])
        for wrong in (former, {**former, "user": user}, {**logins[0], "user": former["user"]}):
            assert "error" in attempt(where, **wrong)
        assert all(stack.nodes().values())
        stack.kubectl("get", "configmap", "written-with-the-new-password")
        stack.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        assert probes.asked > 50
        assert probes.failed == []
        stack.preview("--refresh", "--expect-no-changes")


class SqlLife(Life):
    """The same, of an engine that keeps kine's table in a managed database.

    kine looks every second for what other servers wrote (github.com/k3s-io/kine, pkg/logstructured/sqllog).
    """

    follows_seconds = 5

    def stored(self, stack: Stack, key: str) -> int:
        (count,) = asked(stack, "k3s", f"SELECT count(*) FROM kine WHERE name = '{key}'")
        return int(count)


class End:
    """The last of a module: the cluster goes."""

    def test_destroy_leaves_nothing(self, stack: Stack) -> None:
        stack.destroy()
        assert rented_with_prefix(stack.config["namePrefix"]) == []
        assert not stack.kubeconfig.exists()


def replicas(stack: Stack, deployment: str) -> int:
    """How many replicas the controllers have made of it."""
    asked = stack.kubectl("get", "deployment", deployment, "--output=jsonpath={.status.replicas}", check=False)
    return int(asked.stdout.strip() or 0) if asked.returncode == 0 else 0
