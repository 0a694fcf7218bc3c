"""Random histories: the store against its plain twin, with every invariant checked after every step."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kubesim._core.revision_store import Compacted, FutureRevision, RevisionStore
from tests.etcd.plain_store import Plain, PlainStore

# Few short keys, so that histories meet; long shared prefixes and zero bytes, where an ordered index goes wrong.
KEYS = st.one_of(
    st.sampled_from([b"a", b"b", b"ab", b"a\0", b"a\0\0", b"\0", b"\xff", b"\xff\xff"]),
    st.binary(min_size=1, max_size=3),
    st.integers(0, 40).map(lambda n: b"/registry/pods/default/web-%04d" % n),
    st.integers(0, 40).map(lambda n: b"/registry/pods/default/web-0000-0000-%d" % n),
)
ENDS = st.one_of(st.none(), st.just(b"\0"), KEYS)
LEASES = st.sampled_from([0, 0, 0, 7, -1])


def plain(record) -> Plain | None:
    if record is None:
        return None
    return Plain(record.key, record.value, record.revision, record.sub, record.create_revision, record.version, record.lease)


class StoreMachine(RuleBasedStateMachine):
    """Every method of the store; a revision is drawn around those that matter (compacted, head)."""

    def __init__(self) -> None:
        super().__init__()
        self.store = RevisionStore()
        self.twin = PlainStore()
        self.value = 0
        self.woken = 0

    @initialize()
    def listen(self) -> None:
        self.listener = self.store.on_change(self._wake)
        self.cursor = 1

    def _wake(self) -> None:
        self.woken += 1

    def same(self, ours, theirs):
        """Run both; both answer or both raise the same error."""
        try:
            expected = theirs()
        except (Compacted, FutureRevision) as error:
            with pytest.raises(type(error)) as caught:
                ours()
            assert vars(error) == vars(caught.value)
            return None
        return expected, ours()

    @rule(key=KEYS, lease=LEASES)
    def put(self, key, lease) -> None:
        self.value += 1
        assert self.twin.put(key, self.value, lease) == self.store.put(key, self.value, lease)

    @rule(key=KEYS, stale=st.booleans(), lease=LEASES)
    def put_if(self, key, stale, lease) -> None:
        record = self.store.get(key)
        expected_revision = (record.mod_revision if record else 0) + stale
        self.value += 1
        assert self.twin.put_if(key, self.value, expected_revision, lease) == self.store.put_if(key, self.value, expected_revision, lease)

    @rule(key=KEYS, stale=st.booleans())
    def delete_if(self, key, stale) -> None:
        record = self.store.get(key)
        expected_revision = (record.mod_revision if record else 0) + stale
        assert self.twin.delete_if(key, expected_revision) == self.store.delete_if(key, expected_revision)

    @rule(key=KEYS, range_end=ENDS)
    def delete_range(self, key, range_end) -> None:
        revision, previous = self.twin.delete_range(key, range_end)
        result = self.store.delete_range(key, range_end)
        assert (revision, len(previous), previous) == (result.revision, result.deleted, [plain(record) for record in result.previous])

    @rule(key=KEYS, count=st.integers(1, 300))
    def put_many(self, key, count) -> None:
        """Enough keys below one prefix to split leaves."""
        for i in range(count):
            name = key + b"%03d" % (i * 7919 % 1000)
            assert self.twin.put(name, i) == self.store.put(name, i)

    @precondition(lambda self: self.twin.open is None)
    @rule()
    def begin(self) -> None:
        self.twin.begin()
        self.store.begin()

    @precondition(lambda self: self.twin.open is not None)
    @rule()
    def commit(self) -> None:
        assert self.twin.commit() == self.store.commit()

    @rule(key=KEYS, range_end=ENDS, back=st.integers(-1, 12), limit=st.integers(-1, 5), from_compaction=st.booleans())
    def range(self, key, range_end, back, limit, from_compaction) -> None:
        revision = self.twin.compact_revision + back - 1 if from_compaction else self.twin.revision - back
        question = (key, range_end, revision, limit)
        both = self.same(lambda: self.store.range(*question), lambda: self.twin.range(*question))
        if both:
            (kvs, count, more), result = both
            assert (kvs, count, more) == ([plain(record) for record in result.kvs], result.count, result.more)
            counted = self.store.range(*question, count_only=True)
            assert ([], count, False) == (counted.kvs, counted.count, counted.more)
            assert result.revision == self.twin.revision + bool(self.twin.open)

    @rule(key=KEYS, back=st.integers(-1, 12))
    def get(self, key, back) -> None:
        revision = max(self.twin.revision - back, 0)
        both = self.same(lambda: self.store.get(key, revision), lambda: self.twin.range(key, None, revision, 0)[0])
        if both:
            assert both[0] == ([] if both[1] is None else [plain(both[1])])

    @precondition(lambda self: self.twin.open is None)
    @rule(back=st.integers(-1, 12))
    def compact(self, back) -> None:
        revision = self.twin.revision - back
        self.same(lambda: self.store.compact(revision), lambda: self.twin.compact(revision))

    @rule(back=st.integers(-1, 12), limit=st.integers(0, 5))
    def changes(self, back, limit) -> None:
        after = self.twin.revision - back
        both = self.same(lambda: self.store.changes(after), lambda: self.twin.changes(after))
        if both:
            expected, changes = both
            assert expected == [plain(change) for change in changes]
            assert [self.twin.previous(change) for change in expected] == [plain(change.previous) for change in changes]
            some = self.store.changes(after, limit)
            assert changes[: len(some)] == some
            if limit and len(some) < len(changes):
                assert len(some) >= limit and some[-1].revision < changes[len(some)].revision
                assert sum(change.revision < some[-1].revision for change in some) < limit

    @rule()
    def drain(self) -> None:
        """A watcher: woken at most once since it armed, and only if there is something."""
        assert self.woken == (self.twin.revision > self.cursor)
        both = self.same(lambda: self.store.changes(self.cursor), lambda: self.twin.changes(self.cursor))
        if both:
            assert both[0] == [plain(change) for change in both[1]]
        self.cursor = self.twin.revision
        self.woken = 0
        self.listener.arm()

    @precondition(lambda self: self.twin.open is None)
    @rule()
    def dump_and_load(self) -> None:
        """A store filled with the dump of another goes on as that one would."""
        self.drain()
        other = RevisionStore()
        other.load(self.store.dump(), self.store.revision, self.store.compact_revision)
        self.listener.close()
        self.store = other
        self.listener = other.on_change(self._wake)

    @invariant()
    def holds(self) -> None:
        self.store.check()
        assert (self.twin.revision, self.twin.compact_revision) == (self.store.revision, self.store.compact_revision)
        assert len(self.twin.state()) == len(self.store)


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestStore = StoreMachine.TestCase
