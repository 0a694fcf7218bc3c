"""The work queue of a controller: a key is never worked on twice at once, and never lost.

A key added while it waits is there once; added while it is worked on, it is queued again when that work is done. With
delayed adds (the earliest wins) and a rate limiter per key (5 ms doubled per failure, up to 1000 s). The order is the order of the
adds; a queue has no worker: ``on_ready`` is called when the queue turns from empty to filled.

Upstream: client-go/util/workqueue (queue.go, delaying_queue.go, rate_limiting_queue.go, default_rate_limiters.go).
"""

from collections import deque
from collections.abc import Callable

from kubesim.kernel.loop import Kernel

RETRY_NS_MIN = 5_000_000
RETRY_NS_MAX = 1_000_000_000_000


class WorkQueue:
    """Keys to work on. Every operation is O(1) (delays: O(log n) in the agenda).

    Invariants (``check()``): every queued key is dirty; no queued key is being processed; a dirty key that is not queued is
    being processed.
    """

    __slots__ = ("_dirty", "_failures", "_kernel", "_on_ready", "_processing", "_queue", "_waiting")

    def __init__(self, kernel: Kernel, on_ready: Callable[[], None] | None = None) -> None:
        self._kernel = kernel
        self._on_ready = on_ready
        self._queue: deque[str] = deque()
        self._dirty: set[str] = set()
        self._processing: set[str] = set()
        self._waiting: dict[str, tuple[int, int]] = {}  # key -> (ready_ns, agenda handle)
        self._failures: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def waiting_count(self) -> int:
        """How many keys wait for their time."""
        return len(self._waiting)

    @property
    def processing_count(self) -> int:
        """How many keys are being worked on."""
        return len(self._processing)

    def add(self, key: str) -> None:
        """Queue a key now, unless it is queued; while it is worked on, it is queued when that is done."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._push(key)

    def get(self) -> str:
        """Take the next key; it counts as worked on until ``done``. Raises IndexError when nothing is queued."""
        key = self._queue.popleft()
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: str) -> None:
        """Say that the work on a key is over; queue it again if it was added meanwhile."""
        self._processing.discard(key)
        if key in self._dirty:
            self._push(key)

    def add_after(self, key: str, delay_ns: int) -> None:
        """Add a key after a delay; of several delays of a key the earliest end counts."""
        if delay_ns <= 0:
            self.add(key)
            return
        ready_ns = self._kernel.now_ns + delay_ns
        waiting = self._waiting.get(key)
        if waiting is not None:
            if waiting[0] <= ready_ns:
                return
            self._kernel.cancel(waiting[1])
        self._waiting[key] = (ready_ns, self._kernel.at(ready_ns, self._ripe, key))

    def set_after(self, key: str, delay_ns: int | None) -> None:
        """Let this delay replace every earlier one of the key; None takes them back."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self._kernel.cancel(waiting[1])
        if delay_ns is not None:
            self.add_after(key, delay_ns)

    def add_rate_limited(self, key: str) -> None:
        """Add a key after its back-off: 5 ms, doubled by each call until ``forget``, at most 1000 s."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(RETRY_NS_MIN << min(failures, 40), RETRY_NS_MAX))

    def forget(self, key: str) -> None:
        """Reset the back-off of a key."""
        self._failures.pop(key, None)

    def retries(self, key: str) -> int:
        """How often a key was added rate-limited since it was forgotten."""
        return self._failures.get(key, 0)

    def check(self) -> None:
        """Verify the invariants; O(n). Raises AssertionError with the state."""
        queued = set(self._queue)
        assert len(queued) == len(self._queue), f"a key is queued twice: {list(self._queue)}"
        assert queued <= self._dirty, f"queued but not dirty: {sorted(queued - self._dirty)}"
        assert not queued & self._processing, f"queued while processed: {sorted(queued & self._processing)}"
        assert self._dirty - queued <= self._processing, f"dirty and lost: {sorted(self._dirty - queued - self._processing)}"

    def _ripe(self, key: str) -> None:
        del self._waiting[key]
        self.add(key)

    def _push(self, key: str) -> None:
        self._queue.append(key)
        if self._on_ready is not None and len(self._queue) == 1:
            self._on_ready()
