"""Leases: keys that vanish together when their holder falls silent. Pure: it is told the time and says when to look again.

A lease costs nothing until its deadline: a keep-alive only moves the deadline in the lease, and the heap entry made at the grant
finds that out when its time comes. Attaching a key is one dictionary write; detaching is nothing at all, because which lease a key
hangs on stands in its newest record, so a lease's keys are the remembered ones whose record still names it.

Upstream: etcd ``server/lease/lessor.go``. Differs: etcd looks for expired leases every 500 ms, here a lease ends at its deadline.
"""

from heapq import heapify, heappop, heappush
from typing import NamedTuple

from kubesim._core.revision_store import RevisionStore
from kubesim.etcd.errors import LeaseExists, LeaseNotFound, LeaseTtlTooLarge

SECOND_NS = 1_000_000_000
TTL_SECONDS_MIN = 2  # upstream: ceil(1.5 × election timeout), 1,000 ms by default
TTL_SECONDS_MAX = 9_000_000_000
KEYS_SWEPT_MIN = 1_024
EXPIRED_PER_SECOND_MAX = 750  # after a promotion, so that not all leases of a cluster end at once: 3/4 of etcd's revocations a second


class LeaseRecord(NamedTuple):
    """What is replicated of a lease. When it ends is not: that is its leader's own clock."""

    lease_id: int
    ttl_seconds: int
    keys: tuple[bytes, ...]


class Lease:
    """One lease. ``keys`` holds the keys put with it, in order of the first put; some may have moved on since."""

    __slots__ = ("deadline_ns", "keys", "lease_id", "sweep_count", "ttl_seconds")

    def __init__(self, lease_id: int, ttl_seconds: int, deadline_ns: int) -> None:
        self.lease_id = lease_id
        self.ttl_seconds = ttl_seconds
        self.deadline_ns = deadline_ns
        self.keys: dict[bytes, None] = {}
        self.sweep_count = KEYS_SWEPT_MIN  # sweep the keys that moved on when there are so many: amortised O(1) per attach

    def __repr__(self) -> str:
        return f"<Lease {self.lease_id:x} of {self.ttl_seconds} s, {len(self.keys)} keys>"


class Leases:
    """The leases of one store."""

    def __init__(self, store: RevisionStore) -> None:
        self._store = store
        self._leases: dict[int, Lease] = {}
        self._looks: list[tuple[int, int]] = []  # heap of (time to look, lease); one entry per lease and grant

    def __contains__(self, lease_id: int) -> bool:
        return lease_id in self._leases

    def __len__(self) -> int:
        return len(self._leases)

    def grant(self, lease_id: int, ttl_seconds: int, now_ns: int) -> Lease:
        """Add a lease; the TTL is raised to at least 2 s. Raises LeaseExists, LeaseTtlTooLarge. O(log n)."""
        if ttl_seconds > TTL_SECONDS_MAX:
            raise LeaseTtlTooLarge
        if lease_id in self._leases:
            raise LeaseExists
        ttl_seconds = max(ttl_seconds, TTL_SECONDS_MIN)
        lease = Lease(lease_id, ttl_seconds, now_ns + ttl_seconds * SECOND_NS)
        self._leases[lease_id] = lease
        heappush(self._looks, (lease.deadline_ns, lease_id))
        return lease

    def keep_alive(self, lease_id: int, now_ns: int) -> int:
        """Renew a lease for its whole TTL and return that in seconds; 0 when it is unknown or over. O(1)."""
        lease = self._leases.get(lease_id)
        if lease is None or lease.deadline_ns <= now_ns:
            return 0
        lease.deadline_ns = now_ns + lease.ttl_seconds * SECOND_NS
        return lease.ttl_seconds

    def get(self, lease_id: int) -> Lease | None:
        """The lease, for reading and for ``attach``; None when there is none. O(1)."""
        return self._leases.get(lease_id)

    def attach(self, lease: Lease, key: bytes) -> None:
        """Remember that ``key`` has been put with the lease (before, or a sweep forgets it again)."""
        lease.keys[key] = None
        if len(lease.keys) > lease.sweep_count:
            lease.keys = dict.fromkeys(self.keys(lease.lease_id))
            lease.sweep_count = max(2 * len(lease.keys), KEYS_SWEPT_MIN)

    def keys(self, lease_id: int) -> list[bytes]:
        """Return the keys that hang on the lease now, in key order; none for an unknown lease."""
        lease = self._leases.get(lease_id)
        if lease is None:
            return []
        get = self._store.get
        return sorted(key for key in lease.keys if (record := get(key)) is not None and record.lease == lease_id)

    def revoke(self, lease_id: int) -> int:
        """End a lease and delete its keys, in key order, as one revision; return the store's revision. Raises LeaseNotFound."""
        if lease_id not in self._leases:
            raise LeaseNotFound
        keys = self.keys(lease_id)
        del self._leases[lease_id]
        self._store.begin()
        for key in keys:
            self._store.delete(key)
        return self._store.commit()

    def time_to_live(self, lease_id: int, now_ns: int) -> tuple[int, int]:
        """Return (seconds left rounded down, granted TTL); (-1, 0) for an unknown lease."""
        lease = self._leases.get(lease_id)
        if lease is None:
            return -1, 0
        return max(lease.deadline_ns - now_ns, 0) // SECOND_NS, lease.ttl_seconds

    def listed(self) -> list[int]:
        """Return the IDs of all leases, the next to end first."""
        return [lease.lease_id for lease in sorted(self._leases.values(), key=lambda lease: (lease.deadline_ns, lease.lease_id))]

    def expired(self, now_ns: int) -> list[int]:
        """Return the leases whose deadline has come, in the order of deadlines. The caller revokes them. O(log n) per lease looked at."""
        found = []
        while self._looks and self._looks[0][0] <= now_ns:
            _, lease_id = heappop(self._looks)
            lease = self._leases.get(lease_id)
            if lease is None:
                continue
            if lease.deadline_ns <= now_ns:
                found.append((lease.deadline_ns, lease_id))
            else:
                heappush(self._looks, (lease.deadline_ns, lease_id))
        return [lease_id for _, lease_id in sorted(found)]

    def look_again(self, lease_id: int, time_ns: int) -> None:
        """Have ``expired`` return a lease once more, at ``time_ns``: its revocation may have failed. O(log n)."""
        if lease_id in self._leases:
            heappush(self._looks, (time_ns, lease_id))

    def promote(self, now_ns: int, extension_ns: int) -> None:
        """Start all leases over, ``extension_ns`` longer: a new leader does not know when they were renewed. O(n log n).

        Beyond EXPIRED_PER_SECOND_MAX in one second they are moved back, to end at that rate.
        """
        ordered = sorted(self._leases.values(), key=lambda lease: (lease.ttl_seconds, lease.lease_id))
        window_ns = next_window_ns = 0
        count = 0
        for lease in ordered:
            ttl_ns = lease.ttl_seconds * SECOND_NS
            if not count or ttl_ns > next_window_ns:
                window_ns, next_window_ns, count = ttl_ns, ttl_ns + SECOND_NS, 0
            count += 1
            surplus = max(count - EXPIRED_PER_SECOND_MAX, 0)
            delay_ns = max(surplus * SECOND_NS // EXPIRED_PER_SECOND_MAX - (ttl_ns - window_ns), 0)
            next_window_ns = max(next_window_ns, window_ns + delay_ns)
            lease.deadline_ns = now_ns + ttl_ns + extension_ns + delay_ns
        self._looks = [(lease.deadline_ns, lease.lease_id) for lease in ordered]
        heapify(self._looks)

    def dump(self) -> list[LeaseRecord]:
        """Return what is replicated of all leases, by number."""
        return [LeaseRecord(number, self._leases[number].ttl_seconds, tuple(self.keys(number))) for number in sorted(self._leases)]

    def load(self, records: list[LeaseRecord], now_ns: int) -> None:
        """Add leases from a dump, each with its whole TTL from now. Raises LeaseExists."""
        for record in records:
            self.grant(record.lease_id, record.ttl_seconds, now_ns).keys = dict.fromkeys(record.keys)

    def next_look_ns(self) -> int | None:
        """When ``expired`` should be called next, None when there is no lease. Never later than the first deadline."""
        return self._looks[0][0] if self._looks else None
