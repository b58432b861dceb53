"""The part of a node's /etc/hosts that names every server of the cluster."""

from __future__ import annotations

HOSTS_PATH = "/etc/hosts"
_BEGIN = "# begin of what the K3s stack keeps here"
_END = "# end of what the K3s stack keeps here"


def with_servers(hosts: str, api_name: str, addresses: list[str]) -> str:
    """The text of /etc/hosts, `hosts`, with `api_name` for each of `addresses`; the rest stays as it is."""
    kept: list[str] = []
    ours = False
    for line in hosts.splitlines():
        if line == _BEGIN:
            ours = True
        if not ours:
            kept.append(line)
        if line == _END:
            ours = False
    block = [_BEGIN, *(f"{address} {api_name}" for address in addresses), _END]
    return "\n".join([*kept, *block]) + "\n"
