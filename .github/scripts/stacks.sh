#!/usr/bin/env bash
# Prints the account's stacks as a JSON list, for a matrix: those with a Pulumi.STACK.yaml, the local cloud's left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
list=
for file in Pulumi.*.yaml; do
    stack=${file#Pulumi.}
    stack=${stack%.yaml}
    [ "$stack" = local ] || list+="${list:+,}\"$stack\""
done
printf '[%s]\n' "$list"
