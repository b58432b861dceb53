#!/usr/bin/env bash
# Keeps one open issue for a stack that has drifted: drift-issue.sh STACK STATUS FILE
# STATUS is the preview's: 0 closes the issue, if there is one; anything else opens it or writes it anew.
# GH_REPO and GH_TOKEN, which needs issues: write, are in the environment.
set -euo pipefail
if [ $# -ne 3 ]; then
    echo "usage: $0 STACK STATUS FILE" >&2
    exit 2
fi
TITLE="Drift: the stack $1 is not as its program says"
status=$2 file=$3
export TITLE

open=$(gh issue list --state open --limit 200 --json number,title \
    --jq '.[] | select(.title == env.TITLE) | .number' | head -n 1)
if [ "$status" -eq 0 ]; then
    [ -z "$open" ] || gh issue close "$open" --comment "The last check found no drift."
elif [ -n "$open" ]; then
    gh issue edit "$open" --body-file "$file"
else
    gh issue create --title "$TITLE" --body-file "$file"
fi
