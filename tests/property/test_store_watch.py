"""Watchers over random histories: each sees exactly its changes, in order, and is told whenever there is something."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from kubesim._core.revision_store import Compacted
from kubesim.etcd.errors import WatchRangeEmpty
from kubesim.etcd.local import LocalEtcd
from kubesim.kernel.loop import Kernel
from tests.etcd.plain_store import Plain, covers

KEYS = st.sampled_from([b"a", b"a\0", b"ab", b"b", b"b/1", b"b/2", b"c", b"\xff"])


class Watched:
    """What one watcher asked for, has seen, and was told."""

    def __init__(self, key, range_end, start_revision, puts, deletes) -> None:
        self.key, self.range_end, self.puts, self.deletes = key, range_end, puts, deletes
        self.start_revision = start_revision
        self.seen: list[Plain] = []
        self.is_told = False
        self.knows_of_more = False  # the last take was cut by its limit

    def tell(self) -> None:
        assert not self.is_told, "told twice without a take"
        self.is_told = True

    def wants(self, change) -> bool:
        if change.revision < self.start_revision or not covers(self.key, self.range_end, change.key):
            return False
        return self.puts if change.version else self.deletes


class WatchMachine(RuleBasedStateMachine):
    watchers = Bundle("watchers")

    def __init__(self) -> None:
        super().__init__()
        self.kernel = Kernel()
        self.etcd = LocalEtcd(self.kernel)
        self.history: list[tuple] = []
        self.open: list[Watched] = []

    @rule(
        target=watchers,
        key=KEYS,
        range_end=st.one_of(st.none(), st.just(b"\0"), KEYS),
        ahead=st.integers(-6, 3),
        puts=st.booleans(),
        deletes=st.booleans(),
    )
    def watch(self, key, range_end, ahead, puts, deletes):
        start = max(self.etcd.store.revision + ahead, 0)
        watched = Watched(key, range_end, start or self.etcd.store.revision + 1, puts or not deletes, deletes)
        try:
            watched.watcher = self.etcd.watches.watch(key, range_end, start, watched.tell, watched.puts, watched.deletes)
        except (Compacted, WatchRangeEmpty) as error:
            assert isinstance(error, Compacted) == (0 < start < self.etcd.store.compact_revision and not self._is_empty(key, range_end))
            return multiple()
        self.open.append(watched)
        return watched

    @staticmethod
    def _is_empty(key, range_end) -> bool:
        return range_end is not None and range_end != b"\0" and key >= range_end

    @rule(keys=st.lists(KEYS, min_size=1, max_size=4), is_one=st.booleans())
    def write(self, keys, is_one) -> None:
        if is_one:
            self.etcd.store.begin()
        for i, key in enumerate(keys):
            if i % 2 and self.etcd.store.get(key):
                self.etcd.store.delete(key)
            else:
                self.etcd.store.put(key, i)
        if is_one:
            self.etcd.store.commit()
        known = self.history[-1].revision if self.history else 1
        self.history += self.etcd.store.changes(known)

    @rule(watched=watchers, limit=st.integers(0, 3))
    def take(self, watched, limit) -> None:
        watched.is_told = False
        before = watched.watcher.revision
        try:
            taken = watched.watcher.take(limit)
        except Compacted:
            assert before + 1 < self.etcd.store.compact_revision
            self.open.remove(watched)
            return
        watched.seen += taken
        watched.knows_of_more = bool(limit) and watched.watcher.is_behind
        if limit and len(taken) > limit:
            assert taken[limit - 1].revision == taken[-1].revision

    @rule(watched=consumes(watchers))
    def cancel(self, watched) -> None:
        watched.watcher.cancel()
        if watched in self.open:
            self.open.remove(watched)
        watched.is_told = True  # from here on a call is an error

    @rule()
    def run(self) -> None:
        self.kernel.drain()
        for watched in self.open:
            missing = any(watched.wants(change) and change.revision > watched.watcher.revision for change in self.history)
            assert watched.is_told or watched.knows_of_more or not missing

    @rule(back=st.integers(0, 4))
    def compact(self, back) -> None:
        if self.etcd.store.revision - back > self.etcd.store.compact_revision:
            self.etcd.store.compact(self.etcd.store.revision - back)

    @invariant()
    def sees_its_changes(self) -> None:
        for watched in self.open:
            expected = [change for change in self.history if watched.wants(change) and change.revision <= watched.watcher.revision]
            assert expected == watched.seen


WatchMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestWatch = WatchMachine.TestCase
