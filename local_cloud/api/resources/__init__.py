"""One module per kind of resource: its rules, its records, its answers. Each has `routes`, a Flask blueprint."""
