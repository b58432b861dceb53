"""Finds the tools that the local cloud needs, or builds them, and keeps what was built in a cache.

Entry points: `python -m local_cloud.toolchain` for all of it, `pulumi_cli.ensure_pulumi`, `plugins.ensure_plugins` and
`go.go_build` for its parts. Network: the Go module proxy and PyPI only, unless LOCAL_CLOUD_DOWNLOADS=1 is set.
"""
