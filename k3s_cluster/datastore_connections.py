"""How many connections a server's K3s has to the managed database at a time. Pure: settings in, files for a node out.

The pool of K3s's kine has no upper bound, and K3s no setting for one (github.com/k3s-io/k3s/issues/9596): a server that
starts would take the connections of those that serve. The kernel lets so many through and drops the first packet of
those beyond, which TCP sends again after one second and after three (RFC 6298): most get in then. kine gives up after
five (github.com/k3s-io/kine v0.16.3, pkg/dialer/dialer.go).

All that a server's own processes have there counts, so also what comes over SSH for a backup or a new password.
"""

from __future__ import annotations

from typing import Literal

from k3s_cluster.settings import ClusterSettings, ManagedDatastoreSettings

#: A server that starts opens 27 at once, and so does one that takes over another one's clients (measured on the local
#: cloud). It must be well above the 20 idle ones that kine keeps (github.com/k3s-io/kine v0.16.3,
#: pkg/drivers/generic/generic.go, defaultMaxIdleConns): one that waits gets in only where less than this are there.
AT_MOST = 35
#: What one has that does neither. Postgres closes the idle ones (over_ssh/datastore_grants.py), where 4 to 8 are left;
#: MySQL does not.
OTHERWISE = {"pg": 8, "mysql": 20}
#: docs.digitalocean.com/products/databases/postgresql/how-to/connect, and .../mysql/how-to/connect.
PORT = 25060

RULES_PATH = "/etc/rancher/k3s/datastore-connections.nft"
DROP_IN_PATH = "/etc/systemd/system/k3s.service.d/datastore-connections.conf"
#: A table of its own, which each start makes anew: nothing else's rules are touched (nft(8), "CT TIMEOUT"). Attempts
#: that got no answer, and connections that one side has closed, count for seconds instead of a minute or two: a
#: database that moves has left many, and kine closes its side of an idle one only when it comes to use it.
_TABLE = "k3s_datastore_connections"
_RULES = f"""\
add table inet {_TABLE}
delete table inet {_TABLE}
table inet {_TABLE} {{
    ct timeout brief {{
        protocol tcp
        l3proto ip
        policy = {{ syn_sent : 6, fin_wait : 1, close_wait : 1, last_ack : 1 }}
    }}
    chain output {{
        type filter hook output priority filter;
        oifname != "lo" tcp dport {PORT} ct state new ct timeout set "brief" ct count over {AT_MOST} drop
    }}
}}
"""
#: With "-": a kernel without this, or a file that is gone, keeps no K3s from starting (systemd.service(5)).
_DROP_IN = f"""\
[Service]
ExecStartPre=-/usr/sbin/nft --file {RULES_PATH}
"""


def files(settings: ClusterSettings, role: Literal["server", "agent"]) -> dict[str, str]:
    """Paths and texts of what a node needs for it: servers of a cluster with a managed database."""
    if role != "server" or not isinstance(settings.datastore, ManagedDatastoreSettings):
        return {}
    return {RULES_PATH: _RULES, DROP_IN_PATH: _DROP_IN}
