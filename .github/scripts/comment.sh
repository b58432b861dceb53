#!/usr/bin/env bash
# Puts a Markdown file on a pull request as a comment: comment.sh NUMBER FILE
# A comment whose first line is the file's is edited, so that there is one, however often it is said.
# GH_REPO and GH_TOKEN, which needs pull-requests: write, are in the environment.
set -euo pipefail
if [ $# -ne 2 ]; then
    echo "usage: $0 NUMBER FILE" >&2
    exit 2
fi
number=$1 file=$2

MARKER=$(head -n 1 "$file")
export MARKER
ours=$(gh api --paginate "repos/$GH_REPO/issues/$number/comments" \
    --jq '.[] | select(.user.type == "Bot" and (.body | startswith(env.MARKER))) | .id' | head -n 1)
if [ -n "$ours" ]; then
    gh api --silent --method PATCH "repos/$GH_REPO/issues/comments/$ours" --field "body=@$file"
else
    gh api --silent --method POST "repos/$GH_REPO/issues/$number/comments" --field "body=@$file"
fi
