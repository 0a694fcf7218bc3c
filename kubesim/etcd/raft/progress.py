"""What a leader knows of one follower: how far it matches, what was sent, and whether to wait before sending more.

- probe: one append with entries at a time, until the follower's log is found to match;
- replicate: optimistic, up to ``inflight_max`` appends (and ``inflight_bytes_max``) on the way;
- snapshot: nothing is sent until the snapshot has arrived.

Upstream: raft/tracker/progress.go, inflights.go.
"""

from collections import deque

PROBE = "probe"
REPLICATE = "replicate"
SNAPSHOT = "snapshot"


class Inflights:
    """The appends on the way: the last index and the bytes of each, in order; limited in count and (if not 0) in bytes."""

    __slots__ = ("bytes_max", "count_max", "items", "total_bytes")

    def __init__(self, count_max: int, bytes_max: int = 0) -> None:
        self.count_max = count_max
        self.bytes_max = bytes_max
        self.items: deque[tuple[int, int]] = deque()
        self.total_bytes = 0

    def add(self, last_index: int, size_bytes: int) -> None:
        """Add one append. AssertionError when full: the caller asks first."""
        assert not self.full(), f"adding {last_index} to full inflights {list(self.items)}"
        self.items.append((last_index, size_bytes))
        self.total_bytes += size_bytes

    def free_up_to(self, index: int) -> None:
        """Free all appends whose last index is at most ``index``."""
        while self.items and self.items[0][0] <= index:
            self.total_bytes -= self.items.popleft()[1]

    def full(self) -> bool:
        """Whether no more may be sent; the bytes may be exceeded by the last one."""
        return len(self.items) >= self.count_max or (self.bytes_max != 0 and self.total_bytes >= self.bytes_max)

    def clear(self) -> None:
        """Forget everything on the way."""
        self.items.clear()
        self.total_bytes = 0

    @property
    def count(self) -> int:
        """The number of appends on the way."""
        return len(self.items)


class Progress:
    """One follower as its leader sees it. Invariant: 0 <= match < next."""

    __slots__ = ("append_paused", "inflights", "learner", "match", "next", "pending_snapshot", "recently_active", "sent_commit", "state")

    def __init__(self, match: int, next_: int, inflights: Inflights, learner: bool = False, recently_active: bool = False) -> None:
        self.match = match  # the largest index known to be on the follower
        self.next = next_  # the next index to send
        self.inflights = inflights
        self.learner = learner
        self.recently_active = recently_active
        self.state = PROBE
        self.append_paused = False
        self.pending_snapshot = 0
        self.sent_commit = 0  # the largest commit index sent

    def copy(self) -> "Progress":
        """Return an independent copy (a configuration change works on copies)."""
        other = Progress(self.match, self.next, self.inflights, self.learner, self.recently_active)
        other.state, other.append_paused = self.state, self.append_paused
        other.pending_snapshot, other.sent_commit = self.pending_snapshot, self.sent_commit
        return other

    def _reset_state(self, state: str) -> None:
        self.append_paused = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.clear()

    def become_probe(self) -> None:
        """Probe from the snapshot that was pending, or from what is known to match."""
        start = max(self.match, self.pending_snapshot) + 1 if self.state == SNAPSHOT else self.match + 1
        self._reset_state(PROBE)
        self.next = start
        self.sent_commit = min(self.sent_commit, self.next - 1)

    def become_replicate(self) -> None:
        """Send optimistically from match + 1."""
        self._reset_state(REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        """Wait for the snapshot at ``index``."""
        self._reset_state(SNAPSHOT)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    def sent_entries(self, entry_count: int, size_bytes: int) -> None:
        """Note that an append with ``entry_count`` entries was sent."""
        if self.state == REPLICATE:
            if entry_count > 0:
                self.next += entry_count
                self.inflights.add(self.next - 1, size_bytes)
            self.append_paused = self.inflights.full()
        elif entry_count > 0:
            self.append_paused = True

    def can_bump_commit(self, index: int) -> bool:
        """Whether an empty append with commit ``index`` would tell the follower something new."""
        return index > self.sent_commit and self.sent_commit < self.next - 1

    def maybe_update(self, index: int) -> bool:
        """Take an acknowledgement up to ``index``; False when it is old news."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.append_paused = False
        return True

    def maybe_decrease_to(self, rejected: int, match_hint: int) -> bool:
        """Take a rejection of the append after ``rejected``; False when it is stale."""
        if self.state == REPLICATE:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
        else:
            if self.next - 1 != rejected:
                return False
            self.next = max(min(rejected, match_hint + 1), self.match + 1)
            self.append_paused = False
        self.sent_commit = min(self.sent_commit, self.next - 1)
        return True

    def paused(self) -> bool:
        """Whether sending must wait for an answer."""
        return self.state == SNAPSHOT or self.append_paused
