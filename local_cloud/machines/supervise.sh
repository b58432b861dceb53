#!/bin/sh
# Keeps one machine: mounts its disk where only this process and its children see it, and boots it again for as long
# as it asks for a reboot. Ends when the machine is off.
# usage: supervise.sh IMAGE UPPER WORK ROOT BACKBONE CABLE,CABLE NSPAWN-ARGUMENT...
set -eu
image=$1 upper=$2 work=$3 root=$4 backbone=$5 cables=$6
shift 6

mount -t overlay overlay -o "lowerdir=$image,upperdir=$upper,workdir=$work" "$root"

# systemd-nspawn(1): exit status 133 is a machine that wants to be started again.
code=133
while [ "$code" -eq 133 ]; do
    code=0
    # The shell waits through SIGTERM, which systemd-nspawn turns into an orderly shutdown.
    trap 'kill -TERM "$machine"' TERM
    systemd-nspawn --directory="$root" "$@" &
    machine=$!
    wait "$machine" || code=$?
    while kill -0 "$machine" 2>/dev/null; do
        code=0
        wait "$machine" || code=$?
    done
done

# A host that is off does not even refuse a connection.
for cable in $(echo "$cables" | tr , ' '); do
    ip -n "$backbone" link set "$cable" down || true
done
exit "$code"
