"""Which backend a new connection goes to, and which backends are well: pure, as haproxy decides it.

- round robin: the healthy backends in turn;
- least connections: the one with the fewest open connections, the next in turn among equals;
- source hash: the same backend for the same client as long as the set of healthy ones stays.

A backend is taken out after ``fall`` failed checks in a row, and taken in again after ``rise`` good ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from kubesim.kernel.time import SECOND

ROUND_ROBIN, LEAST_CONNECTIONS, SOURCE_HASH = "round-robin", "least-connections", "source-hash"
ALGORITHMS = (ROUND_ROBIN, LEAST_CONNECTIONS, SOURCE_HASH)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How backends are looked after; the defaults are haproxy's."""

    interval_ns: int = 2 * SECOND
    timeout_ns: int = 2 * SECOND
    rise: int = 2
    fall: int = 3

    def __post_init__(self) -> None:
        """Raise ValueError, naming the field, for what cannot work."""
        for field in ("interval_ns", "timeout_ns", "rise", "fall"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} is {getattr(self, field)}; expected at least 1")


class Health:
    """What is known of one backend.

    >>> health = Health(HealthCheck(rise=2, fall=3))
    >>> [health.note(False) for _ in range(3)], health.is_up
    ([False, False, True], False)
    >>> [health.note(True) for _ in range(2)], health.is_up
    ([False, True], True)
    """

    __slots__ = ("_check", "_streak", "is_up")

    def __init__(self, check: HealthCheck, is_up: bool = True) -> None:
        self._check = check
        self._streak = 0  # checks in a row that contradict ``is_up``
        self.is_up = is_up

    def note(self, is_good: bool) -> bool:
        """Take the result of a check; whether the backend has changed sides."""
        if is_good == self.is_up:
            self._streak = 0
            return False
        self._streak += 1
        if self._streak < (self._check.rise if is_good else self._check.fall):
            return False
        self.is_up, self._streak = is_good, 0
        return True


def choose(algorithm: str, healthy: Sequence[str], turn: int, source: str, connections: Mapping[str, int]) -> str | None:
    """Return the backend of a new connection, None when there is no healthy one. ``turn`` counts the connections so far.

    >>> choose("least-connections", ["a", "b"], 0, "client", {"a": 2, "b": 1})
    'b'
    """
    if not healthy:
        return None
    if algorithm == SOURCE_HASH:
        return healthy[crc32(source.encode()) % len(healthy)]
    in_turn = [healthy[(turn + offset) % len(healthy)] for offset in range(len(healthy))]
    if algorithm == ROUND_ROBIN:
        return in_turn[0]
    return min(in_turn, key=lambda backend: connections.get(backend, 0))
