"""Watches: many watchers of few ranges, each change matched once per range and never per watcher.

Watchers of one range and filter are a group. A change is appended to the groups that cover its key, found by bisection among the ends of
all watched ranges; a watcher is a place in its group's list, so an event to a thousand watchers is one append and a thousand slices.
A watcher that has not taken what it was told of costs nothing.

A group remembers about ``RECENT_MAX`` changes. A watcher further behind reads the store's log from its own revision on, as does one that
starts in the past; when that has been compacted it gets Compacted and is over, as in etcd.

Upstream: etcd ``server/storage/mvcc/watchable_store.go``. Differs: watchers that lag are not scanned every 100 ms and 1,000 revisions;
they read as much as they ask for. The messages of a stream (created, progress, fragments) belong to its server.
"""

from bisect import bisect_right
from collections.abc import Callable

from kubesim._core.revision_store import Change, Compacted, RevisionStore
from kubesim.etcd.errors import KeyNotProvided, WatchRangeEmpty
from kubesim.kernel.loop import Kernel
from kubesim.kernel.wake import Wakeup

RECENT_MAX = 8192
LOG_PAGE = 4096
LOG_PAGE_MIN = 256
FROM_KEY = b"\0"


class Group:
    """The watchers of one range, from ``key`` up to, without, ``stop`` (None: no end). ``recent[i]`` is change number ``base + i``."""

    __slots__ = ("armed", "base", "deletes", "key", "puts", "recent", "stop", "told", "watcher_count")

    def __init__(self, key: bytes, stop: bytes | None, puts: bool, deletes: bool) -> None:
        self.key = key
        self.stop = stop
        self.puts = puts
        self.deletes = deletes
        self.recent: list[Change] = []
        self.base = 0
        self.told = 0  # the number of the first change that its watchers have not been told of
        self.armed: list[Watcher] = []  # to be told of the next change
        self.watcher_count = 0

    def select(self, changes: list[Change]) -> list[Change]:
        """Return the changes that this group is for."""
        key, stop, puts, deletes = self.key, self.stop, self.puts, self.deletes
        found = [change for change in changes if key <= change.key and (stop is None or change.key < stop)]
        return found if puts and deletes else [change for change in found if (deletes if change.is_delete else puts)]

    def ring(self) -> None:
        """Tell the armed watchers, and forget changes that were told of long ago."""
        surplus = self.told - self.base - RECENT_MAX
        if surplus > RECENT_MAX:
            del self.recent[:surplus]
            self.base += surplus
        self.told = self.base + len(self.recent)
        armed, self.armed = self.armed, []
        for watcher in armed:
            watcher.tell()


class Watcher:
    """One watch: everything up to ``revision`` has been taken. Made by ``WatchHub.watch``."""

    __slots__ = ("_group", "_hub", "_place", "is_armed", "on_ready", "revision")

    def __init__(self, hub: "WatchHub", group: Group, revision: int, on_ready: Callable[[], object]) -> None:
        self._hub: WatchHub | None = hub
        self._group = group
        self._place = -1  # of the next change in the group; -1: unknown, read the log
        self.is_armed = False  # in the group's list of those to be told
        self.revision = revision
        self.on_ready = on_ready

    @property
    def is_over(self) -> bool:
        """True once cancelled or compacted."""
        return self._hub is None

    @property
    def is_behind(self) -> bool:
        """Whether there may be something to take."""
        return self._hub is not None and self.revision < self._hub.store.revision

    def take(self, limit: int = 0) -> list[Change]:
        """Return the changes after ``revision`` in (revision, sub) order; once there are no more, ``on_ready`` is called at the next.

        With a ``limit`` it stops after the revision that reaches it, and ``is_behind`` stays true. O(changes taken) near the head,
        O(changes in the log) further back. Raises Compacted, and is over, when changes after ``revision`` are gone.
        """
        hub, group = self._hub, self._group
        if hub is None:
            return []
        hub.collect()
        start = self._place - group.base
        found = self._take_log(hub, limit) if self._place < 0 or start < 0 else self._take_recent(hub, start, limit)
        if self.revision >= hub.revision:
            self._arm()
        return found

    def _take_recent(self, hub: "WatchHub", start: int, limit: int) -> list[Change]:
        recent = self._group.recent
        stop = size = len(recent)
        while start < size and recent[start].revision <= self.revision:  # from before a start in the future
            start += 1
        if limit and start + limit < size:
            stop = whole_revisions(recent, start + limit)
        self._place = self._group.base + stop
        self.revision = recent[stop - 1].revision if stop < size else max(self.revision, hub.revision)
        return recent[start:stop]

    def _take_log(self, hub: "WatchHub", limit: int) -> list[Change]:
        found: list[Change] = []
        while self.revision < hub.revision and not (limit and len(found) >= limit):
            try:
                changes = hub.store.changes(self.revision, max(2 * limit, LOG_PAGE_MIN) if limit else LOG_PAGE)
            except Compacted:
                self.cancel()
                raise
            self.revision = changes[-1].revision if changes else hub.revision  # no changes: a fresh store
            found += self._group.select(changes)
        if limit and len(found) > limit:
            stop = whole_revisions(found, limit)
            if stop < len(found):
                self.revision = found[stop - 1].revision
                del found[stop:]
        if self.revision >= hub.revision:
            self._place = self._group.base + len(self._group.recent)
        return found

    def tell(self) -> None:
        """Call ``on_ready`` if there is something to take; else wait on. A take in between may have been first."""
        self.is_armed = False
        if self._hub is None:
            return
        if self._place >= self._group.base + len(self._group.recent) or self.revision >= self._hub.revision:
            self._arm()
        else:
            self.on_ready()

    def _arm(self) -> None:
        if not self.is_armed:
            self.is_armed = True
            self._group.armed.append(self)

    def cancel(self) -> None:
        """End the watch: nothing is called or given any more."""
        if self._hub is not None:
            self._hub.leave(self._group)
            self._hub = None


def whole_revisions(changes: list[Change], stop: int) -> int:
    """Return the first index from ``stop`` on that cuts no revision in two."""
    while stop < len(changes) and changes[stop].revision == changes[stop - 1].revision:
        stop += 1
    return stop


class WatchHub:
    """All watches on one store. The groups have read it up to ``revision``. O(log of ranges + groups that match) per change."""

    def __init__(self, kernel: Kernel, store: RevisionStore) -> None:
        self.store = store
        self.revision = store.revision
        self._wakeup = Wakeup(kernel, self._ring)
        self._listener = store.on_change(self._wakeup.set)
        store.before_compact(self.collect)  # a watcher that is in step loses nothing to a compaction in the same instant
        self._groups: dict[tuple[bytes, bytes | None, bool, bool], Group] = {}
        self._bounds: list[bytes] = []  # the ends of all ranges, sorted
        self._covers: list[list[Group]] = [[]]  # _covers[i]: the groups that cover the keys from _bounds[i - 1] up to _bounds[i]
        self._touched: dict[Group, None] = {}  # with changes that their watchers have not been told of
        self._starting: list[Watcher] = []  # new ones that start in the past

    def watch(
        self,
        key: bytes,
        range_end: bytes | None = None,
        start_revision: int = 0,
        on_ready: Callable[[], object] = lambda: None,
        puts: bool = True,
        deletes: bool = True,
    ) -> Watcher:
        """Watch a range, spelled as in the store's ``range``, from ``start_revision`` on (0: the next), for puts, deletes or both.

        ``on_ready()`` is called from the agenda once there may be something to ``take``, and again only after a take. A new range costs
        O(ranges + their overlaps) at the next change. Raises KeyNotProvided, WatchRangeEmpty, Compacted.
        """
        if not key:
            raise KeyNotProvided
        if range_end is not None and range_end != FROM_KEY and key >= range_end:
            raise WatchRangeEmpty
        if start_revision < 0 or 0 < start_revision < self.store.compact_revision:
            raise Compacted(start_revision, self.store.compact_revision)
        self.collect()
        # One key is the range up to its successor.
        group = self._join(key, key + b"\0" if range_end is None else None if range_end == FROM_KEY else range_end, puts, deletes)
        self._listener.arm()
        watcher = Watcher(self, group, start_revision - 1 if start_revision else self.revision, on_ready)
        if watcher.revision < self.revision:
            self._starting.append(watcher)
            self._wakeup.set()
        else:
            watcher.take()
        return watcher

    def collect(self) -> None:
        """Read what the store has written into the groups, and tell nobody."""
        if self.revision == self.store.revision:
            return
        if not self._groups:
            # Nobody listens, and the store rings no more; ``watch`` arms the bell again.
            self.revision = self.store.revision
            return
        changes = self.store.changes(self.revision)
        self.revision = self.store.revision
        self._listener.arm()
        if not self._bounds and self._groups:
            self._map_ranges()
        bounds, covers, touched = self._bounds, self._covers, self._touched
        for change in changes:
            for group in covers[bisect_right(bounds, change.key)]:
                if group.deletes if change.is_delete else group.puts:
                    group.recent.append(change)
                    touched[group] = None

    def leave(self, group: Group) -> None:
        """Take one watcher out of a group; the last one ends it."""
        group.watcher_count -= 1
        if not group.watcher_count:
            del self._groups[group.key, group.stop, group.puts, group.deletes]
            self._forget_map()

    def _join(self, key: bytes, stop: bytes | None, puts: bool, deletes: bool) -> Group:
        name = (key, stop, puts, deletes)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(key, stop, puts, deletes)
            self._forget_map()
        group.watcher_count += 1
        return group

    def _forget_map(self) -> None:
        self._bounds = []
        self._covers = [[]]

    def _map_ranges(self) -> None:
        """Sweep over the ends of all ranges and note which groups cover the keys after each."""
        ends: dict[bytes, tuple[list[Group], list[Group]]] = {}
        for group in self._groups.values():
            ends.setdefault(group.key, ([], []))[0].append(group)
            if group.stop is not None:
                ends.setdefault(group.stop, ([], []))[1].append(group)
        open_groups: dict[Group, None] = {}
        self._bounds = sorted(ends)
        for bound in self._bounds:
            starting, stopping = ends[bound]
            for group in stopping:
                del open_groups[group]
            open_groups.update(dict.fromkeys(starting))
            self._covers.append(list(open_groups))

    def _ring(self) -> None:
        self.collect()
        touched, self._touched = self._touched, {}
        starting, self._starting = self._starting, []
        for watcher in starting:
            if not watcher.is_armed:  # else it has taken its history already, and its group tells it of more
                watcher.tell()
        for group in touched:
            group.ring()
