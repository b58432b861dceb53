#!/bin/sh
# First boot of a droplet: puts up its own firewall and installs K3s without starting it; the stack starts it later,
# over SSH.
# Reads K3S_ROLE and K3S_VERSION from /etc/k3s-first-boot.env. Safe to run again.
set -eu

# shellcheck source=/dev/null
. /etc/k3s-first-boot.env

# The images of Ubuntu and Debian have both. What unattended-upgrades does is in /etc/apt/apt.conf.d/90-k3s-node.
missing=
command -v nft >/dev/null || missing=nftables
command -v unattended-upgrade >/dev/null || missing="$missing unattended-upgrades"
if [ -n "$missing" ]; then
    # The first boot is when the system's own updates hold apt's lock.
    apt-get -o DPkg::Lock::Timeout=300 update
    # shellcheck disable=SC2086 # one word for each package
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install --yes $missing
fi

# Before there is a K3s that could start a pod; from then on at every boot.
systemctl daemon-reload
systemctl enable --quiet --now node-firewall.service

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

# The binary unpacks what it carries at the first command that needs it (github.com/k3s-io/k3s, cmd/k3s/main.go,
# `extract`): now there is time, while a database is made. If it fails here, K3s's start tries it again and says why.
k3s kubectl version --client >/dev/null || true
