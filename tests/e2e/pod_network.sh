#!/bin/sh
# Makes a pod's place in the network of the node that it runs on: a namespace `pod` behind the bridge cni0, with an
# address of K3s's pod range; what leaves it is forwarded and masqueraded as Flannel does it. Containers do not run on
# the local cloud, packets do. With the argument `remove` it is only taken away again.
set -eu

# A local droplet keeps its network over a reboot, where a real one begins anew.
ip link delete cni0 2>/dev/null || true
ip link delete veth0 2>/dev/null || true
ip netns delete pod 2>/dev/null || true
nft delete table ip pod_masquerade 2>/dev/null || true
[ "${1:-}" != remove ] || exit 0

ip link add cni0 type bridge
ip address add 10.42.9.1/24 dev cni0
ip link set cni0 up
ip netns add pod
ip link add veth0 type veth peer name eth0 netns pod
ip link set veth0 master cni0 up
ip -n pod link set lo up
ip -n pod address add 10.42.9.2/24 dev eth0
ip -n pod link set eth0 up
ip -n pod route add default via 10.42.9.1
sysctl --quiet --write net.ipv4.ip_forward=1
nft -f - <<'RULES'
table ip pod_masquerade {
    chain postrouting {
        type nat hook postrouting priority srcnat;
        ip saddr 10.42.0.0/16 ip daddr != 10.42.0.0/16 masquerade
    }
}
RULES
