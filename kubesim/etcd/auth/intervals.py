"""Unions of ranges of keys: whether the ranges granted to a user, taken together, cover one that is asked for.

A range is (start, stop); stop None is without end. Adjacent and overlapping ranges are one. O(log n) per question.
Upstream: etcd ``pkg/adt/interval_tree.go`` (Contains), ``server/auth/range_perm_cache.go``.
"""

from bisect import bisect_right
from collections.abc import Iterable

Interval = tuple[bytes, bytes | None]


def interval_of(key: bytes, range_end: bytes | None) -> Interval:
    """Return the range that a request spells: no end is one key, ``\\0`` no end at all.

    >>> interval_of(b"a", None)
    (b'a', b'a\\x00')
    """
    if not range_end:
        return key, key + b"\0"
    return key, None if range_end == b"\0" else range_end


class Union:
    """The union of some ranges.

    >>> Union([(b"a", b"b"), (b"b", b"c")]).covers((b"a", b"c"))
    True
    """

    __slots__ = ("starts", "stops")

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        self.starts: list[bytes] = []
        self.stops: list[bytes | None] = []
        for start, stop in sorted(intervals, key=lambda interval: interval[0]):
            if stop is not None and stop <= start:
                continue
            last = self.stops[-1] if self.stops else b""
            if self.starts and (last is None or start <= last):
                if last is not None and (stop is None or stop > last):
                    self.stops[-1] = stop
            else:
                self.starts.append(start)
                self.stops.append(stop)

    def covers(self, interval: Interval) -> bool:
        """Whether every key of a range is in the union; of a range that ends before it begins, as in etcd, whether its start is."""
        start, stop = interval
        position = bisect_right(self.starts, start) - 1
        if position < 0:
            return False
        last = self.stops[position]
        return last is None or (start < last and stop is not None and stop <= last)
