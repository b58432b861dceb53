"""A report as one screen of text: pure."""

from __future__ import annotations

from collections.abc import Callable

from k3s_cluster.status.report import CERTIFICATE_DAYS, NodeReport, Report, node_problem

_GREEN, _RED, _YELLOW, _BOLD = "32", "31", "33", "1"
_COLUMNS = ("node", "role", "ready", "version", "age", "droplet", "SSH", "address")
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))

Paint = Callable[[str, str], str]


def screen(report: Report, *, colour: bool) -> str:
    """One line for each part, the nodes as a table, and at the end what is wrong."""
    paint: Paint = (lambda text, code: f"\033[{code}m{text}\033[0m") if colour else (lambda text, _code: text)
    parts = [
        ("API", _api(report, paint)),
        *([("load balancer", _load_balancer(report, paint))] if report.load_balancer else []),
        ("datastore", _datastore(report, paint)),
        ("upgrades", _upgrades(report, paint)),
        ("certificates", _certificates(report, paint)),
        ("drift", _drift(report, paint)),
        *([("cost", f"${report.monthly_cost:.2f} a month")] if report.monthly_cost is not None else []),
        *(("note", note) for note in report.notes),
    ]
    lines = [paint(f"stack {report.stack}", _BOLD), "", *_nodes(report, paint), ""]
    lines += [f"{name:<14} {text}" for name, text in parts]
    if report.problems:
        count = len(report.problems)
        lines += ["", paint(f"{count} problem{'s' if count > 1 else ''}:", _RED)]
        lines += [f"  - {problem}" for problem in report.problems]
    else:
        lines += ["", paint("All is well.", _GREEN)]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """The largest unit that fits: `3 d`, `5 h`, `12 min`, `40 s`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}" if seconds >= 10 * size else f"{int(seconds / size)} {unit}"
    return f"{seconds:.0f} s"


def _nodes(report: Report, paint: Paint) -> list[str]:
    rows = [_row(node) for node in report.nodes]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    lines = [_line(_COLUMNS, widths)]
    for node, row in zip(report.nodes, rows, strict=True):
        line = _line(row, widths)
        lines.append(paint(line, _RED) if node_problem(node) else line)
    return lines


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    return "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(node: NodeReport) -> tuple[str, ...]:
    return (
        node.name,
        node.role,
        "unknown" if node.ready is None else ("yes" if node.ready else "no") + (", cordoned" if node.cordoned else ""),
        node.version or "-",
        "-" if node.age is None else duration(node.age),
        node.droplet or "unknown",
        "answers" if node.answers_ssh else "silent",
        node.address,
    )


def _api(report: Report, paint: Paint) -> str:
    state = paint("not ready", _RED) + f": {report.api.problem}" if report.api.problem else paint("ready", _GREEN)
    return f"{report.api.endpoint}, {state}"


def _load_balancer(report: Report, paint: Paint) -> str:
    balancer = report.load_balancer
    assert balancer
    return f"{balancer.address}, {_state(balancer.status, 'active', paint)}"


def _datastore(report: Report, paint: Paint) -> str:
    datastore = report.datastore
    word = f", {_state(datastore.status, 'online', paint)} by DigitalOcean's account" if datastore.status else ""
    answer = paint("does not answer", _RED) + f": {datastore.problem}" if datastore.problem else "answers"
    return f"{datastore.engine}{word}, {answer}"


def _upgrades(report: Report, paint: Paint) -> str:
    if report.wanted_version is None:
        return "unknown: the stack's config has no k3sVersion"
    if not any(node.version for node in report.nodes):
        return f"unknown: {report.wanted_version} is asked for, and no node's version could be asked"
    if not report.upgrades:
        return f"none open: {report.wanted_version} is what the stack asks for"
    behind = ", ".join(f"{node.name} ({node.version})" for node in report.upgrades)
    return paint("open", _YELLOW) + f": {report.wanted_version} is asked for; `pulumi up` upgrades {behind}"


def _certificates(report: Report, paint: Paint) -> str:
    if not report.certificates:
        return "unknown"
    told = []
    for certificate in report.certificates:
        days = f"{certificate.days:.0f} d"
        told.append(f"{certificate.name} {paint(days, _RED) if certificate.days < CERTIFICATE_DAYS else days}")
    return ", ".join(told)


def _drift(report: Report, paint: Paint) -> str:
    if report.drift is None:
        return "not looked for; `--drift` does, in a minute or so"
    if report.drift.found is None:
        return paint("unknown", _YELLOW) + f": {report.drift.detail}"
    return paint("found", _RED) + f": {report.drift.detail}" if report.drift.found else paint("none", _GREEN)


def _state(status: str | None, good: str, paint: Paint) -> str:
    return "unknown" if status is None else paint(status, _GREEN if status == good else _RED)
