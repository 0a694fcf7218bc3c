"""What every test run tells at its end: hypothesis examples, recordings replayed by family, and what was skipped for which reason."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, statistics

from tests import tally

# Tests never time anything, so a busy machine must not fail one; equal code and equal tests give equal examples. ``make soak`` draws anew.
settings.register_profile("kubesim", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("soak", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=1000)
settings.load_profile("kubesim")

EXAMPLES = "hypothesis_examples"
FAULTS, VIRTUAL_NS = "faults", "virtual_ns"
FIDELITY = "fidelity"  # the property of a test that replays a recording: the family's name
TOLD = ("kubectl", "schemathesis")  # properties of tests whose value is a line of the summary


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-scripts", action="store_true", help="write what came out into tests/scripts/*.txt")


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Count the examples of a test; the count travels with the report, so it arrives from xdist's workers too."""
    before, count = statistics.collector.value, 0

    def collect(found: Any) -> None:
        nonlocal count
        phases = [phase for phase in found.values() if isinstance(phase, dict)]
        count += sum(case["status"] in ("valid", "interesting") for phase in phases for case in phase.get("test-cases", ()))
        if before is not None:
            before(found)

    try:
        with statistics.collector.with_value(collect):
            return (yield)
    finally:
        if count:
            item.user_properties.append((EXAMPLES, count))
        faults, virtual_ns = tally.take()
        if virtual_ns:
            item.user_properties += [(FAULTS, faults), (VIRTUAL_NS, virtual_ns)]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the totals."""
    reports = [report for found in terminalreporter.stats.values() for report in found if isinstance(report, pytest.TestReport)]
    examples = sum(value for report in reports if report.when == "call" for name, value in report.user_properties if name == EXAMPLES)
    terminalreporter.write_line(f"hypothesis: {examples} examples")
    _print_faults(terminalreporter, reports)
    replays: Counter[str] = Counter()
    for report in reports:
        if report.when == "call":
            for name, value in report.user_properties:
                if name == FIDELITY:
                    replays[f"{value} {report.outcome}"] += 1
    for family in sorted({key.split()[0] for key in replays}):
        terminalreporter.write_line(f"{family}: {replays[f'{family} passed']} passed, {replays[f'{family} failed']} failed")
    for report in reports:
        for name, value in report.user_properties if report.when == "call" else ():
            if name in TOLD:
                terminalreporter.write_line(f"{name}: {value}")
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", ()):
        longrepr = report.longrepr
        reasons[str(longrepr[2] if isinstance(longrepr, tuple) else longrepr).removeprefix("Skipped: ")] += 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"skipped: {count} × {reason}")


def _print_faults(terminalreporter: Any, reports: list[pytest.TestReport]) -> None:
    faults: Counter[str] = Counter()
    virtual_ns = 0
    for report in reports:
        if report.when == "call":
            for name, value in report.user_properties:
                if name == FAULTS:
                    faults.update(value)  # type: ignore[arg-type]
                elif name == VIRTUAL_NS:
                    virtual_ns += value  # type: ignore[operator]
    if virtual_ns:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items()))
        hours = virtual_ns / 3_600e9
        terminalreporter.write_line(f"faults: {faults.total()} in {hours:,.1f} virtual hours of property tests ({kinds})")
