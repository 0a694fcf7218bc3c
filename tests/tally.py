"""What the property tests went through: faults by kind and virtual time. ``conftest.py`` reads it after each test and prints the totals."""

from collections import Counter

FAULTS: Counter[str] = Counter()
VIRTUAL_NS = [0]


def fault(kind: str, count: int = 1) -> None:
    """A fault was injected."""
    FAULTS[kind] += count


def passed(duration_ns: int) -> None:
    """So much virtual time has passed in a cluster."""
    VIRTUAL_NS[0] += duration_ns


def take() -> tuple[dict[str, int], int]:
    """What was told since the last call."""
    found = dict(FAULTS), VIRTUAL_NS[0]
    FAULTS.clear()
    VIRTUAL_NS[0] = 0
    return found
