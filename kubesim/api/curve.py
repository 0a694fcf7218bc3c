"""A quantity that changes with time: what a container uses, as straight lines between points.

``"100Mi"`` stays, ``"50Mi+1Mi/s"`` grows, ``"0s=50Mi,1m=200Mi,2m=80Mi"`` goes through points and stays at the last; ``+AMOUNT/s`` after
the last point goes on from there. All arithmetic is whole numbers (bytes, millicores), so that "when does it reach this" has one
exact answer.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from kubesim.api import quantity
from kubesim.kernel.time import SECOND, parse_duration

NEVER_NS = 2**62
POINTS_MAX = 1000
EXPECTED = 'expected an amount such as "100Mi", "50Mi+1Mi/s" or "0s=50Mi,1m=200Mi"'


class Curve(NamedTuple):
    """``points`` are (ns since the start, amount), their times growing from 0; ``slope`` is the amount per second after the last point."""

    points: tuple[tuple[int, int], ...]
    slope: int = 0

    def at(self, offset_ns: int) -> int:
        """The amount ``offset_ns`` after the start. O(points)."""
        points = self.points
        before_ns, amount = points[0]
        for time_ns, next_amount in points[1:]:
            if offset_ns < time_ns:
                return amount + (next_amount - amount) * (offset_ns - before_ns) // (time_ns - before_ns)
            before_ns, amount = time_ns, next_amount
        return amount + self.slope * max(offset_ns - before_ns, 0) // SECOND

    @property
    def is_flat(self) -> bool:
        """Whether it never changes."""
        return not self.slope and len(self.points) == 1

    def changes_after(self, offset_ns: int) -> bool:
        """Whether the amount can be another one later than ``offset_ns``."""
        return bool(self.slope) or offset_ns < self.points[-1][0]

    def breaks_after(self, offset_ns: int) -> list[int]:
        """The times later than ``offset_ns`` at which a line ends."""
        return [time_ns for time_ns, _ in self.points if time_ns > offset_ns]


def first_at_least(total: Callable[[int], int], breaks: list[int], from_ns: int, level: int) -> int:
    """The first time not before ``from_ns`` at which ``total`` is ``level`` or more; NEVER_NS when there is none.

    ``breaks`` are the times, ascending, between which ``total`` is a sum of straight lines (rounded down each): on a line it is
    monotonous but for the rounding, so bisection finds the moment. O(breaks + log of the time).
    """
    if total(from_ns) >= level:
        return from_ns
    low_ns = from_ns
    for high_ns in [*(each for each in breaks if each > from_ns), NEVER_NS]:
        if total(high_ns) >= level:
            while high_ns - low_ns > 1:
                middle_ns = (low_ns + high_ns) // 2
                if total(middle_ns) >= level:
                    high_ns = middle_ns
                else:
                    low_ns = middle_ns
            return high_ns
        low_ns = high_ns
    return NEVER_NS


@lru_cache(4096)
def parse_curve(text: str, resource: str = "memory") -> Curve:
    """Read a curve; the amounts of ``cpu`` are millicores, others whole units. Raises ValueError."""
    amount_of = quantity.milli_value if resource == "cpu" else quantity.value
    parts = text.split(",")
    if len(parts) > POINTS_MAX:
        raise ValueError(f"there are {len(parts)} points; expected at most {POINTS_MAX}")
    points: list[tuple[int, int]] = []
    slope = 0
    for index, part in enumerate(parts):
        time, equals, amount = part.strip().rpartition("=")
        base, plus, growth = amount.partition("+")
        time_ns = parse_duration(time) if equals else 0
        if (points and time_ns <= points[-1][0]) or (not points and time_ns) or (not equals and len(parts) > 1):
            raise ValueError(f"{part.strip()!r}: {EXPECTED}, the first point at 0s and each later than the last")
        if plus and (index < len(parts) - 1 or not growth.endswith("/s")):
            raise ValueError(f"{part.strip()!r}: {EXPECTED}, growth only at the end")
        points.append((time_ns, _amount(amount_of, base)))
        slope = _amount(amount_of, growth[:-2]) if plus else 0
    return Curve(tuple(points), slope)


def _amount(amount_of: Callable[[str], int], text: str) -> int:
    if not quantity.is_quantity(text) or amount_of(text) < 0:
        raise ValueError(f"{text!r}: {EXPECTED}, not negative")
    return amount_of(text)
