"""The log: a stable part in storage, an unstable part in memory, and what is committed, being applied and applied.

Invariant: applied <= applying <= committed <= last_index. Upstream: raft/log.go, log_unstable.go, storage.go.
"""

from collections.abc import Sequence

from kubesim.etcd.raft.messages import ConfState, Entry, HardState, Snapshot

NO_LIMIT = (1 << 64) - 1
EMPTY_SNAPSHOT = Snapshot(0, 0, ConfState())


class Compacted(Exception):
    """The entry was discarded: a snapshot is needed."""


class Unavailable(Exception):
    """The entry is not there (yet)."""


def limit_size(entries: Sequence[Entry], size_max: int) -> list[Entry]:
    """Return the longest prefix of at most ``size_max`` bytes, at least one entry."""
    total = 0
    for position, entry in enumerate(entries):
        total += entry.size_bytes
        if total > size_max and position:
            return list(entries[:position])
    return list(entries)


class MemoryStorage:
    """The stable log in memory. Entry 0 of ``_entries`` is a dummy that carries the index and term of the snapshot."""

    __slots__ = ("_entries", "hard_state", "snapshot_state")

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.snapshot_state = EMPTY_SNAPSHOT
        self._entries = [Entry(0, 0, "normal", None)]

    @property
    def first_index(self) -> int:
        """The first index that is not compacted."""
        return self._entries[0].index + 1

    @property
    def last_index(self) -> int:
        """The last stable index."""
        return self._entries[-1].index

    def term(self, index: int) -> int:
        """Return the term of an entry. Raises Compacted, Unavailable."""
        offset = self._entries[0].index
        if index < offset:
            raise Compacted
        if index - offset >= len(self._entries):
            raise Unavailable
        return self._entries[index - offset].term

    def entries(self, low: int, high: int, size_max: int = NO_LIMIT) -> list[Entry]:
        """Return the entries [low, high), limited in size. Raises Compacted, Unavailable."""
        offset = self._entries[0].index
        if low <= offset:
            raise Compacted
        if high > self.last_index + 1:
            raise Unavailable
        return limit_size(self._entries[low - offset : high - offset], size_max)

    def append(self, entries: Sequence[Entry]) -> None:
        """Make entries stable; they replace what conflicts."""
        if not entries:
            return
        first = self.first_index
        if entries[-1].index < first:
            return
        kept = [entry for entry in entries if entry.index >= first]
        position = kept[0].index - self._entries[0].index
        assert position <= len(self._entries), f"a gap in the log before {kept[0].index}, last {self.last_index}"
        self._entries[position:] = kept

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Replace everything by a snapshot; an older one is ignored."""
        if snapshot.index <= self.snapshot_state.index:
            return
        self.snapshot_state = snapshot
        self._entries = [Entry(snapshot.term, snapshot.index, "normal", None)]

    def start_from(self, snapshot: Snapshot, entries: Sequence[Entry], hard_state: HardState) -> None:
        """Start from what a disk holds; entries up to the snapshot are kept for followers that are a little behind."""
        self.hard_state = hard_state
        self.snapshot_state = snapshot
        self._entries = [Entry(snapshot.term, snapshot.index, "normal", None)]
        if entries and entries[0].index == 1:
            self._entries = [Entry(0, 0, "normal", None), *entries]
        elif entries and entries[0].index <= snapshot.index:
            # The term before the first is not known, so the first itself becomes the end of what is discarded.
            self._entries = [entries[0]._replace(type="normal", data=None), *entries[1:]]
        elif entries:
            self._entries += entries

    def compact(self, index: int) -> None:
        """Discard the entries up to and including ``index``. Raises Compacted."""
        offset = self._entries[0].index
        if index <= offset:
            raise Compacted
        assert index <= self.last_index, f"compacting {index} after the last entry {self.last_index}"
        kept = self._entries[index - offset :]
        kept[0] = Entry(kept[0].term, kept[0].index, "normal", None)
        self._entries = kept

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot."""
        return self.snapshot_state


class RaftLog:
    """The log as the protocol sees it: storage plus what is not stable yet."""

    __slots__ = (
        "applied",
        "applying",
        "applying_bytes",
        "applying_bytes_max",
        "applying_paused",
        "committed",
        "storage",
        "unstable_entries",
        "unstable_in_progress",
        "unstable_offset",
        "unstable_snapshot",
        "unstable_snapshot_in_progress",
    )

    def __init__(self, storage: MemoryStorage, applying_bytes_max: int = NO_LIMIT) -> None:
        self.storage = storage
        self.unstable_snapshot: Snapshot | None = None
        self.unstable_entries: list[Entry] = []
        self.unstable_offset = storage.last_index + 1  # index of unstable_entries[0]
        self.unstable_in_progress = self.unstable_offset  # entries below are being written
        self.unstable_snapshot_in_progress = False
        self.committed = self.applying = self.applied = storage.first_index - 1
        self.applying_bytes_max = applying_bytes_max
        self.applying_bytes = 0
        self.applying_paused = False

    @property
    def first_index(self) -> int:
        """The first index that can be read."""
        if self.unstable_snapshot is not None:
            return self.unstable_snapshot.index + 1
        return self.storage.first_index

    @property
    def last_index(self) -> int:
        """The last index, stable or not."""
        if self.unstable_entries:
            return self.unstable_offset + len(self.unstable_entries) - 1
        if self.unstable_snapshot is not None:
            return self.unstable_snapshot.index
        return self.storage.last_index

    @property
    def last_term(self) -> int:
        """The term of the last entry."""
        return self.term(self.last_index)

    def _unstable_term(self, index: int) -> int | None:
        if index < self.unstable_offset:
            if self.unstable_snapshot is not None and self.unstable_snapshot.index == index:
                return self.unstable_snapshot.term
            return None
        position = index - self.unstable_offset
        return self.unstable_entries[position].term if position < len(self.unstable_entries) else None

    def term(self, index: int) -> int:
        """Return the term of an entry. Raises Compacted, Unavailable."""
        term = self._unstable_term(index)
        if term is not None:
            return term
        if index + 1 < self.first_index:
            raise Compacted
        if index > self.last_index:
            raise Unavailable
        return self.storage.term(index)

    def match_term(self, index: int, term: int) -> bool:
        """Whether the log has this entry."""
        try:
            return self.term(index) == term
        except (Compacted, Unavailable):
            return False

    def slice(self, low: int, high: int, size_max: int = NO_LIMIT) -> list[Entry]:
        """Return the entries [low, high), limited in size, at least one. Raises Compacted."""
        if low < self.first_index:
            raise Compacted
        assert high <= self.last_index + 1, f"slice [{low},{high}) of a log that ends at {self.last_index}"
        if low >= high:
            return []
        offset = self.unstable_offset
        if low >= offset:
            return limit_size(self.unstable_entries[low - offset : high - offset], size_max)
        cut = min(high, offset)
        stable = self.storage.entries(low, cut, size_max)
        if high <= offset or len(stable) < cut - low:
            return stable
        return limit_size(stable + self.unstable_entries[: high - offset], size_max)

    def entries(self, index: int, size_max: int = NO_LIMIT) -> list[Entry]:
        """Return the entries from ``index`` on, limited in size. Raises Compacted."""
        return self.slice(index, self.last_index + 1, size_max) if index <= self.last_index else []

    # -- writing

    def append(self, entries: Sequence[Entry]) -> int:
        """Append, replacing what conflicts; return the last index."""
        if not entries:
            return self.last_index
        first = entries[0].index
        assert first > self.committed, f"entry {first} would overwrite the committed {self.committed}"
        end = self.unstable_offset + len(self.unstable_entries)
        if first == end:
            self.unstable_entries.extend(entries)
        elif first <= self.unstable_offset:
            self.unstable_entries = list(entries)
            self.unstable_offset = self.unstable_in_progress = first
        else:
            self.unstable_entries[first - self.unstable_offset :] = entries
            self.unstable_in_progress = min(self.unstable_in_progress, first)
        return self.last_index

    def maybe_append(self, previous: tuple[int, int], entries: Sequence[Entry], committed: int) -> int | None:
        """Append after ``previous`` (index, term) if the log has it; return the last new index, or None."""
        index, term = previous
        if not self.match_term(index, term):
            return None
        last_new = index + len(entries)
        for position, entry in enumerate(entries):
            if not self.match_term(entry.index, entry.term):
                assert entry.index > self.committed, f"entry {entry.index} conflicts with the committed {self.committed}"
                self.append(entries[position:])
                break
        self.commit_to(min(committed, last_new))
        return last_new

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int]:
        """Return the largest (index, term) at or below ``index`` whose term is at most ``term``; term 0 when it is compacted away."""
        while index > 0:
            try:
                own = self.term(index)
            except (Compacted, Unavailable):
                return index, 0
            if own <= term:
                return index, own
            index -= 1
        return 0, 0

    def is_up_to_date(self, index: int, term: int) -> bool:
        """Whether a log that ends in (index, term) is at least as up to date as this one (Raft 5.4.1)."""
        last_term = self.last_term
        return term > last_term or (term == last_term and index >= self.last_index)

    def commit_to(self, index: int) -> None:
        """Raise the commit index; it never falls."""
        if index > self.committed:
            assert index <= self.last_index, f"commit {index} after the last entry {self.last_index}"
            self.committed = index

    def maybe_commit(self, index: int, term: int) -> bool:
        """Commit up to ``index`` if its entry is of ``term``: only entries of the current term are counted (Raft 5.4.2)."""
        if term and index > self.committed and self.match_term(index, term):
            self.commit_to(index)
            return True
        return False

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the log by a snapshot, which is not stable yet."""
        self.committed = snapshot.index
        self.unstable_offset = self.unstable_in_progress = snapshot.index + 1
        self.unstable_entries = []
        self.unstable_snapshot = snapshot
        self.unstable_snapshot_in_progress = False

    # -- becoming stable

    def next_unstable_entries(self) -> list[Entry]:
        """The entries that are to be written."""
        return self.unstable_entries[self.unstable_in_progress - self.unstable_offset :]

    def next_unstable_snapshot(self) -> Snapshot | None:
        """The snapshot that is to be written."""
        return None if self.unstable_snapshot_in_progress else self.unstable_snapshot

    def accept_unstable(self) -> None:
        """Note that everything unstable is being written."""
        if self.unstable_entries:
            self.unstable_in_progress = self.unstable_offset + len(self.unstable_entries)
        if self.unstable_snapshot is not None:
            self.unstable_snapshot_in_progress = True

    def stable_to(self, index: int, term: int) -> None:
        """Note that the log up to this entry is durable, unless it was overwritten meanwhile (the term tells)."""
        if index < self.unstable_offset or self._unstable_term(index) != term:
            return
        del self.unstable_entries[: index + 1 - self.unstable_offset]
        self.unstable_offset = index + 1
        self.unstable_in_progress = max(self.unstable_in_progress, self.unstable_offset)

    def stable_snapshot_to(self, index: int) -> None:
        """Note that the snapshot is durable."""
        if self.unstable_snapshot is not None and self.unstable_snapshot.index == index:
            self.unstable_snapshot = None
            self.unstable_snapshot_in_progress = False

    # -- being applied

    def _appliable_max(self, allow_unstable: bool) -> int:
        return self.committed if allow_unstable else min(self.committed, self.unstable_offset - 1)

    def next_committed_entries(self, allow_unstable: bool) -> list[Entry]:
        """The entries that are to be applied next; none while a snapshot waits or too many bytes are being applied."""
        if self.applying_paused or self.unstable_snapshot is not None:
            return []
        low, high = self.applying + 1, self._appliable_max(allow_unstable) + 1
        if low >= high:
            return []
        room = self.applying_bytes_max - self.applying_bytes
        assert room > 0, f"applying {self.applying_bytes} of {self.applying_bytes_max} bytes, yet not paused"
        return self.slice(low, high, room)

    def accept_applying(self, index: int, size_bytes: int, allow_unstable: bool) -> None:
        """Note that the entries up to ``index`` are being applied."""
        self.applying = index
        self.applying_bytes += size_bytes
        self.applying_paused = self.applying_bytes >= self.applying_bytes_max or index < self._appliable_max(allow_unstable)

    def applied_to(self, index: int, size_bytes: int) -> None:
        """Note that the entries up to ``index`` are applied."""
        assert self.applied <= index <= self.committed, f"applied {index}, was {self.applied}, committed {self.committed}"
        self.applied = index
        self.applying = max(self.applying, index)
        self.applying_bytes = max(0, self.applying_bytes - size_bytes)
        self.applying_paused = self.applying_bytes >= self.applying_bytes_max
