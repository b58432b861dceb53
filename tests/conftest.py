"""What every test run needs: a cloud for each worker, an order, and what it has to say about itself."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import pytest

# Before anything imports local_cloud.paths: each of pytest-xdist's workers has a cloud of its own. The first takes the
# one that a person and a run without workers have.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
if _WORKER != "gw0":
    os.environ["LOCAL_CLOUD_NAME"] = _WORKER

# As tests/run has it, for a run of pytest alone.
os.environ.setdefault("LOCAL_CLOUD_DOWNLOADS", "0")

#: Modules that take minutes, longest first as the end of a run shows them: begun in this order, workers end together.
LONG = (
    "e2e/test_datastore_etcd.py",
    "e2e/test_lifecycle.py",
    "e2e/test_security.py",
    "e2e/test_interruptions.py",
    "e2e/test_backup.py",
    "e2e/test_datastore_pg.py",
    "e2e/test_datastore_mysql.py",
    "e2e/test_datastore_failures.py",
    "e2e/test_datastore_external.py",
    "e2e/test_ha.py",
    "e2e/test_two_stacks.py",
    "e2e/test_single_node.py",
)

HERE = Path(__file__).parent
#: How many modules are named at the end of a run that takes longer than a person looks on.
SLOWEST = 12
WORTH_TELLING_SECONDS = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick tests first: a mistake shows before machines boot. Then long modules before short ones."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("e2e") is None:
        return -1
    module = item.path.relative_to(HERE).as_posix()
    return LONG.index(module) if module in LONG else len(LONG)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI, a run in which no end-to-end test passed is a failed run."""
    if os.environ.get("K3S_E2E_REQUIRED") != "1" or exitstatus != 0 or "PYTEST_XDIST_WORKER" in os.environ:
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
