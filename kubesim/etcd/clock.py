"""A member's own clock: it may run fast or slow, and stand wrong. Members measure every interval by it.

``now_ns`` is the monotonic clock, which only the rate touches: ticks and leases use it, as Go's timers do. ``wall_ns`` also has the
offset, and jumps when that is set.
"""

from kubesim.kernel.loop import Kernel

PARTS = 1_000_000
RATE_PPM_MAX = 500_000


class MemberClock:
    """A clock that gains ``rate_ppm`` microseconds a second and is ``offset_ns`` ahead.

    >>> kernel = Kernel()
    >>> clock = MemberClock(kernel)
    >>> clock.skew(rate_ppm=100_000)
    >>> clock.delay_ns(1_100_000)
    1000000
    """

    __slots__ = ("_base_ns", "_kernel", "_since_ns", "offset_ns", "rate_ppm")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._base_ns = self._since_ns = kernel.now_ns
        self.rate_ppm = 0
        self.offset_ns = 0

    @property
    def now_ns(self) -> int:
        """The monotonic clock."""
        passed_ns = self._kernel.now_ns - self._since_ns
        return self._base_ns + passed_ns + (passed_ns * self.rate_ppm // PARTS if self.rate_ppm else 0)

    @property
    def wall_ns(self) -> int:
        """What the member takes for the time of day."""
        return self.now_ns + self.offset_ns

    def skew(self, rate_ppm: int = 0, offset_ns: int = 0) -> None:
        """Set rate and offset from now on; the monotonic clock goes on where it is. Raises ValueError beyond half or double speed."""
        if abs(rate_ppm) > RATE_PPM_MAX:
            raise ValueError(f"rate_ppm is {rate_ppm}; expected -{RATE_PPM_MAX} to {RATE_PPM_MAX}")
        self._base_ns = self.now_ns
        self._since_ns = self._kernel.now_ns
        self.rate_ppm = rate_ppm
        self.offset_ns = offset_ns

    def delay_ns(self, interval_ns: int) -> int:
        """Return how long an interval of this clock is in the kernel's time."""
        return interval_ns * PARTS // (PARTS + self.rate_ppm) if self.rate_ppm else interval_ns
