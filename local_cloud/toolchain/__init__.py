"""Finds the tools that the local cloud needs, downloads or builds them, and keeps what it made in a cache.

Entry points: `python -m local_cloud.toolchain` for all of it, `pulumi_cli.ensure_pulumi`, `plugins.ensure_plugins` and
`go.go_build` for its parts. Network: Pulumi's own host (`pulumi_releases`), the Go module proxy and PyPI; the last two
only where LOCAL_CLOUD_DOWNLOADS=0 is set.
"""
