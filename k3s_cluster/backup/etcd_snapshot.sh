#!/bin/sh
# Runs on a server of etcd: takes a snapshot called NAME in FOLDER, where K3s keeps them, writes it to standard output,
# and takes it away again, also when whoever reads has gone. What K3s says goes to standard error.
# Options and names: docs.k3s.io/cli/etcd-snapshot. Neither the bucket nor a compression of the stack's is meant here.
set -eu
folder=$1
name=$2

clean_up() {
    for path in "$folder/$name"-*; do
        [ -e "$path" ] || continue
        # K3s keeps a list of its snapshots, which this one leaves as well.
        k3s etcd-snapshot delete --etcd-s3=false "$(basename "$path")" >&2 || true
        rm -f "$path"
    done
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM PIPE

k3s etcd-snapshot save --name="$name" --etcd-s3=false --etcd-snapshot-compress=false >&2
cat "$folder/$name"-*
