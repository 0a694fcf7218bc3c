"""Back-off of container restarts and image pulls: 10 s, doubled each time up to 5 min, forgotten after 10 min without a try.

The rule is upstream's: the first try after a failure comes at once, the entry made by it is what the next failure waits for,
counted from the moment of that failure. Pure; one small object per container that ever failed.

Upstream: client-go/util/flowcontrol/backoff.go, pkg/kubelet/kuberuntime (doBackOff), pkg/kubelet/images.
"""

from kubesim.kernel.time import SECOND

BACKOFF_FIRST_NS = 10 * SECOND
BACKOFF_NS_MAX = 300 * SECOND


class Backoff:
    """One key of upstream's table: ``delay_ns`` is 0 while there is no entry."""

    __slots__ = ("delay_ns", "updated_ns")

    def __init__(self) -> None:
        self.delay_ns = 0
        self.updated_ns = 0

    def due_ns(self, failed_ns: int) -> int:
        """When the next try may be made after a failure at ``failed_ns``."""
        if not self.delay_ns or self._is_stale(failed_ns):
            return failed_ns
        return failed_ns + self.delay_ns

    def next(self, failed_ns: int, now_ns: int) -> None:
        """Note a try made at ``now_ns`` after a failure at ``failed_ns``: the wait grows."""
        if not self.delay_ns or self._is_stale(failed_ns):
            self.delay_ns = BACKOFF_FIRST_NS
        else:
            self.delay_ns = min(2 * self.delay_ns, BACKOFF_NS_MAX)
        self.updated_ns = now_ns

    def _is_stale(self, time_ns: int) -> bool:
        return time_ns - self.updated_ns > 2 * BACKOFF_NS_MAX
