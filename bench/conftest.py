"""Benchmarks: real units, fixed seed, set-up outside the timer, and the work asserted.

Every benchmark runs once at smoke size in ``make test`` (timers off: a test never times) and at full size in ``make bench``.
A benchmark names its row of the table with ``benchmark.extra_info.update(room=…, operation=…, count=…, unit=…)``: ``count`` is the
number of ``unit`` things that one round does, and the table shows count divided by the median round.
"""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--size", choices=("smoke", "full"), default="smoke", help="how much work a benchmark does")


@pytest.fixture
def size(request: pytest.FixtureRequest) -> str:
    """``smoke`` or ``full``."""
    return str(request.config.getoption("--size"))


@pytest.fixture
def scale(size: str):
    """``scale(100, 100_000)`` gives the first number at smoke size, the second at full size."""

    def choose(smoke: int, full: int) -> int:
        return full if size == "full" else smoke

    return choose
