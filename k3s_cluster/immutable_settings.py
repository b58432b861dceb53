"""K3s settings that a cluster keeps for life: its certificates, addresses or rows depend on them.

Compared as K3s understands them, so a default that is written out equals the default that is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network

#: docs.k3s.io/cli/server: what is fixed when a cluster is made, or what data on disk and in the datastore depends on.
REASONS: Mapping[str, str] = {
    "cluster-cidr": "pods and nodes already have addresses from it",
    "service-cidr": "services already have addresses from it",
    "cluster-dns": "pods already have it in their resolv.conf",
    "cluster-domain": "certificates and pods already have it",
    "flannel-backend": "nodes with different backends cannot reach each other's pods while it changes",
    "disable-network-policy": "it must be equal on all servers at every moment",
    "egress-selector-mode": "it must be equal on all servers at every moment",
    "secrets-encryption": "the datastore holds secrets written the other way; see docs.k3s.io/cli/secrets-encrypt",
}
#: docs.k3s.io/cli/server: what K3s takes where nothing is said. cluster-dns follows from service-cidr.
DEFAULTS: Mapping[str, str] = {
    "cluster-cidr": "10.42.0.0/16",
    "service-cidr": "10.43.0.0/16",
    "cluster-domain": "cluster.local",
    "flannel-backend": "vxlan",
    "disable-network-policy": "false",
    "egress-selector-mode": "agent",
    "secrets-encryption": "false",
}
#: docs.k3s.io/cli/server ("--cluster-dns"): 10.43.0.10, the tenth of whatever service-cidr is.
DNS_ADDRESS = 10
_FOLLOWS = "cluster-dns"


def of(config: Mapping[str, object]) -> dict[str, str]:
    """Those that a server's config.yaml names, as texts."""
    return {key: _text(config[key]) for key in sorted(REASONS) if key in config}


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """What differs: the setting's name, what it was and what it would be, both fit for a message."""
    return [
        (key, _shown(before, key), _shown(after, key))
        for key in sorted(REASONS)
        if (key in before or key in after or key != _FOLLOWS) and _understood(before, key) != _understood(after, key)
    ]


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list():
            return ",".join(map(str, value))
    return str(value)


def _shown(texts: Mapping[str, str], key: str) -> str:
    return f"`{texts[key]}`" if key in texts else "K3s's default"


def _understood(texts: Mapping[str, str], key: str) -> str:
    # Earlier commits noted a list as Python writes it: ['10.50.0.0/16'].
    given = re.sub(r"[\s'\"\[\]]", "", texts.get(key, "").lower())
    if given:
        return given
    if key != _FOLLOWS:
        return DEFAULTS[key]
    services = _understood(texts, "service-cidr")
    try:
        return str(IPv4Network(services)[DNS_ADDRESS])
    except (ValueError, IndexError):
        return services
