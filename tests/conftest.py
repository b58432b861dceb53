"""What every test run needs to say about itself."""

from __future__ import annotations

import os
from collections import defaultdict

import pytest

#: How many modules are named at the end of a run that takes longer than a person looks on.
SLOWEST = 12
WORTH_TELLING_SECONDS = 60


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which modules took longest, and how much of that was bringing up and taking down what their tests share."""
    spent: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                spent[report.nodeid.partition("::")[0]][report.when or ""] += report.duration
    totals = {module: sum(phases.values()) for module, phases in spent.items()}
    if sum(totals.values()) < WORTH_TELLING_SECONDS:
        return
    terminalreporter.section("slowest modules")
    for module in sorted(totals, key=lambda module: -totals[module])[:SLOWEST]:
        phases = spent[module]
        terminalreporter.write_line(
            f"{totals[module]:6.0f} s  {module}  (up {phases['setup']:.0f}, tests {phases['call']:.0f}, "
            f"down {phases['teardown']:.0f})"
        )
