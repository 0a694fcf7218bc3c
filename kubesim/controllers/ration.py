"""A ration of writes: so many per second, and a few at once. Upstream's client-side rate limit, as a pure count of time.

Upstream: client-go/util/flowcontrol/throttle.go (a token bucket, whose reservations are kept in order).
"""

from kubesim.kernel.time import SECOND


class Ration:
    """``per_second`` writes a second on average, ``burst`` at once. A reservation is never refused, it only comes later."""

    __slots__ = ("_burst_ns", "_due_ns", "_each_ns")

    def __init__(self, per_second: int, burst: int) -> None:
        if per_second < 1 or burst < 1:
            raise ValueError(f"ration: per_second and burst must be at least 1, got {per_second} and {burst}")
        self._each_ns = SECOND // per_second
        self._burst_ns = burst * self._each_ns
        self._due_ns = 0  # when everything reserved so far would be paid for at the average rate

    def reserve(self, count: int, now_ns: int) -> int:
        """Take ``count`` writes; the ns until the last one may be sent (0: at once).

        >>> ration = Ration(per_second=10, burst=2)
        >>> [ration.reserve(1, 0) // 1_000_000 for _ in range(4)]
        [0, 0, 100, 200]
        """
        self._due_ns = max(self._due_ns, now_ns) + count * self._each_ns
        return max(self._due_ns - self._burst_ns - now_ns, 0)
