"""The rules of the cloud as nftables sees them."""

from ipaddress import IPv4Address, IPv4Network

from local_cloud.machine_room import HostRules, NetworkRules, Peers
from local_cloud.network.firewall import ruleset

EVERYBODY = IPv4Network("0.0.0.0/0")
VPC = IPv4Network("10.10.10.0/24")
PUBLIC, PRIVATE = IPv4Address("203.0.113.5"), IPv4Address("10.10.10.5")


def chain(script: str, name: str) -> list[str]:
    """The lines of a chain or map."""
    body = script.split(f" {name} {{\n", 1)[1].split("\n  }", 1)[0]
    return [line.strip() for line in body.splitlines()]


def rules(inbound: tuple[Peers, ...] | None, outbound: tuple[Peers, ...] | None = None) -> str:
    return ruleset(NetworkRules((VPC,), (HostRules(PUBLIC, PRIVATE, inbound, outbound),)))


def test_a_port_that_no_rule_opens_is_closed() -> None:
    assert chain(rules(inbound=()), "in_cb007105") == ["drop"]


def test_a_rule_opens_its_port_for_its_peers_at_both_addresses() -> None:
    script = rules((Peers("tcp", (6443, 6443), (VPC,)),))
    assert chain(script, "in_cb007105") == ["ip saddr { 10.10.10.0/24 } tcp dport 6443 accept", "drop"]
    elements = chain(script, "inbound")[1]
    assert "203.0.113.5 : jump in_cb007105" in elements
    assert "10.10.10.5 : jump in_cb007105" in elements


def test_everybody_needs_no_list_of_addresses_and_ranges_are_ranges() -> None:
    script = rules((Peers("udp", (1, 65535), (EVERYBODY, VPC)), Peers("icmp", None, (EVERYBODY,))))
    assert chain(script, "in_cb007105") == ["udp dport 1-65535 accept", "ip protocol icmp accept", "drop"]


def test_a_rule_without_ports_is_for_all_ports() -> None:
    assert chain(rules((Peers("tcp", None, (VPC,)),)), "in_cb007105")[0] == (
        "ip saddr { 10.10.10.0/24 } ip protocol tcp accept"
    )


def test_a_rule_that_names_nobody_opens_nothing() -> None:
    assert chain(rules((Peers("tcp", (22, 22), ()),)), "in_cb007105") == ["drop"]


def test_no_firewall_lets_everything_pass() -> None:
    script = rules(inbound=None, outbound=None)
    assert chain(script, "in_cb007105") == ["accept"]
    assert "out_cb007105" not in script


def test_outbound_rules_go_on_to_the_other_side_s_inbound_rules() -> None:
    script = rules(inbound=None, outbound=(Peers("tcp", (443, 443), (EVERYBODY,)),))
    assert chain(script, "out_cb007105") == ["tcp dport 443 return", "drop"]
    assert "203.0.113.5 : jump out_cb007105" in chain(script, "outbound")[1]


def test_private_addresses_talk_inside_their_vpc_only() -> None:
    script = ruleset(NetworkRules((VPC, IPv4Network("10.20.0.0/20"))))
    assert chain(script, "vpcs") == [
        'iifname "v*" oifname "v*" ip saddr 10.10.10.0/24 ip daddr 10.10.10.0/24 return',
        'iifname "v*" oifname "v*" ip saddr 10.20.0.0/20 ip daddr 10.20.0.0/20 return',
        'iifname "v*" drop',
        "ip daddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 } drop",
    ]


def test_overlapping_networks_are_merged_because_nft_refuses_overlaps() -> None:
    script = rules((Peers("tcp", (22, 22), (VPC, IPv4Network("10.10.10.7/32"))),))
    assert chain(script, "in_cb007105")[0] == "ip saddr { 10.10.10.0/24 } tcp dport 22 accept"
