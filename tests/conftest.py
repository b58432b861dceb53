"""What every test run needs to say about itself."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick tests first: a mistake shows before machines boot."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is not None)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI, a run in which no end-to-end test passed is a failed run."""
    if os.environ.get("K3S_E2E_REQUIRED") != "1" or exitstatus != 0:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    passed = reporter.stats.get("passed", []) if reporter else []
    if not any("tests/e2e/" in report.nodeid for report in passed):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print("\nno end-to-end test ran")
