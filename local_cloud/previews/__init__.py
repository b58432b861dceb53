"""`pulumi preview` of every stack against the API without machines: for pull requests that have no account."""
