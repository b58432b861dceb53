"""The addresses of the local cloud's internet. All are from RFC 5737's documentation blocks: they route nowhere."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

#: The cloud's own hosts.
SERVICES = IPv4Network("192.0.2.0/25")
API = IPv4Address("192.0.2.1")
API_PORT = 80
API_URL = f"http://{API}"
#: get.k3s.io and the release files behind it.
K3S_DOWNLOADS = IPv4Address("192.0.2.2")
#: The stores of Spaces, one address for each region (spaces/regions.py).
SPACES = IPv4Network("192.0.2.64/27")

#: People who use the cloud: `bin/local` runs at OPERATOR; OUTSIDER is someone else on the internet.
PEOPLE = IPv4Network("198.51.100.0/24")
OPERATOR = IPv4Address("198.51.100.10")
OUTSIDER = IPv4Address("198.51.100.66")

#: Public addresses of droplets, load balancers and databases.
PUBLIC = IPv4Network("203.0.113.0/24")
PUBLIC_GATEWAY = IPv4Address("203.0.113.1")

#: Reserved addresses, which lead to droplets: outside of PUBLIC, whose hosts take each other for neighbours.
RESERVED = IPv4Network("192.0.2.128/25")

#: DigitalOcean's resolvers, as in /etc/resolv.conf of its droplets.
RESOLVERS = (IPv4Address("67.207.67.2"), IPv4Address("67.207.67.3"))
METADATA = IPv4Address("169.254.169.254")
