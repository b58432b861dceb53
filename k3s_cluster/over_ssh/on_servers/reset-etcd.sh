#!/bin/sh
# Makes this server the only member of its etcd: with the data that it has, or with a SNAPSHOT's, if a path is given.
#
#   reset-etcd.sh [SNAPSHOT]
#
# K3s is stopped meanwhile, and started again if it is started at boot. It may be repeated, and goes on by itself when
# whoever began it has gone. Source: docs.k3s.io/cli/etcd-snapshot ("Restoring Snapshots").
set -eu
snapshot=${1:-}
membership=/etc/rancher/k3s/config.yaml.d/etcd.yaml # says whom this server joins, which K3s refuses beside a reset
database=/var/lib/rancher/k3s/server/db
log=/var/log/k3s-reset-etcd.log

fail() {
    echo "$1" >&2
    exit 1
}

exec 9>/run/k3s-reset-etcd.lock
flock 9

if [ -n "$snapshot" ]; then
    [ -f "$snapshot" ] || fail "there is no snapshot at $snapshot"
    set -- "--cluster-reset-restore-path=$snapshot" --etcd-s3=false
else
    [ -d "$database/etcd/member/wal" ] || fail "this server has no data of etcd: reset one that has"
    set --
fi

put_back() {
    if [ -e "$membership.aside" ]; then mv "$membership.aside" "$membership"; fi
    if systemctl is-enabled --quiet k3s; then systemctl start --no-block k3s; fi
}
# Where the line breaks, what is said is lost, and no more than that: this shell would skip the trap on a signal.
trap '' HUP PIPE
trap put_back EXIT
systemctl stop k3s
# K3s's guard against a second reset in a row: it gives what the first one gave.
rm -f "$database/reset-flag"
if [ -e "$membership" ]; then mv "$membership" "$membership.aside"; fi
if ! k3s server --cluster-reset "$@" </dev/null >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "etcd was not reset; all of what K3s said is in $log"
fi
echo "etcd has one member now: this server"
