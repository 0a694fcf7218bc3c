"""A member's disk: what was written, what of it a crash leaves, and how long an fsync takes.

The log on it is a list of records in the order of writing: snapshots, entries and hard states. Everything up to the last fsync stays;
of what was written after, a crash leaves a prefix that the disk's random stream draws, down to nothing: records are kept or lost whole,
because a torn one does not fit its check sum (``wal``). ``replay`` turns records into what a member starts from.

``storage`` is the part that the member's Raft reads; it has exactly what is known to be durable.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from kubesim.etcd.raft.log import EMPTY_SNAPSHOT, MemoryStorage
from kubesim.etcd.raft.messages import Entry, HardState, Snapshot
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import MICROSECOND

Record = Snapshot | Entry | HardState


@dataclass(frozen=True, slots=True)
class DiskProfile:
    """How long an fsync takes: ``fsync_ns`` plus up to ``jitter_ns``."""

    fsync_ns: int = 500 * MICROSECOND
    jitter_ns: int = 500 * MICROSECOND


class Recovered(NamedTuple):
    """What a log says: the newest snapshot, the entries after it (some may be before, kept for followers), the hard state."""

    snapshot: Snapshot
    entries: list[Entry]
    hard_state: HardState


def replay(records: Iterable[Record]) -> Recovered:
    """Read a log from its start: a later entry replaces those from its index on, a later snapshot or hard state the earlier one."""
    snapshot, hard_state = EMPTY_SNAPSHOT, HardState()
    entries: list[Entry] = []
    first = 1  # the index of entries[0]
    for record in records:
        if type(record) is Entry:
            if not entries:
                first = record.index
            position = record.index - first
            if position < 0:
                entries, position, first = [], 0, record.index
            assert position <= len(entries), f"entry {record.index} follows {first + len(entries) - 1} in the log"
            del entries[position:]
            entries.append(record)
        elif type(record) is HardState:
            hard_state = record
        else:
            assert type(record) is Snapshot, f"{record!r} in a log"
            snapshot = record
            follows = first == record.index + 1  # all before it was discarded: what is here comes after it
            reaches = first <= record.index <= first + len(entries) - 1 and entries[record.index - first].term == record.term
            if not (follows or reaches):
                entries = []  # it came from the leader: what is here does not lead to it
    # A commit index that was written before the entries it speaks of were lost says more than the log has.
    last = max(entries[-1].index if entries else 0, snapshot.index)
    hard_state = hard_state._replace(commit=min(max(hard_state.commit, snapshot.index), last))
    return Recovered(snapshot, entries, hard_state)


class DiskStorage(MemoryStorage):
    """What is durable, as Raft reads it; but a snapshot for a follower is made when it is needed, of what is applied by then.

    A saved one may be from before the follower joined: its configuration would not name the follower, which then refuses it.
    """

    __slots__ = ("make_snapshot",)

    def __init__(self) -> None:
        super().__init__()
        self.make_snapshot: Callable[[], Snapshot] | None = None

    def snapshot(self) -> Snapshot:
        """Return a snapshot of now."""
        return self.snapshot_state if self.make_snapshot is None else self.make_snapshot()


class Disk:
    """One member's disk. It does one write at a time."""

    def __init__(self, kernel: Kernel, name: str, profile: DiskProfile | None = None) -> None:
        self.profile = profile or DiskProfile()
        self.records: list[Record] = []
        self.synced_count = 0
        self.storage = DiskStorage()
        self._kernel = kernel
        self._stream = kernel.rng(f"disk/{name}")
        self._stalled_until_ns = 0
        self._writing = 0  # the handle of the write under way

    # -- the member's side

    def write(
        self,
        snapshot: Snapshot | None,
        entries: tuple[Entry, ...],
        hard_state: HardState | None,
        must_sync: bool,
        done: Callable[[], object],
    ) -> bool:
        """Write in this order; True: ``done()`` is called when it is durable, False: it need not be and is written."""
        records = self.records
        if snapshot is not None:
            records.append(snapshot)
        records.extend(entries)
        if hard_state is not None:
            if len(records) > self.synced_count and type(records[-1]) is HardState:
                records.pop()  # never synced, and a later one says all
            records.append(hard_state)
        if not must_sync and snapshot is None:
            if hard_state is not None:
                self.storage.hard_state = hard_state
            return False
        self._writing = self._kernel.at(self._end_ns(), self._synced, snapshot, entries, hard_state, done)
        return True

    def _end_ns(self) -> int:
        profile = self.profile
        jitter_ns = self._stream.between(0, profile.jitter_ns) if profile.jitter_ns else 0
        return max(self._kernel.now_ns, self._stalled_until_ns) + profile.fsync_ns + jitter_ns

    def _synced(
        self, snapshot: Snapshot | None, entries: tuple[Entry, ...], hard_state: HardState | None, done: Callable[[], object]
    ) -> None:
        if self._kernel.now_ns < self._stalled_until_ns:
            self._writing = self._kernel.at(self._stalled_until_ns, self._synced, snapshot, entries, hard_state, done)
            return
        self._writing = 0
        self.synced_count = len(self.records)
        if hard_state is not None:
            self.storage.hard_state = hard_state
        if snapshot is not None:
            self.storage.apply_snapshot(snapshot)
        self.storage.append(entries)
        done()

    def save_snapshot(self, snapshot: Snapshot, keep_count: int) -> None:
        """Keep a snapshot of what is applied, and of the log only ``keep_count`` entries before it. Atomic: a file that is renamed.

        The log is written anew, as if old segments were released; what was not synced stays so.
        """
        storage = self.storage
        if snapshot.index <= storage.snapshot_state.index or snapshot.index > storage.last_index:
            return
        storage.snapshot_state = snapshot
        cut = snapshot.index - keep_count
        if cut > storage.first_index:
            storage.compact(cut)
        unsynced = self.records[self.synced_count :]
        kept: list[Record] = list(storage.entries(storage.first_index, storage.last_index + 1))
        self.records = [*kept, snapshot, storage.hard_state]
        self.synced_count = len(self.records)
        self.records += unsynced

    # -- faults

    def stall(self, duration_ns: int) -> None:
        """Let no write end before ``duration_ns`` from now, one under way included."""
        self._stalled_until_ns = max(self._stalled_until_ns, self._kernel.now_ns + duration_ns)

    def mend(self) -> None:
        """End a stall."""
        self._stalled_until_ns = 0

    def crash(self, power_lost: bool = True) -> None:
        """End the write under way. With the power, what was not synced is lost, but for a drawn prefix of it."""
        if self._writing:
            self._kernel.cancel(self._writing)
            self._writing = 0
        if power_lost:
            unsynced_count = len(self.records) - self.synced_count
            kept_count = self._stream.below(unsynced_count + 1) if unsynced_count else 0
            del self.records[self.synced_count + kept_count :]

    def recover(self) -> Recovered:
        """Read the log, make sure that all of it is durable, and set ``storage`` to it."""
        recovered = replay(self.records)
        self.synced_count = len(self.records)
        self.storage = DiskStorage()
        self.storage.start_from(*recovered)
        return recovered

    def format(self, entries: Iterable[Entry], hard_state: HardState) -> None:
        """Write the log that a new member of a new cluster begins with."""
        assert not self.records, "the disk has a log already"
        self.records = [*entries, hard_state]
        self.synced_count = len(self.records)

    def durable(self) -> Recovered:
        """Return what would be there after the worst crash now."""
        return replay(self.records[: self.synced_count])
