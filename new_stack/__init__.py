"""`make stack NAME=... TOPOLOGY=...`: a commented Pulumi.NAME.yaml for a new stack, beside the others."""
