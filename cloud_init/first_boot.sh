#!/bin/sh
# First boot of a droplet: puts up its own firewall and installs K3s without starting it; the stack starts it later,
# over SSH.
# Reads K3S_ROLE and K3S_VERSION from /etc/k3s-first-boot.env. Safe to run again.
set -eu

# shellcheck source=/dev/null
. /etc/k3s-first-boot.env

# Before there is a K3s that could start a pod; from then on at every boot.
systemctl daemon-reload
systemctl enable --quiet --now node-firewall.service

# The images of Ubuntu and Debian have it; what it does is in /etc/apt/apt.conf.d/90-k3s-node.
command -v unattended-upgrade >/dev/null ||
    (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes unattended-upgrades)

installer=/usr/local/lib/k3s-installer.sh
attempts=5

# A fresh droplet may be faster than its network, and downloads fail now and then.
attempt=1
until curl --fail --silent --show-error --location --max-time 60 --output "$installer" https://get.k3s.io &&
    INSTALL_K3S_VERSION="$K3S_VERSION" INSTALL_K3S_EXEC="$K3S_ROLE" \
        INSTALL_K3S_SKIP_START=true INSTALL_K3S_SKIP_ENABLE=true sh "$installer"; do
    if [ "$attempt" -ge "$attempts" ]; then
        echo "K3s $K3S_VERSION could not be installed in $attempts attempts" >&2
        exit 1
    fi
    echo "attempt $attempt to install K3s $K3S_VERSION failed; trying again in 5 s" >&2
    attempt=$((attempt + 1))
    sleep 5
done
