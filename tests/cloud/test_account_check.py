"""The check of an account before anything is made, against the API as it is served: what it asks, and what it says."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest

from k3s_cluster.account import client
from k3s_cluster.account.check import PreflightError, check_account
from k3s_cluster.account.client import Client, Credentials, NoAnswer, NotAllowed, control_panel
from k3s_cluster.account.facts import ask
from k3s_cluster.account.scopes import needed_scopes
from k3s_cluster.settings import ClusterSettings, parse_settings
from local_cloud.catalogue.sizes import SIZES
from tests.cloud.openapi import Conformance
from tests.plugins.cloud_server import TOKEN, CloudServer
from tests.unit.stack_files import CHECKOUT, config

READER = "dop_v1_" + "6" * 64


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudServer]:
    cloud = CloudServer(tmp_path)
    yield cloud
    cloud.close()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the check tells the person, in order."""
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda message: lines.append(message))
    monkeypatch.setattr(pulumi.log, "warn", lambda message: lines.append(message))
    return lines


def settings(**changes: object) -> ClusterSettings:
    given = {"adminCidrs": ["198.51.100.7/32"], "datastoreSize": "db-s-1vcpu-2gb", **changes}
    return parse_settings(config(**given), stack="dev", folder=CHECKOUT)


def credentials(cloud: CloudServer, token: str = TOKEN) -> Credentials:
    return Credentials(cloud.url, token, "DIGITALOCEAN_TOKEN")


def test_a_good_plan_is_told_its_cost_by_reading_alone(cloud: CloudServer, said: list[str]) -> None:
    is_new = check_account(settings(sshKeys=[]), credentials(cloud))
    assert is_new
    (cost,) = said
    assert cost.startswith("Cost: $102.45 a month (2 servers s-2vcpu-4gb $48.00, ")
    assert "Deployed now: $0.00; difference: +$102.45." in cost
    assert cloud.writes() == []
    assert cloud.state() == {}


def test_all_that_is_asked_is_in_the_api_s_description(cloud: CloudServer, conformance: Conformance) -> None:
    asked = settings(sshKeys=["laptop"], projectName="platform")
    with pytest.raises(PreflightError):
        check_account(asked, credentials(cloud))
    exchanges = [one for one in cloud.exchanges() if one["path"] != client.TOKEN_INFO]
    assert len(exchanges) > 10
    assert {problem for one in exchanges for problem in conformance.problems_of(one)} == set()


def test_all_problems_are_in_one_error(cloud: CloudServer, said: list[str]) -> None:
    wrong = settings(region="fra9", image="ubuntu-20-04-x64", sshKeys=["laptop"], costLimit=50)
    with pytest.raises(PreflightError) as refused:
        check_account(wrong, credentials(cloud))
    assert isinstance(refused.value, pulumi.RunError)
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["region", "image", "sshKeys", "costLimit"]
    assert str(refused.value).startswith("This plan cannot work in the account:\n  - region: `fra9` ")
    assert cloud.writes() == []


def test_a_vpc_and_a_database_that_are_there(cloud: CloudServer, said: list[str]) -> None:
    for name, ip_range in (("other", "10.10.8.0/22"), ("blue-vpc-01", "10.30.0.0/24")):
        cloud.call("POST", "/v2/vpcs", {"name": name, "region": "fra1", "ip_range": ip_range})
    with pytest.raises(PreflightError) as refused:
        check_account(settings(), credentials(cloud))
    assert refused.value.problems == (
        "vpcCidr: `10.10.10.0/24` overlaps 10.10.8.0/22 of the VPC `other` in fra1; free are `10.10.12.0/24`, "
        "`10.10.13.0/24` and `10.10.14.0/24`.",
    )
    # Another prefix, whose VPC is there already.
    check_account(settings(namePrefix="blue", vpcCidr="10.30.0.0/24"), credentials(cloud))


def test_a_token_that_is_not_known(cloud: CloudServer) -> None:
    stranger = "dop_v1_" + "9" * 64
    with pytest.raises(PreflightError) as refused:
        check_account(settings(), credentials(cloud, stranger))
    assert refused.value.problems == (
        f"token: {cloud.url} does not know the token in DIGITALOCEAN_TOKEN (401); it may be mistyped, expired or "
        "deleted: make a new one under API > Tokens.",
    )
    assert stranger not in repr(credentials(cloud, stranger))


def test_a_token_that_may_only_read(cloud: CloudServer, said: list[str]) -> None:
    cloud.control("PUT", "/_local/tokens", {"token": READER, "scopes": ["read"]})
    with pytest.raises(PreflightError) as refused:
        check_account(settings(), credentials(cloud, READER))
    (problem,) = refused.value.problems
    assert problem.startswith("token: may only read")


def test_a_token_with_the_scopes_of_its_plan_is_enough_to_look_at_everything(
    cloud: CloudServer, said: list[str]
) -> None:
    plan = settings(sshKeys=[], apiDomain="k3s.example.com")
    cloud.call("POST", "/v2/domains", {"name": "example.com"})
    cloud.control("PUT", "/_local/tokens", {"token": READER, "scopes": list(needed_scopes(plan))})
    check_account(plan, credentials(cloud, READER))
    (cost,) = said
    assert cost.startswith("Cost: ")
    without = [scope for scope in needed_scopes(plan) if scope not in ("domain:delete", "database:view_credentials")]
    cloud.control("PUT", "/_local/tokens", {"token": READER, "scopes": without})
    with pytest.raises(PreflightError) as refused:
        check_account(plan, credentials(cloud, READER))
    (problem,) = refused.value.problems
    assert problem.startswith("token: lacks the scopes `database:view_credentials`, `domain:delete`, which this stack ")


def test_a_domain_that_the_account_does_not_keep_is_only_looked_for(cloud: CloudServer, said: list[str]) -> None:
    plan = settings(sshKeys=[], apiDomain="k3s.example.com")
    cloud.call("POST", "/v2/domains", {"name": "example.org"})
    needed = needed_scopes(plan, domain_is_kept=False)
    assert [scope for scope in needed if scope.startswith("domain:")] == ["domain:read"]
    cloud.control("PUT", "/_local/tokens", {"token": READER, "scopes": list(needed)})
    check_account(plan, credentials(cloud, READER))


def test_without_a_token_it_says_that_it_was_skipped(said: list[str]) -> None:
    assert not check_account(settings(), None)
    assert said == ["Preflight: skipped, because there is no DigitalOcean token to ask the account with."]


def test_an_api_that_is_out_of_order_does_not_stop_a_plan(cloud: CloudServer, said: list[str]) -> None:
    cloud.fault(method="GET", path=".*", status=503, times=100)
    assert not check_account(settings(), credentials(cloud))
    (line,) = said
    assert line.startswith(f"Preflight: skipped, because {cloud.url} does not answer (GET ")
    assert line.endswith(" answered 503).")


def test_one_thing_that_is_not_answered_is_said_and_the_rest_is_looked_at(cloud: CloudServer, said: list[str]) -> None:
    cloud.fault(method="GET", path="/v2/vpcs", status=500, times=1)
    with pytest.raises(PreflightError) as refused:
        check_account(settings(serverSize="s-9vcpu-9gb"), credentials(cloud))
    assert said[0] == "Preflight: one thing was not looked at (GET /v2/vpcs answered 500)."
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["serverSize"]


def test_an_api_that_hangs_or_is_away_is_no_answer(cloud: CloudServer) -> None:
    cloud.fault(method="GET", path=".*", hang_seconds=30, times=100)
    with pytest.raises(NoAnswer, match="timed out"):
        Client(credentials(cloud), answer_seconds=0.2).get("/v2/account")
    for endpoint in ("http://127.0.0.1:9", "ftp://127.0.0.1", "nonsense"):
        with pytest.raises(NoAnswer) as silence:
            ask(Client(Credentials(endpoint, TOKEN, "x")), settings())
        assert TOKEN not in str(silence.value)


def test_lists_are_read_to_their_last_page(cloud: CloudServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 3)
    found = Client(credentials(cloud)).all("/v2/sizes", "sizes")
    assert [size["slug"] for size in found] == list(SIZES)


def test_a_redirect_does_not_carry_the_token_elsewhere(cloud: CloudServer) -> None:
    class Redirecting(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(302)
            self.send_header("Location", f"{cloud.url}/v2/account")
            self.end_headers()

        do_DELETE = do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        elsewhere = Client(Credentials(f"http://127.0.0.1:{server.server_port}", TOKEN, "x"))
        with pytest.raises(NoAnswer, match="answered 302"):
            elsewhere.get("/v2/account")
        assert [elsewhere.ask(method, "/v2/account", {}).status for method in ("POST", "DELETE")] == [302, 302]
        server.shutdown()
    assert cloud.exchanges() == []


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 502 No\r\nContent-Length: 9\r\n\r\n{",
    ],
)
def test_an_answer_that_breaks_off_is_none(sent: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as host:

        def answer() -> None:
            caller, _ = host.accept()
            with caller:
                caller.recv(4096)
                caller.sendall(sent)

        threading.Thread(target=answer, daemon=True).start()
        broken = Client(Credentials(f"http://127.0.0.1:{host.getsockname()[1]}", TOKEN, "x"))
        with pytest.raises(NoAnswer):
            broken.get("/v2/account")


@pytest.mark.parametrize("agent", ["Python-urllib/3.11", "python-requests/2.32.5"])
def test_the_client_says_who_it_is_and_a_library_is_turned_away(
    cloud: CloudServer, monkeypatch: pytest.MonkeyPatch, agent: str
) -> None:
    """Python-urllib is refused by DigitalOcean's Cloudflare: github.com/NethServer/ns8-core/pull/522."""
    assert Client(credentials(cloud)).get("/v2/account")["account"]
    monkeypatch.setattr(client, "USER_AGENT", agent)
    with pytest.raises(NotAllowed):
        Client(credentials(cloud)).get("/v2/account")


@pytest.mark.parametrize(
    ("endpoint", "panel"),
    [
        ("https://api.digitalocean.com", "https://cloud.digitalocean.com"),
        ("https://api.digitalocean.com/", "https://cloud.digitalocean.com"),
        ("http://192.0.2.1", "http://192.0.2.1"),
        ("http://127.0.0.1:8080/base", "http://127.0.0.1:8080"),
    ],
)
def test_where_a_token_s_rights_are_told(endpoint: str, panel: str) -> None:
    assert control_panel(endpoint) == panel
