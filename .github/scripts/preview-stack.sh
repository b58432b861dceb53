#!/usr/bin/env bash
# Previews one stack of the account, and writes a comment's Markdown: preview-stack.sh STACK FILE [PREVIEW-OPTION...]
# Ends with the preview's status. Pulumi's login and DIGITALOCEAN_TOKEN are in the environment.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 STACK FILE [PREVIEW-OPTION...]" >&2
    exit 2
fi
stack=$1 file=$2
shift 2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH=$PWD/.local/bin:$PWD/.venv/bin:$PATH

output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
pulumi --non-interactive --color=never preview --stack "$stack" --suppress-outputs "$@" >"$output" 2>&1 || status=$?
cat "$output"
python -m local_cloud.previews.markdown "$stack" "$status" "the account" <"$output" >"$file"
exit "$status"
