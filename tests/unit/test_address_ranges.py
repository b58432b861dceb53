"""The ranges for pods and Services: read as K3s reads them, and compared with each other and with the VPC."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from k3s_cluster import immutable_settings
from k3s_cluster.settings import address_ranges
from tests.unit.stack_files import config, refusals

SETTING = address_ranges.SETTING


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cluster-cidr": "nonsense"}, "`cluster-cidr` must be one IPv4 range, such as `10.42.0.0/16`"),
        ({"cluster-cidr": "10.50.0.0"}, "(with its length behind a slash)"),
        ({"cluster-cidr": "10.50.0.0/255.255.0.0"}, "(with its length behind a slash)"),
        ({"service-cidr": "10.96.0.0/32", "cluster-dns": "10.96.0.10"}, "`service-cidr: 10.96.0.0/32` must be"),
        ({"service-cidr": "2001:db8::/108"}, "`service-cidr` must be one IPv4 range"),
        ({"cluster-cidr": "10.42.0.0/16,2001:cafe:42::/56"}, "`cluster-cidr` must be one IPv4 range"),
        ({"cluster-cidr": ["10.42.0.0/16", "2001:cafe:42::/56"]}, "nodes have IPv4 addresses only"),
        ({"cluster-dns": "dns.example.com"}, "`cluster-dns` must be one IPv4 address"),
        ({"cluster-cidr": "10.43.0.0/16"}, "`cluster-cidr` is 10.43.0.0/16 and `service-cidr` is 10.43.0.0/16"),
        ({"service-cidr": "10.42.128.0/20"}, "they must not overlap"),
        ({"cluster-cidr": "10.10.0.0/16"}, "`cluster-cidr: 10.10.0.0/16` overlaps `10.10.10.0/24` of vpcCidr"),
        ({"service-cidr": "10.10.10.0/25"}, "`service-cidr: 10.10.10.0/25` overlaps `10.10.10.0/24` of vpcCidr"),
        ({"service-cidr": "172.30.0.0/29"}, "must be /28 or larger"),
        ({"service-cidr": "172.30.0.0/30", "cluster-dns": "172.30.0.2"}, "must be /29 or larger"),
        ({"cluster-cidr": "172.30.0.0/25"}, "`cluster-cidr: 172.30.0.0/25` is enough for 0 nodes"),
        ({"cluster-cidr": "172.30.0.0/23"}, "is enough for 2 nodes, of which each takes a /24, and this stack has 3"),
        ({"cluster-dns": "10.44.0.10"}, "`cluster-dns: 10.44.0.10` must be a free address of `service-cidr`"),
        ({"cluster-dns": "10.43.0.1"}, "such as `10.43.0.10`"),
        ({"service-cidr": "172.30.0.0/29", "cluster-dns": "172.30.0.0"}, "such as `172.30.0.6`"),
    ],
)
def test_a_range_that_cannot_work_is_refused(settings: dict[str, object], message: str) -> None:
    (problem,) = refusals(config(k3sServerConfig=settings))
    assert problem.startswith(f"{SETTING}: ")
    assert message in problem


@pytest.mark.parametrize(
    "settings",
    [
        {"cluster-cidr": "10.50.0.0/16", "service-cidr": "10.60.0.0/16", "cluster-dns": "10.60.0.10"},
        {"cluster-cidr": ["10.50.0.1/16"], "service-cidr": ["172.30.0.0/29"], "cluster-dns": "172.30.0.3"},
        {"service-cidr": "172.0.0.0/11"},
        {"cluster-dns": "10.43.0.53"},
        {"cluster-cidr": "172.30.0.0/24", "kube-controller-manager-arg": ["node-cidr-mask-size=26"]},
        {"cluster-cidr": "10.42.0.0/16"},
    ],
)
def test_a_range_that_can_is_taken(settings: dict[str, object]) -> None:
    assert refusals(config(k3sServerConfig=settings)) == ()


def test_before_v1_34_there_was_a_largest_range_for_services() -> None:
    (problem,) = refusals(config(k3sVersion="v1.33.6+k3s1", k3sServerConfig={"service-cidr": "172.0.0.0/11"}))
    assert problem == f"{SETTING}: `service-cidr: 172.0.0.0/11` must be between /12 and /28."


def test_k3s_s_own_ranges_are_free_for_a_vpc_once_pods_and_services_have_others() -> None:
    (pods,) = refusals(config(vpcCidr="10.42.0.0/16"))
    assert pods.startswith("vpcCidr: `10.42.0.0/16` overlaps 10.42.0.0/16, which K3s gives to pods")
    assert refusals(config(vpcCidr="10.42.0.0/16", k3sServerConfig={"cluster-cidr": "10.60.0.0/16"})) == ()
    (services,) = refusals(config(vpcCidr="10.43.8.0/24"))
    assert "which K3s gives to Services" in services


def test_a_vpc_that_is_there_is_compared_when_its_range_is_known() -> None:
    network = IPv4Network("10.42.0.0/20")
    (line,) = address_ranges.overlaps({}, network, "vpcId")
    assert line.startswith("vpcId: `10.42.0.0/20` overlaps 10.42.0.0/16, which K3s gives to pods")
    assert address_ranges.overlaps({"cluster-cidr": "10.60.0.0/16"}, network, "vpcId") == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"cluster-cidr": "10.42.0.0/16"}),
        ({}, {"cluster-cidr": ["10.42.0.0/16"]}),
        ({"service-cidr": "10.60.0.0/16"}, {"service-cidr": "10.60.0.0/16", "cluster-dns": "10.60.0.10"}),
        ({}, {"flannel-backend": "vxlan", "egress-selector-mode": "agent", "cluster-domain": "cluster.local"}),
        ({"disable-network-policy": False}, {}),
        ({"secrets-encryption": "True"}, {"secrets-encryption": True}),
        ({"cluster-cidr": "['10.50.0.0/16']"}, {"cluster-cidr": ["10.50.0.0/16"]}),
    ],
)
def test_a_default_equals_itself(before: dict[str, object], after: dict[str, object]) -> None:
    assert immutable_settings.changes(immutable_settings.of(before), immutable_settings.of(after)) == []


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({}, {"cluster-cidr": "10.60.0.0/16"}, ("cluster-cidr", "K3s's default", "`10.60.0.0/16`")),
        ({"disable-network-policy": True}, {}, ("disable-network-policy", "`true`", "K3s's default")),
        ({}, {"cluster-dns": "10.43.0.53"}, ("cluster-dns", "K3s's default", "`10.43.0.53`")),
        ({}, {"service-cidr": "10.60.0.0/16"}, ("service-cidr", "K3s's default", "`10.60.0.0/16`")),
    ],
)
def test_what_differs_is_named_with_both_values(
    before: dict[str, object], after: dict[str, object], changed: tuple[str, str, str]
) -> None:
    assert immutable_settings.changes(immutable_settings.of(before), immutable_settings.of(after)) == [changed]
