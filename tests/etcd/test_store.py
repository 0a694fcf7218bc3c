"""The store's semantics as tables: revisions, generations, ranges, compaction, listeners, memory."""

import gc
import weakref

import pytest

from kubesim._core.revision_store import Compacted, FutureRevision, KeyValue, RevisionStore


def written(*steps: tuple) -> RevisionStore:
    """A store after ``steps``: (key,) deletes, (key, value) puts; the first one makes revision 2."""
    store = RevisionStore()
    for step in steps:
        assert (store.put(*step) if len(step) == 2 else store.delete(*step)) or len(step) == 1
    store.check()
    return store


def shape(record: KeyValue | None) -> tuple | None:
    return record and (record.value, record.create_revision, record.mod_revision, record.version)


# One key through three generations: 2 put, 3 put, 4 delete, 5 (another key), 6 put, 7 delete, 8 put.
GENERATIONS = ((b"k", "a"), (b"k", "b"), (b"k",), (b"x", 0), (b"k", "c"), (b"k",), (b"k", "d"))


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        (0, ("d", 8, 8, 1)),
        (-1, ("d", 8, 8, 1)),
        (1, None),
        (2, ("a", 2, 2, 1)),
        (3, ("b", 2, 3, 2)),
        (4, None),
        (5, None),
        (6, ("c", 6, 6, 1)),
        (7, None),
        (8, ("d", 8, 8, 1)),
    ],
)
def test_a_read_finds_the_generation_that_covers_the_revision(revision: int, expected) -> None:
    store = written(*GENERATIONS)
    assert shape(store.get(b"k", revision)) == expected
    assert [shape(record) for record in store.range(b"k", b"l", revision).kvs] == ([expected] if expected else [])
    assert store.range(b"k", b"l", revision, count_only=True).count == bool(expected)


@pytest.mark.parametrize(
    ("compacted", "log"),
    [
        (1, [2, 3, 4, 5, 6, 7, 8]),
        (3, [3, 4, 5, 6, 7, 8]),
        (4, [4, 5, 6, 7, 8]),  # a delete at exactly the revision stays: a watch from it must see it
        (5, [5, 6, 7, 8]),
        (7, [7, 8]),
        (8, [8]),
    ],
)
def test_what_compaction_keeps(compacted: int, log) -> None:
    store = written(*GENERATIONS)
    before = {revision: shape(store.get(b"k", revision)) for revision in range(2, 9)}
    store.compact(compacted)
    store.check()
    assert [change.revision for change in store.changes(compacted - 1)] == log
    for revision in range(2, 9):
        if revision >= compacted:
            assert shape(store.get(b"k", revision)) == before[revision]
        else:
            with pytest.raises(Compacted):
                store.get(b"k", revision)
    first = store.changes(compacted - 1)[0]
    assert first.previous is None, "what the first revision replaced is gone"
    assert len(store) == 2


def test_a_deleted_key_vanishes_with_the_compaction_after_its_delete() -> None:
    store = written((b"a", 1), (b"a",), (b"b", 1))
    store.compact(3)
    assert [change.is_delete for change in store.changes(2)] == [True, False]
    store.compact(4)
    store.check()
    assert [change.key for change in store.changes(3)] == [b"b"]
    assert store.put(b"a", 2) == 5
    assert shape(store.get(b"a")) == (2, 5, 5, 1)


@pytest.mark.parametrize(
    ("name", "compacted", "asked", "error", "message"),
    [
        ("zero passes once", None, 0, None, ""),
        ("zero not twice", 0, 0, Compacted, "revision 0 has been compacted: the compaction revision is 0"),
        ("the same twice", 3, 3, Compacted, "revision 3 has been compacted: the compaction revision is 3"),
        ("below", 3, 2, Compacted, "revision 2 has been compacted: the compaction revision is 3"),
        ("the head", 2, 4, None, ""),
        ("above the head", None, 5, FutureRevision, "revision 5 is in the future: the head revision is 4"),
    ],
)
def test_which_compactions_are_refused(name: str, compacted, asked: int, error, message: str) -> None:
    store = written((b"a", 1), (b"a", 2), (b"a", 3))
    if compacted is not None:
        store.compact(compacted)
    if error is None:
        store.compact(asked)
        assert store.compact_revision == asked, name
        return
    with pytest.raises(error) as caught:
        store.compact(asked)
    assert str(caught.value) == message, name


def test_a_fresh_store() -> None:
    store = RevisionStore()
    assert (store.revision, store.compact_revision, len(store), store.changes(0)) == (1, -1, 0, [])
    assert (store.range(b"\0", b"\0").count, store.get(b"a"), store.delete(b"a")) == (0, None, 0)
    store.check()


@pytest.mark.parametrize(
    ("name", "range_", "expected"),
    [
        ("one key", (b"b",), [b"b"]),
        ("a missing key", (b"bb",), []),
        ("half open", (b"a", b"c"), [b"a", b"b", b"b\0"]),
        ("end before start", (b"c", b"a"), []),
        ("end at start", (b"b", b"b"), []),
        ("from key", (b"b\0", b"\0"), [b"b\0", b"c", b"\xff"]),
        ("everything", (b"\0", b"\0"), [b"a", b"b", b"b\0", b"c", b"\xff"]),
        ("empty end", (b"a", b""), []),
    ],
)
def test_ranges(name: str, range_, expected) -> None:
    store = written(*((key, 0) for key in (b"c", b"\xff", b"a", b"b\0", b"b")))
    assert [record.key for record in store.range(*range_).kvs] == expected, name
    assert store.range(*range_, count_only=True).count == len(expected), name


@pytest.mark.parametrize(
    ("limit", "keys", "more"), [(0, 3, False), (-1, 3, False), (1, 1, True), (2, 2, True), (3, 3, False), (4, 3, False)]
)
@pytest.mark.parametrize("revision", [0, 4])
def test_the_count_ignores_the_limit(revision: int, limit: int, keys: int, more: bool) -> None:
    store = written((b"a", 1), (b"b", 1), (b"c", 1))
    if revision:
        for key in (b"a", b"bb", b"d"):
            store.put(key, 2)
        store.delete(b"b")
        store.delete(b"bb")
    result = store.range(b"\0", b"\0", revision, limit)
    assert (len(result.kvs), result.count, result.more, result.revision) == (keys, 3, more, store.revision)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("put", lambda store: store.put(b"", 1)),
        ("put_if", lambda store: store.put_if(b"", 1, 0)),
        ("range", lambda store: store.range(b"", b"\0")),
        ("commit without begin", lambda store: store.commit()),
        ("begin twice", lambda store: (store.begin(), store.begin())),
        ("compact in a transaction", lambda store: (store.begin(), store.compact(1))),
    ],
)
def test_bad_calls(name: str, call) -> None:
    store = RevisionStore()
    with pytest.raises(ValueError, match=r"\w+ \w+ \w+"):
        call(store)
    assert (store.revision, len(store)) == (1, 0), name


def test_a_transaction_is_one_revision() -> None:
    store = written((b"a", 1), (b"b", 1))
    calls = []
    store.on_change(lambda: calls.append(store.revision))
    store.begin()
    assert store.delete_range(b"a", b"\0").deleted == 2
    assert (store.put(b"a", 2), store.put(b"c", 3)) == (4, 4)
    assert [record.key for record in store.range(b"\0", b"\0").kvs] == [b"a", b"c"], "a read inside sees the writes"
    assert [record.key for record in store.range(b"\0", b"\0", 3).kvs] == [b"a", b"b"], "a read at the revision before does not"
    assert (store.revision, store.changes(3), calls) == (3, [], [])
    assert (store.commit(), store.revision, calls) == (4, 4, [4])
    assert [(change.key, change.sub, change.is_delete) for change in store.changes(3)] == [
        (b"a", 0, True),
        (b"b", 1, True),
        (b"a", 2, False),
        (b"c", 3, False),
    ]
    assert shape(store.get(b"a")) == (2, 4, 4, 1)
    store.begin()
    assert store.commit() == 4, "a transaction that writes nothing makes no revision"


def test_listeners_are_called_once_until_armed_again() -> None:
    store = RevisionStore()
    calls: list[str] = []
    first, second = store.on_change(lambda: calls.append("first")), store.on_change(lambda: calls.append("second"))
    store.put(b"a", 1)
    store.put(b"a", 2)
    assert calls == ["first", "second"]
    second.arm()
    second.arm()
    store.put(b"a", 3)
    assert calls == ["first", "second", "second"]
    first.arm()
    first.close()
    first.arm()
    store.delete(b"a")
    assert (len(calls), first.is_armed) == (3, False)


def test_a_key_value_is_read_only() -> None:
    record = written((b"a", 1)).get(b"a")
    for name in ("key", "value", "version", "previous"):
        with pytest.raises(AttributeError):
            setattr(record, name, None)
    with pytest.raises(TypeError):
        KeyValue()


def test_many_keys_through_splits_and_merges() -> None:
    """20,000 keys in a scattered order, most of them deleted and compacted, and put again."""
    store, names = RevisionStore(), [b"/registry/pods/ns-%d/web-%05d" % (i % 7, i * 7919 % 20_000) for i in range(20_000)]
    for name in names:
        store.put(name, name)
    store.check()
    assert [record.key for record in store.range(b"\0", b"\0").kvs] == sorted(names)
    kept = sorted(names[::50])
    for index, name in enumerate(names):
        if index % 50:
            store.delete(name)
    store.check()
    assert store.range(b"\0", b"\0", count_only=True).count == len(kept)
    store.compact(store.revision)
    store.compact(store.put(b"z", 0))
    store.check()
    assert [record.key for record in store.range(b"\0", b"z").kvs] == kept
    for name in names:
        store.put(name, name)
    store.check()
    assert store.range(b"/registry/pods/ns-3/", b"/registry/pods/ns-30").count == sum(b"/ns-3/" in name for name in names)


def test_a_long_history_is_read_by_skipping_and_freed_without_recursion() -> None:
    store = RevisionStore()
    for i in range(200_000):
        store.put(b"k", i)
    assert [store.get(b"k", revision).value for revision in (2, 3, 1000, 100_001, 200_001)] == [0, 1, 998, 99_999, 199_999]
    head = store.get(b"k")
    del store
    gc.collect()
    assert head.previous.value == 199_998
    del head


class Node:
    """A value that can be in a cycle and be watched."""

    def wake(self) -> None:
        """Hold on to this object from a listener."""


@pytest.mark.parametrize("compacts", [False, True])
def test_a_cycle_through_the_store_is_collected(compacts: bool) -> None:
    store, node = RevisionStore(), Node()
    node.store = store
    for i in range(5):
        store.put(b"k", node if i == 2 else {"i": i})
    if compacts:
        store.compact(4)
    store.on_change(node.wake)
    alive = weakref.ref(node)
    del store, node
    gc.collect()
    assert alive() is None


def test_compaction_frees_values() -> None:
    store, nodes = RevisionStore(), [Node() for _ in range(5)]
    alive = [weakref.ref(node) for node in nodes]
    for node in nodes:
        store.put(b"k", node)
    del nodes, node
    store.compact(5)
    gc.disable()
    try:
        assert [ref() is not None for ref in alive] == [False, False, False, True, True], "freed at once, without a collection"
    finally:
        gc.enable()


def test_records_of_bytes_do_not_burden_the_collector() -> None:
    store = written((b"a", b"one"), (b"a", b"two"), (b"b", {"three": 3}), (b"b", b"four"))
    assert [gc.is_tracked(store.get(key, revision)) for key, revision in ((b"a", 2), (b"a", 3), (b"b", 4), (b"b", 5))] == [
        False,
        False,
        True,
        True,
    ]
