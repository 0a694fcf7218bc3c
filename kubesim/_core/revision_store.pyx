"""Every revision of every key, and the log of changes: the multi-version store that etcd's semantics stand on.

Keys are non-empty bytes, values any Python object, never looked into. One write is one record, and that one immutable record is
all there is: the key-value that ``get`` and ``range`` answer with, the change that a watcher reads from the log, and the link to the
record before of the same key. So a read allocates nothing, and an event costs a reference, however many watchers read it.

- ``KeyIndex`` gives each key a slot, by hash and in order; ``heads[slot]`` is the newest record of the key.
- ``log`` is the records in (revision, sub) order; a watch cursor is a place in it.
- A read at an old revision walks back from the head over ``older`` and ``skip``. The skip links are those of Myers' "An applicative
  random-access stack" (1983): one per record, chosen so that any record is found in O(log n) steps.
- Compaction cuts ``older`` at the records that stay and drops the log before; freed is what nobody else holds.

Upstream: etcd ``server/storage/mvcc`` (index.go, key_index.go, kvstore.go). Not here: leases, compares, sort orders, encodings, hashes.

Garbage collection: every reference to a record or value is held by a Python list or a record's field, which the collector traverses;
``KeyIndex`` owns only bytes, which are in no cycle. A record whose value cannot be in a cycle (bytes) is untracked, as CPython does
with tuples. A chain of records can be long: the trashcan keeps freeing it from recursing.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t

from kubesim._core.key_index cimport Cursor, KeyIndex, Leaf


cdef extern from "Python.h":
    bint has_collector "PyObject_IS_GC"(object) noexcept
    bint is_tracked "PyObject_GC_IsTracked"(object) noexcept
    void untrack "PyObject_GC_UnTrack"(PyObject*) noexcept


class Compacted(Exception):
    """A read or watch below the compaction revision, or a compaction at or below it. ``compact_revision`` is that revision."""

    def __init__(self, revision, compact_revision):
        super().__init__(f"revision {revision} has been compacted: the compaction revision is {compact_revision}")
        self.revision = revision
        self.compact_revision = compact_revision


class FutureRevision(Exception):
    """A read or compaction above the head. ``head_revision`` is the head."""

    def __init__(self, revision, head_revision):
        super().__init__(f"revision {revision} is in the future: the head revision is {head_revision}")
        self.revision = revision
        self.head_revision = head_revision


@cython.final
@cython.auto_pickle(False)
@cython.trashcan(True)
cdef class KeyValue:
    """One revision of one key, read-only. As a change in the log it is a put, or, with version 0, a delete."""

    def __init__(self):
        raise TypeError("a KeyValue is made by a store")

    @property
    def revision(self):
        """The revision of this change; ``mod_revision`` by its name in a log."""
        return self.mod_revision

    @property
    def is_delete(self):
        """True when this change deleted the key: ``value`` is None, ``version``, ``create_revision`` and ``lease`` are 0."""
        return self.version == 0

    @property
    def previous(self):
        """The key-value that this change replaced; None for a creation, and once compaction has dropped it."""
        return None if self.older is None or self.older.version == 0 else self.older

    def __repr__(self):
        if self.version == 0:
            return f"<{self.key!r} deleted at {self.mod_revision}.{self.sub}>"
        return f"<{self.key!r} version {self.version} at {self.mod_revision}.{self.sub}>"


def record_of(
    bytes key not None, object value, int64_t create_revision, int64_t mod_revision, int64_t version, int64_t lease, int64_t sub
):
    """Return a record as it was dumped, for ``RevisionStore.load``: one that came from a file or over the network."""
    cdef KeyValue record = KeyValue.__new__(KeyValue)
    record.key = key
    record.value = value
    record.create_revision = create_revision
    record.mod_revision = mod_revision
    record.version = version
    record.lease = lease
    record.sub = sub
    return record


@cython.final
@cython.auto_pickle(False)
cdef class RangeResult:
    """What a range found: ``kvs`` in key order, ``count`` of all in the range, ``more`` if the limit cut, the head ``revision``."""

    def __repr__(self):
        return f"<RangeResult {len(self.kvs)} of {self.count} at {self.revision}>"


@cython.final
@cython.auto_pickle(False)
cdef class DeleteResult:
    """What a delete did: the ``revision`` after it, how many keys it ``deleted``, and their ``previous`` key-values in key order."""

    def __repr__(self):
        return f"<DeleteResult {self.deleted} at {self.revision}>"


@cython.final
@cython.auto_pickle(False)
cdef class Listener:
    """Calls its function once at the next write, then sleeps until armed again."""

    def arm(self):
        """Call the function at the next write. Does nothing when armed already."""
        if not self.is_armed and self.store is not None:
            self.is_armed = True
            self.store.armed.append(self)

    def close(self):
        """Call nothing any more."""
        if self.is_armed:
            self.is_armed = False
            self.store.armed.remove(self)
        self.store = None


@cython.final
@cython.auto_pickle(False)
cdef class RevisionStore:
    """A multi-version store of bytes keys. Fresh: revision 1, nothing stored, compacted below -1.

    >>> store = RevisionStore()
    >>> store.put(b"a", "one"), store.put(b"a", "two")
    (2, 3)
    >>> store.get(b"a").value, store.get(b"a", revision=2).value
    ('two', 'one')
    >>> [(change.key, change.revision) for change in store.changes(2)]
    [(b'a', 3)]
    """

    def __cinit__(self):
        self.index = KeyIndex()
        self.heads = []
        self.log = []
        self.armed = []
        self.compact_listeners = []
        self.log_start = 0
        self.revision = 1
        self.compact_revision = -1
        self.is_open = False
        self.sub = 0

    def __len__(self):
        """The number of keys at the head. O(1) per 256 keys."""
        return self.index.live_between(self.index.seek(b"", 0), self.index.end())

    # -- reads ----------------------------------------------------------------------------------------------------------------

    def get(self, bytes key not None, int64_t revision=0):
        """Return the key-value of ``key`` at ``revision`` (0: now), or None. O(1) now, O(log n) of the key's n records before.

        Raises Compacted, FutureRevision.
        """
        cdef KeyValue record
        revision = self.readable(revision)
        record = self.head(key)
        if revision:
            record = self.at_revision(record, revision)
        return None if record is None or record.version == 0 else record

    def range(self, bytes key not None, bytes range_end=None, int64_t revision=0, Py_ssize_t limit=0, bint count_only=False):
        """Return the keys from ``key`` up to, without, ``range_end``, at ``revision`` (0 or less: now), in order.

        ``range_end`` None is the one key, ``b"\\0"`` all keys from ``key`` on. ``limit`` 0 or less is no limit. ``count`` ignores the
        limit; it is read from the index, without a walk, at the head, and at an old revision corrected by the changes since.
        O(log n + keys returned). Raises Compacted, FutureRevision, ValueError for an empty key.
        """
        cdef RangeResult result = RangeResult.__new__(RangeResult)
        cdef Cursor start, stop
        cdef KeyValue record
        revision = self.readable(revision)
        result.revision = self.revision + (self.is_open and self.sub > 0)
        if range_end is None:
            record = self.get(key, revision)
            result.kvs = [] if record is None or count_only else [record]
            result.count = 0 if record is None else 1
            return result
        self.bounds(key, range_end, &start, &stop)
        if revision:
            result.kvs = [] if count_only else self.collect_old(start, stop, limit, revision)
            if limit <= 0 and not count_only:
                result.count = PyList_GET_SIZE(result.kvs)
            else:
                result.count = self.count_old(start, stop, key, range_end, revision)
        else:
            result.kvs = [] if count_only else self.collect_head(start, stop, limit)
            result.count = self.index.live_between(start, stop)
        result.more = not count_only and result.count > PyList_GET_SIZE(result.kvs)
        return result

    def changes(self, int64_t after_revision, Py_ssize_t limit=0):
        """Return the changes after a revision in (revision, sub) order: whole revisions, so the last may exceed ``limit`` (0: none).

        What an open transaction has written is not in it yet. O(log of what is behind + changes returned). Raises Compacted when
        changes after the revision are gone.
        """
        if after_revision + 1 < self.compact_revision:
            raise Compacted(after_revision + 1, self.compact_revision)
        cdef Py_ssize_t start = self.place_after(after_revision), size = PyList_GET_SIZE(self.log) - self.sub, stop = size
        if limit > 0 and stop - start > limit:
            stop = start + limit
            while stop < size and (<KeyValue> PyList_GET_ITEM(self.log, stop)).sub > 0:
                stop += 1
        return self.log[start:stop]

    # -- writes ---------------------------------------------------------------------------------------------------------------

    def put(self, bytes key not None, object value, int64_t lease=0):
        """Store ``value`` under ``key`` and return the revision. Also an equal value makes a revision. Raises ValueError for an empty key."""
        return self.write(self.index.find(key), key, value, lease, False)

    def put_if(self, bytes key not None, object value, int64_t mod_revision, int64_t lease=0):
        """Store ``value`` if the key's mod revision is ``mod_revision`` (0: it does not exist). Return the revision, 0 when it is not."""
        cdef Py_ssize_t slot = self.index.find(key)
        cdef KeyValue record
        cdef int64_t found = 0
        if slot >= 0:
            record = <KeyValue> PyList_GET_ITEM(self.heads, slot)
            found = record.mod_revision if record.version else 0
        if found != mod_revision:
            return 0
        return self.write(slot, key, value, lease, False)

    def delete(self, bytes key not None):
        """Delete one key and return the revision; 0 when it does not exist."""
        cdef Py_ssize_t slot = self.index.find(key)
        if slot < 0 or not self.index.live[slot]:
            return 0
        return self.write(slot, key, None, 0, True)

    def delete_if(self, bytes key not None, int64_t mod_revision):
        """Delete the key if its mod revision is ``mod_revision``. Return the revision, 0 when it is not or the key does not exist."""
        cdef Py_ssize_t slot = self.index.find(key)
        cdef KeyValue record
        if slot < 0:
            return 0
        record = <KeyValue> PyList_GET_ITEM(self.heads, slot)
        if record.version == 0 or record.mod_revision != mod_revision:
            return 0
        return self.write(slot, key, None, 0, True)

    def delete_range(self, bytes key not None, bytes range_end=None):
        """Delete the keys of the range (as in ``range``) as one revision. O(log n per key)."""
        cdef DeleteResult result = DeleteResult.__new__(DeleteResult)
        cdef bint was_open = self.is_open
        cdef KeyValue record
        result.previous = self.range(key, range_end).kvs
        result.deleted = PyList_GET_SIZE(result.previous)
        self.is_open = True
        for record in result.previous:
            self.write(self.index.find(record.key), record.key, None, 0, True)
        self.is_open = was_open
        result.revision = self.revision + (self.sub > 0) if was_open else self.commit_now()
        return result

    def begin(self):
        """Make all writes until ``commit`` one revision. Raises ValueError when begun already."""
        if self.is_open:
            raise ValueError("a transaction is open: commit it before the next one begins")
        self.is_open = True

    def commit(self):
        """End what ``begin`` began and return the revision: a new one if anything was written. Raises ValueError without ``begin``."""
        if not self.is_open:
            raise ValueError("no transaction is open: begin one before the commit")
        self.is_open = False
        return self.commit_now()

    def compact(self, int64_t revision):
        """Forget what only reads below ``revision`` need. O(changes forgotten).

        What stays: per key the newest record at or below ``revision``, if it is not a delete below it, and everything after; in the
        log everything from ``revision`` on, so that a watch from there still sees it. Raises Compacted, FutureRevision, and
        ValueError inside a transaction.
        """
        if self.is_open:
            raise ValueError("a transaction is open: commit it before compacting")
        if revision <= self.compact_revision:
            raise Compacted(revision, self.compact_revision)
        if revision > self.revision:
            raise FutureRevision(revision, self.revision)
        cdef Py_ssize_t dropped = self.place_after(revision - 1), i, slot
        cdef KeyValue record
        for function in self.compact_listeners:
            function()
        self.compact_revision = revision
        for i in range(self.place_after(revision)):
            # Oldest first: what a record replaced has been cut before, so freeing it frees one record, not a chain.
            record = <KeyValue> PyList_GET_ITEM(self.log, i)
            record.older = None
            if record.version == 0 and i < dropped:
                slot = self.index.find(record.key)
                if slot >= 0 and self.heads[slot] is record:
                    self.heads[slot] = None
                    self.index.remove(slot)
        del self.log[:dropped]
        self.log_start += dropped

    # -- listeners ------------------------------------------------------------------------------------------------------------

    def on_change(self, function):
        """Call ``function()`` once, at the end of the next write; its answer is a Listener, armed: ``arm()`` it again after draining."""
        cdef Listener listener = Listener.__new__(Listener)
        listener.store = self
        listener.function = function
        listener.is_armed = False
        listener.arm()
        return listener

    def before_compact(self, function):
        """Call ``function()`` before each compaction, for readers of the log that have changes to drain. It must not write."""
        self.compact_listeners.append(function)

    cdef int notify(self) except -1:
        cdef list armed = self.armed
        cdef Listener listener
        self.armed = []
        for listener in armed:
            listener.is_armed = False
        for listener in armed:
            if listener.store is not None:
                listener.function()
        return 0

    # -- inside ---------------------------------------------------------------------------------------------------------------

    cdef int64_t commit_now(self) except -1:
        if self.sub:
            self.sub = 0
            self.revision += 1
            if PyList_GET_SIZE(self.armed):
                self.notify()
        return self.revision

    cdef int64_t readable(self, int64_t revision) except -1:
        """0 when the head answers a read at ``revision``, else the revision."""
        if revision <= 0:
            return 0
        if revision >= self.revision:
            if revision > self.revision:
                raise FutureRevision(revision, self.revision)
            return revision if self.sub else 0
        if revision < self.compact_revision:
            raise Compacted(revision, self.compact_revision)
        return revision

    cdef KeyValue head(self, object key):
        cdef Py_ssize_t slot = self.index.find(key)
        if slot < 0:
            return None
        return <KeyValue> PyList_GET_ITEM(self.heads, slot)

    cdef KeyValue at_revision(self, KeyValue record, int64_t revision):
        """The newest record of the chain at or below ``revision``, None when there is none. A skip that overshoots is not taken."""
        cdef KeyValue back
        while record is not None and record.mod_revision > revision:
            if record.skip >= self.log_start:
                back = <KeyValue> PyList_GET_ITEM(self.log, record.skip - self.log_start)
                if back.mod_revision > revision:
                    record = back
                    continue
            record = record.older
        return record

    cdef int64_t write(self, Py_ssize_t slot, bytes key, object value, int64_t lease, bint is_delete) except -1:
        """Append one change of ``key`` (slot -1: a key without one) and return its revision."""
        cdef KeyValue record = KeyValue.__new__(KeyValue)
        cdef KeyValue older = None
        cdef int64_t revision = self.revision + 1
        if slot < 0:
            if PyBytes_GET_SIZE(key) == 0:
                raise ValueError("the key is empty: a key has at least one byte")
            record.key = key
            record.version = 1
            record.create_revision = revision
        else:
            older = <KeyValue> PyList_GET_ITEM(self.heads, slot)
            record.key = older.key
            record.older = older
            if is_delete:
                self.index.set_live(slot, False)
            elif older.version == 0:
                record.version = 1
                record.create_revision = revision
                self.index.set_live(slot, True)
            else:
                record.version = older.version + 1
                record.create_revision = older.create_revision
        record.value = value
        record.lease = lease
        record.mod_revision = revision
        record.sub = self.sub
        record.place = self.log_start + PyList_GET_SIZE(self.log)
        self.link(record, older)
        if slot >= 0:
            self.heads[slot] = record
        else:
            slot = self.index.add(key)
            if slot == PyList_GET_SIZE(self.heads):
                self.heads.append(record)
            else:
                self.heads[slot] = record
        self.log.append(record)
        if self.is_open:
            self.sub += 1
            return revision
        self.revision = revision
        if PyList_GET_SIZE(self.armed):
            self.notify()
        return revision

    cdef int link(self, KeyValue record, KeyValue older) except -1:
        """Set the skip link: over two equal skips when the two records before have them, else one record back."""
        cdef KeyValue back
        record.skip = -1
        if older is not None:
            record.skip = older.place
            record.skip_length = 1
            if older.skip >= self.log_start:
                back = <KeyValue> PyList_GET_ITEM(self.log, older.skip - self.log_start)
                if back.skip_length == older.skip_length:
                    record.skip = back.skip
                    record.skip_length = 1 + 2 * older.skip_length
        if not has_collector(record.value) and (older is None or not is_tracked(older)):
            untrack(<PyObject*> record)
        return 0

    cdef Py_ssize_t place_after(self, int64_t revision) except -1:
        """The index in ``log`` of the first change after ``revision``. Gallops from the end: watchers are near it."""
        cdef Py_ssize_t high = PyList_GET_SIZE(self.log), low, step, middle
        if revision >= self.revision and self.sub == 0:
            return high
        step = max(self.revision - revision, 1) if revision > 0 else high
        low = high - step  # a revision has at least one change
        while low > 0 and (<KeyValue> PyList_GET_ITEM(self.log, low)).mod_revision > revision:
            high = low
            step *= 2
            low = high - step
        low = max(low, 0)
        while low < high:
            middle = (low + high) >> 1
            if (<KeyValue> PyList_GET_ITEM(self.log, middle)).mod_revision > revision:
                high = middle
            else:
                low = middle + 1
        return low

    # -- ranges ---------------------------------------------------------------------------------------------------------------

    cdef int bounds(self, object key, object range_end, Cursor* start, Cursor* stop) except -1:
        if PyBytes_GET_SIZE(key) == 0:
            raise ValueError("the key is empty: a range over everything starts at b'\\0'")
        start[0] = self.index.seek(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        if PyBytes_GET_SIZE(range_end) == 1 and PyBytes_AS_STRING(range_end)[0] == 0:
            stop[0] = self.index.end()
        else:
            stop[0] = self.index.seek(PyBytes_AS_STRING(range_end), PyBytes_GET_SIZE(range_end))
        return 0

    cdef list collect_head(self, Cursor start, Cursor stop, Py_ssize_t limit):
        """The live records between the cursors, at most ``limit``."""
        cdef KeyIndex index = self.index
        cdef list found = []
        cdef Leaf* leaf
        cdef Py_ssize_t i, last
        while start.leaf < stop.leaf or (start.leaf == stop.leaf and start.position < stop.position):
            leaf = index.leaves[start.leaf]
            last = stop.position if start.leaf == stop.leaf else leaf.count
            for i in range(start.position, last):
                if index.live[leaf.slot[i]]:
                    found.append(<object> PyList_GET_ITEM(self.heads, leaf.slot[i]))
                    if PyList_GET_SIZE(found) == limit:
                        return found
            start.leaf += 1
            start.position = 0
        return found

    cdef list collect_old(self, Cursor start, Cursor stop, Py_ssize_t limit, int64_t revision):
        """The records between the cursors that existed at ``revision``, at most ``limit``."""
        cdef KeyIndex index = self.index
        cdef list found = []
        cdef Leaf* leaf
        cdef KeyValue record
        cdef Py_ssize_t i, last
        while start.leaf < stop.leaf or (start.leaf == stop.leaf and start.position < stop.position):
            leaf = index.leaves[start.leaf]
            last = stop.position if start.leaf == stop.leaf else leaf.count
            for i in range(start.position, last):
                record = self.at_revision(<KeyValue> PyList_GET_ITEM(self.heads, leaf.slot[i]), revision)
                if record is not None and record.version:
                    found.append(record)
                    if PyList_GET_SIZE(found) == limit:
                        return found
            start.leaf += 1
            start.position = 0
        return found

    cdef Py_ssize_t count_old(self, Cursor start, Cursor stop, object key, object range_end, int64_t revision) except -1:
        """How many keys of the range existed at ``revision``: those of now, less the creations since, plus the deletes since."""
        cdef Py_ssize_t total = self.index.live_between(start, stop), i
        cdef bint to_end = (<bytes> range_end) == b"\0"
        cdef KeyValue record
        for i in range(self.place_after(revision), PyList_GET_SIZE(self.log)):
            record = <KeyValue> PyList_GET_ITEM(self.log, i)
            if record.version <= 1 and record.key >= <bytes> key and (to_end or record.key < <bytes> range_end):
                total += 1 - 2 * record.version
        return total

    # -- whole stores -----------------------------------------------------------------------------------------------------------

    def dump(self):
        """Return every record that this store holds, for ``load``: those below the log in order of keys, then the log. O(n), no copies.

        Raises ValueError inside a transaction.
        """
        cdef KeyValue record
        cdef list found = []
        if self.is_open:
            raise ValueError("a transaction is open: commit it before the dump")
        for record in self.collect_slots():
            while record.older is not None:
                record = record.older
            if record.place < self.log_start:
                found.append(record)
        found += self.log
        return found

    def load(self, list records, int64_t revision, int64_t compact_revision):
        """Fill this fresh store with the ``dump`` of another at the same ``revision`` and ``compact_revision``. O(n log n).

        Raises ValueError when something was written before.
        """
        cdef KeyValue source, record, older
        cdef Py_ssize_t slot
        if self.revision != 1 or self.is_open or self.index.key_count():
            raise ValueError("the store has contents: load fills a fresh one")
        for source in records:
            if source.mod_revision < compact_revision:
                self.log_start += 1
        for i, source in enumerate(records):
            record = KeyValue.__new__(KeyValue)
            slot = self.index.find(source.key)
            older = None if slot < 0 else <KeyValue> PyList_GET_ITEM(self.heads, slot)
            if older is None:
                slot = self.index.add(source.key)
                record.key = source.key
                if slot == PyList_GET_SIZE(self.heads):
                    self.heads.append(record)
                else:
                    self.heads[slot] = record
            else:
                record.key = older.key
                self.heads[slot] = record
                if source.mod_revision > compact_revision:
                    record.older = older
            self.index.set_live(slot, source.version > 0)
            record.value = source.value
            record.lease = source.lease
            record.mod_revision = source.mod_revision
            record.create_revision = source.create_revision
            record.version = source.version
            record.sub = source.sub
            record.place = i
            self.link(record, record.older)
            if record.place >= self.log_start:
                self.log.append(record)
        self.revision = revision
        self.compact_revision = compact_revision
        if PyList_GET_SIZE(self.armed):
            self.notify()

    cdef list collect_slots(self):
        """The heads in order of keys, deleted ones too."""
        cdef Cursor at = self.index.seek(b"", 0)
        cdef Leaf* leaf
        cdef Py_ssize_t i
        cdef list found = []
        while at.leaf < self.index.leaf_count:
            leaf = self.index.leaves[at.leaf]
            for i in range(leaf.count):
                found.append(<object> PyList_GET_ITEM(self.heads, leaf.slot[i]))
            at.leaf += 1
        return found

    def check(self):
        """Verify every invariant of the store. Raises AssertionError. O(n)."""
        self.index.check()
        self.check_log()
        cdef Py_ssize_t slot, in_chains = 0
        for slot in range(PyList_GET_SIZE(self.heads)):
            if slot >= self.index.slot_count or self.index.keys[slot] is NULL:
                assert self.heads[slot] is None, "a free slot has a record"
            else:
                in_chains += self.check_chain(slot)
        loose = sum(1 for change in self.log if change.mod_revision > self.compact_revision)
        assert in_chains == loose, f"{in_chains} records in chains, {loose} in the log"

    def check_log(self):
        """Verify the order of the log and that no revision is missing."""
        cdef KeyValue record
        before = (max(self.compact_revision - 1, 1), 0)
        for i, record in enumerate(self.log):
            here = (record.mod_revision, record.sub)
            follows = here == (before[0], before[1] + 1) or here == (before[0] + 1, 0) or (i == 0 and here == (self.compact_revision, 0))
            assert follows or (i == 0 and here == (self.compact_revision + 1, 0)), f"change {here} follows {before} in the log"
            assert record.place == self.log_start + i, f"{record!r} is at {self.log_start + i}, not at {record.place}"
            before = here
        if self.log:
            assert before[0] == self.revision + (self.sub > 0), f"the log ends at {before}, the store at {self.revision}"

    def check_chain(self, Py_ssize_t slot):
        """Verify the records of one key; return how many of them are above the compaction revision."""
        cdef KeyValue record = self.heads[slot]
        cdef KeyValue older
        count = 0
        key = <bytes> self.index.keys[slot]
        assert self.index.live[slot] == (record.version > 0), f"{key!r} is counted as live, and is deleted, or the reverse"
        while record is not None:
            older = record.older
            assert record.key == key, f"{record!r} in the chain of {key!r}"
            count += record.mod_revision > self.compact_revision
            assert record.place < self.log_start or self.log[record.place - self.log_start] is record, f"{record!r} is not in the log"
            if older is not None:
                assert (older.mod_revision, older.sub) < (record.mod_revision, record.sub), f"{older!r} before {record!r}"
                assert record.mod_revision > self.compact_revision, f"{record!r} was compacted and keeps {older!r}"
            if record.version == 0:
                assert (record.value, record.create_revision, record.lease) == (None, 0, 0), f"{record!r} has contents"
                assert older is None or older.version > 0, f"{record!r} deletes what {older!r} has deleted"
            elif record.version == 1:
                assert record.create_revision == record.mod_revision, f"{record!r} was created at {record.create_revision}"
                assert older is None or older.version == 0, f"{record!r} is new after {older!r}"
            elif older is not None:
                assert record.version == older.version + 1 and record.create_revision == older.create_revision, f"{record!r} after {older!r}"
            record = older
        return count


Change = KeyValue
