"""Events live for an hour: they are written under etcd leases that are shared by many of them.

Upstream: storage/etcd3/lease_manager.go: a lease serves for 60 s or 1,000 objects and lives 5 % (at most 60 s) longer than its objects.
"""

from collections.abc import Generator
from typing import Any

from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import SECOND

EVENT_TTL_SECONDS = 3_600
REUSE_NS = 60 * SECOND
REUSE_OBJECTS_MAX = 1_000
LONGER_SECONDS = min(60, EVENT_TTL_SECONDS // 20)


class EventLeases:
    """Gives out the lease that the next Event is written under."""

    __slots__ = ("_count", "_granted_ns", "_kernel", "_lease")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._lease = 0
        self._granted_ns = 0
        self._count = 0

    def current(self) -> int:
        """The number of the lease for one more Event written now; 0: a new one has to be granted."""
        if not self._lease or self._count >= REUSE_OBJECTS_MAX or self._kernel.now_ns - self._granted_ns > REUSE_NS:
            return 0
        self._count += 1
        return self._lease

    def grant(self) -> Generator[Any, Any, int]:
        """A new lease, which outlives an Event written now; gives its number."""
        self._lease = yield ("grant", EVENT_TTL_SECONDS + LONGER_SECONDS)
        self._granted_ns, self._count = self._kernel.now_ns, 1
        return self._lease
