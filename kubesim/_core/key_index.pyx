"""The keys of a store: a small number (slot) per key, found by hash in O(1), and all keys in byte order with counts.

The order is a B+ tree of two levels: an array of leaves of up to 256 keys, and beside it arrays of their first keys and of their
counts of live keys. A million keys make some 6,000 leaves, so a search is one binary search over first keys and one inside a
leaf, and the exact count of a range is a sum over a contiguous array (0.3 ns a leaf): it never walks the keys. A third level would
cost every search a cache miss to save those sums; splitting or dropping a leaf moves the arrays behind it, once in a hundred inserts.

Inside a leaf the search does not touch the keys. The keys of one leaf are neighbours and begin with the same bytes
(``/registry/pods/default/web-``); their next eight bytes are kept in the leaf as an integer each, so the search compares integers in
one array and looks at keys only where those are equal.

A key stays in the index after its delete, as not live, because reads at old revisions still need it; ``remove`` is for
compaction. Nothing that a caller sees depends on hash values.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject_Hash
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove, memset


cdef extern from "Python.h":
    const char* text_of "PyBytes_AS_STRING"(PyObject*) noexcept nogil
    Py_ssize_t size_of "PyBytes_GET_SIZE"(PyObject*) noexcept nogil

cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t big_endian(const uint8_t *b) {  /* compilers make one load and one swap of it */
        return (uint64_t)b[0] << 56 | (uint64_t)b[1] << 48 | (uint64_t)b[2] << 40 | (uint64_t)b[3] << 32
             | (uint64_t)b[4] << 24 | (uint64_t)b[5] << 16 | (uint64_t)b[6] << 8 | (uint64_t)b[7];
    }
    """
    uint64_t big_endian(const uint8_t* eight) noexcept nogil


cdef enum:
    SLOT_MAX = 0x7FFFFFFF
    LEAF_SMALL = 64  # a quarter of LEAF_MAX; below it a leaf looks for a neighbour to join


cdef inline int compare(const char* a, Py_ssize_t a_size, const char* b, Py_ssize_t b_size) noexcept nogil:
    cdef int order = memcmp(a, b, a_size if a_size < b_size else b_size)
    if order:
        return order
    return (a_size > b_size) - (a_size < b_size)


cdef inline uint64_t fragment_at(const char* text, Py_ssize_t size, Py_ssize_t offset) noexcept nogil:
    """The eight bytes at ``offset`` as a big-endian integer, so that integers order as the bytes do."""
    cdef uint8_t part[8]
    cdef Py_ssize_t left = size - offset
    if left >= 8:
        memcpy(part, text + offset, 8)
    else:
        memset(part, 0, 8)
        if left > 0:
            memcpy(part, text + offset, left)
    return big_endian(part)


cdef inline Py_ssize_t lower_bound(const uint64_t* sorted_words, Py_ssize_t count, uint64_t word) noexcept nogil:
    """How many of the words are below ``word``."""
    cdef Py_ssize_t low = 0, half
    while count > 1:  # without branches: the processor cannot guess them
        half = count >> 1
        low += half * (sorted_words[low + half - 1] < word)
        count -= half
    return low + (count == 1 and sorted_words[low] < word)


cdef void* resized(void* block, Py_ssize_t size) except NULL:
    cdef void* moved = PyMem_Realloc(block, size)
    if moved is NULL:
        raise MemoryError
    return moved


cdef class KeyIndex:
    """Slots of keys by hash and in order. Single-threaded; keys are non-empty ``bytes`` (the owner checks)."""

    def __cinit__(self):
        self.keys = NULL
        self.live = NULL
        self.free_slots = NULL
        self.table = NULL
        self.leaves = NULL
        self.first = NULL
        self.leaf_live = NULL
        self.slot_count = self.slot_max = self.free_count = 0
        self.leaf_count = self.leaf_max = self.leaf_hint = 0
        self.table_size = 0
        self.grow_table()

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.slot_count):
            if self.keys[i] is not NULL:
                Py_DECREF(<object> self.keys[i])
        for i in range(self.leaf_count):
            PyMem_Free(self.leaves[i])
        PyMem_Free(self.keys)
        PyMem_Free(self.live)
        PyMem_Free(self.free_slots)
        PyMem_Free(self.table)
        PyMem_Free(self.leaves)
        PyMem_Free(self.first)
        PyMem_Free(self.leaf_live)

    # -- by hash: open addressing, linear probes, at most 2/3 full ------------------------------------------------------------

    cdef Py_ssize_t find(self, object key) except -2:
        """The slot of ``key``, -1 when it has none. O(1)."""
        cdef uint32_t hash = <uint32_t> PyObject_Hash(key)
        cdef Py_ssize_t mask = self.table_size - 1
        cdef Py_ssize_t at = hash & mask
        cdef Entry entry = self.table[at]
        cdef PyObject* other
        cdef Py_ssize_t size = size_of(<PyObject*> key)
        while entry.number:
            if entry.hash == hash:
                other = self.keys[entry.number - 1]
                if other == <PyObject*> key or (
                    size_of(other) == size and memcmp(text_of(other), text_of(<PyObject*> key), size) == 0
                ):
                    return entry.number - 1
            at = (at + 1) & mask
            entry = self.table[at]
        return -1

    cdef Py_ssize_t add(self, object key) except -1:
        """Give ``key``, which must be absent, a slot, live. O(log n)."""
        cdef Py_ssize_t slot
        if self.free_count == 0 and self.slot_count == self.slot_max:
            self.grow_slots()
        if 3 * (self.key_count() + 1) > 2 * self.table_size:
            self.grow_table()
        if self.leaf_count + 2 > self.leaf_max:
            self.grow_leaves()
        if self.free_count:
            self.free_count -= 1
            slot = self.free_slots[self.free_count]
        else:
            slot = self.slot_count
            self.slot_count += 1
        Py_INCREF(key)
        self.keys[slot] = <PyObject*> key
        self.live[slot] = 1
        self.table_insert(<uint32_t> PyObject_Hash(key), slot)
        self.order_insert(slot)
        return slot

    cdef void set_live(self, Py_ssize_t slot, bint live) noexcept:
        """Count the key as existing at the head, or not. O(log n)."""
        cdef PyObject* key = self.keys[slot]
        self.leaf_live[self.leaf_of(text_of(key), size_of(key))] += <int32_t> live - self.live[slot]
        self.live[slot] = live

    cdef int remove(self, Py_ssize_t slot) except -1:
        """Forget the key of ``slot``. O(log n)."""
        cdef object key = <object> self.keys[slot]
        self.order_remove(slot)
        self.table_remove(<uint32_t> PyObject_Hash(key), slot)
        self.keys[slot] = NULL
        self.live[slot] = 0
        Py_DECREF(key)
        self.free_slots[self.free_count] = <uint32_t> slot
        self.free_count += 1
        return 0

    cdef Py_ssize_t key_count(self) noexcept:
        """All keys, live or not."""
        return self.slot_count - self.free_count

    cdef void table_insert(self, uint32_t hash, Py_ssize_t slot) noexcept:
        cdef Py_ssize_t mask = self.table_size - 1
        cdef Py_ssize_t at = hash & mask
        while self.table[at].number:
            at = (at + 1) & mask
        self.table[at].hash = hash
        self.table[at].number = <uint32_t> (slot + 1)

    cdef void table_remove(self, uint32_t hash, Py_ssize_t slot) noexcept:
        """Remove the entry and move later ones of the same run back, so that no search stops short."""
        cdef Py_ssize_t mask = self.table_size - 1
        cdef Py_ssize_t hole = hash & mask
        cdef Py_ssize_t at
        while self.table[hole].number != <uint32_t> (slot + 1):
            hole = (hole + 1) & mask
        at = (hole + 1) & mask
        while self.table[at].number:
            if ((at - <Py_ssize_t> self.table[at].hash) & mask) >= ((at - hole) & mask):
                self.table[hole] = self.table[at]
                hole = at
            at = (at + 1) & mask
        self.table[hole].number = 0

    cdef int grow_table(self) except -1:
        cdef Py_ssize_t old_size = self.table_size
        cdef Py_ssize_t size = 2 * old_size if old_size else 16
        cdef Entry* old = self.table
        cdef Entry* table = <Entry*> resized(NULL, size * sizeof(Entry))
        memset(table, 0, size * sizeof(Entry))
        self.table = table
        self.table_size = size
        cdef Py_ssize_t i
        for i in range(old_size):
            if old[i].number:
                self.table_insert(old[i].hash, <Py_ssize_t> old[i].number - 1)
        PyMem_Free(old)
        return 0

    cdef int grow_slots(self) except -1:
        cdef Py_ssize_t size = self.slot_max + (self.slot_max >> 1) + 16
        if size > SLOT_MAX:
            raise MemoryError(f"a store holds at most {SLOT_MAX} keys")
        self.keys = <PyObject**> resized(self.keys, size * sizeof(PyObject*))
        self.live = <uint8_t*> resized(self.live, size)
        self.free_slots = <uint32_t*> resized(self.free_slots, size * sizeof(uint32_t))
        self.slot_max = size
        return 0

    # -- in order -------------------------------------------------------------------------------------------------------------

    cdef Cursor end(self) noexcept:
        """The place behind the last key."""
        cdef Cursor cursor
        cursor.leaf = self.leaf_count
        cursor.position = 0
        return cursor

    cdef Cursor seek(self, const char* text, Py_ssize_t size) noexcept:
        """The first key that is not below ``text``. O(log n)."""
        cdef Cursor cursor
        if self.leaf_count == 0:
            return self.end()
        cursor.leaf = self.leaf_of(text, size)
        cursor.position = self.position_in(self.leaves[cursor.leaf], text, size)
        if cursor.position == self.leaves[cursor.leaf].count:
            cursor.leaf += 1
            cursor.position = 0
        return cursor

    cdef Py_ssize_t live_between(self, Cursor start, Cursor stop) noexcept:
        """How many live keys stand from ``start`` up to, without, ``stop``. Sums the counts of leaves; walks at most two leaves."""
        cdef Py_ssize_t total = 0, i
        if start.leaf > stop.leaf or (start.leaf == stop.leaf and start.position >= stop.position):
            return 0
        if start.leaf == stop.leaf:
            return self.count_live(self.leaves[start.leaf], start.position, stop.position)
        for i in range(start.leaf, stop.leaf):
            total += self.leaf_live[i]
        if start.position:
            total -= self.count_live(self.leaves[start.leaf], 0, start.position)
        if stop.position:
            total += self.count_live(self.leaves[stop.leaf], 0, stop.position)
        return total

    cdef int32_t count_live(self, Leaf* leaf, Py_ssize_t start, Py_ssize_t stop) noexcept:
        cdef int32_t total = 0
        cdef Py_ssize_t i
        for i in range(start, stop):
            total += self.live[leaf.slot[i]]
        return total

    cdef Py_ssize_t leaf_of(self, const char* text, Py_ssize_t size) noexcept:
        """The last leaf whose first key is not above ``text``; leaf 0 when there is none. Tries the last answer first."""
        cdef Py_ssize_t low = 0, high = self.leaf_count, middle
        cdef PyObject* key
        if self.leaf_hint < high:
            key = self.first[self.leaf_hint]
            if compare(text_of(key), size_of(key), text, size) <= 0:
                low = self.leaf_hint
                if low + 1 == high:
                    return low
                key = self.first[low + 1]
                if compare(text_of(key), size_of(key), text, size) > 0:
                    return low
                low += 1
            else:
                high = self.leaf_hint
        while low < high:
            middle = (low + high) >> 1
            key = self.first[middle]
            if compare(text_of(key), size_of(key), text, size) <= 0:
                low = middle + 1
            else:
                high = middle
        self.leaf_hint = low - 1 if low else 0
        return self.leaf_hint

    cdef Py_ssize_t position_in(self, Leaf* leaf, const char* text, Py_ssize_t size) noexcept:
        """How many keys of the leaf are below ``text``."""
        cdef PyObject* key = self.keys[leaf.slot[0]]
        cdef Py_ssize_t low, high, middle
        cdef int order
        cdef uint64_t fragment
        if size < leaf.shared:
            order = memcmp(text, text_of(key), size)
            return 0 if order <= 0 else leaf.count
        order = memcmp(text, text_of(key), leaf.shared)
        if order:
            return 0 if order < 0 else leaf.count
        fragment = fragment_at(text, size, leaf.shared)
        low = lower_bound(leaf.fragment, leaf.count, fragment)
        if low == leaf.count or leaf.fragment[low] != fragment:
            return low
        high = leaf.count if fragment == <uint64_t> -1 else low + lower_bound(leaf.fragment + low, leaf.count - low, fragment + 1)
        while low < high:  # keys that agree in the fragment too
            middle = (low + high) >> 1
            key = self.keys[leaf.slot[middle]]
            if compare(text_of(key), size_of(key), text, size) < 0:
                low = middle + 1
            else:
                high = middle
        return low

    cdef int order_insert(self, Py_ssize_t slot) except -1:
        """Put a slot, whose key is set, at its place. ``add`` has made room for one more leaf."""
        cdef PyObject* key = self.keys[slot]
        cdef const char* text = text_of(key)
        cdef Py_ssize_t size = size_of(key), at, position
        cdef Leaf* leaf
        if self.leaf_count == 0:
            self.split(-1, 0)
            self.first[0] = key
        at = self.leaf_of(text, size)
        leaf = self.leaves[at]
        position = self.position_in(leaf, text, size) if leaf.count else 0
        if leaf.count == LEAF_MAX:
            # Behind the last key the new leaf starts empty: names that grow (events, sequence numbers) fill their leaves.
            self.split(at, LEAF_MAX if position == LEAF_MAX else LEAF_MAX // 2)
            if position > LEAF_MAX // 2:
                position -= leaf.count
                at += 1
                leaf = self.leaves[at]
        memmove(&leaf.slot[position + 1], &leaf.slot[position], (leaf.count - position) * sizeof(uint32_t))
        memmove(&leaf.fragment[position + 1], &leaf.fragment[position], (leaf.count - position) * sizeof(uint64_t))
        leaf.slot[position] = <uint32_t> slot
        leaf.count += 1
        self.leaf_live[at] += 1
        if position == 0:
            self.first[at] = key
        cdef PyObject* other = self.keys[leaf.slot[leaf.count - 1 if position == 0 else 0]]
        if leaf.count == 1 or size < leaf.shared or memcmp(text, text_of(other), leaf.shared) != 0:
            self.refit(leaf)
        else:
            leaf.fragment[position] = fragment_at(text, size, leaf.shared)
        return 0

    cdef int split(self, Py_ssize_t leaf_index, Py_ssize_t keep) except -1:
        """Insert a leaf behind ``leaf_index`` and move to it what is behind the first ``keep`` keys."""
        cdef Leaf* leaf = <Leaf*> PyMem_Malloc(sizeof(Leaf))
        if leaf is NULL:
            raise MemoryError
        cdef Py_ssize_t at = leaf_index + 1, behind = self.leaf_count - at
        cdef Leaf* old
        leaf.count = 0
        leaf.shared = 0
        memmove(&self.leaves[at + 1], &self.leaves[at], behind * sizeof(Leaf*))
        memmove(&self.first[at + 1], &self.first[at], behind * sizeof(PyObject*))
        memmove(&self.leaf_live[at + 1], &self.leaf_live[at], behind * sizeof(int32_t))
        self.leaves[at] = leaf
        self.leaf_live[at] = 0
        self.leaf_count += 1
        if leaf_index < 0 or keep == LEAF_MAX:
            return 0
        old = self.leaves[leaf_index]
        leaf.count = <int32_t> (old.count - keep)
        memcpy(leaf.slot, &old.slot[keep], leaf.count * sizeof(uint32_t))
        old.count = <int32_t> keep
        self.first[at] = self.keys[leaf.slot[0]]
        self.leaf_live[at] = self.count_live(leaf, 0, leaf.count)
        self.leaf_live[leaf_index] -= self.leaf_live[at]
        self.refit(leaf)
        self.refit(old)
        return 0

    cdef void order_remove(self, Py_ssize_t slot) noexcept:
        cdef PyObject* key = self.keys[slot]
        cdef Py_ssize_t at = self.leaf_of(text_of(key), size_of(key))
        cdef Leaf* leaf = self.leaves[at]
        cdef Py_ssize_t position = self.position_in(leaf, text_of(key), size_of(key))
        leaf.count -= 1
        self.leaf_live[at] -= self.live[slot]
        memmove(&leaf.slot[position], &leaf.slot[position + 1], (leaf.count - position) * sizeof(uint32_t))
        memmove(&leaf.fragment[position], &leaf.fragment[position + 1], (leaf.count - position) * sizeof(uint64_t))
        if leaf.count == 0:
            self.drop_leaf(at)
            return
        if position == 0:
            self.first[at] = self.keys[leaf.slot[0]]
        if leaf.count < LEAF_SMALL:
            self.merge_small(at)

    cdef void merge_small(self, Py_ssize_t leaf_index) noexcept:
        """Join a small leaf with a neighbour when both together leave a quarter free."""
        cdef Py_ssize_t at = leaf_index
        cdef Leaf* left
        cdef Leaf* right
        if at + 1 == self.leaf_count or self.leaves[at].count + self.leaves[at + 1].count > 3 * LEAF_SMALL:
            at -= 1
            if at < 0 or self.leaves[at].count + self.leaves[at + 1].count > 3 * LEAF_SMALL:
                return
        left = self.leaves[at]
        right = self.leaves[at + 1]
        memcpy(&left.slot[left.count], right.slot, right.count * sizeof(uint32_t))
        left.count += right.count
        self.leaf_live[at] += self.leaf_live[at + 1]
        self.drop_leaf(at + 1)
        self.refit(left)

    cdef void drop_leaf(self, Py_ssize_t leaf_index) noexcept:
        cdef Py_ssize_t behind = self.leaf_count - leaf_index - 1
        PyMem_Free(self.leaves[leaf_index])
        memmove(&self.leaves[leaf_index], &self.leaves[leaf_index + 1], behind * sizeof(Leaf*))
        memmove(&self.first[leaf_index], &self.first[leaf_index + 1], behind * sizeof(PyObject*))
        memmove(&self.leaf_live[leaf_index], &self.leaf_live[leaf_index + 1], behind * sizeof(int32_t))
        self.leaf_count -= 1

    cdef void refit(self, Leaf* leaf) noexcept:
        """Set the shared prefix, which is that of the first and the last key, and all fragments."""
        cdef PyObject* key = self.keys[leaf.slot[0]]
        cdef PyObject* last = self.keys[leaf.slot[leaf.count - 1]]
        cdef Py_ssize_t size = min(size_of(key), size_of(last)), shared = 0, i
        while shared < size and text_of(key)[shared] == text_of(last)[shared]:
            shared += 1
        leaf.shared = <int32_t> shared
        for i in range(leaf.count):
            key = self.keys[leaf.slot[i]]
            leaf.fragment[i] = fragment_at(text_of(key), size_of(key), shared)

    cdef int grow_leaves(self) except -1:
        cdef Py_ssize_t size = self.leaf_max + (self.leaf_max >> 1) + 8
        self.leaves = <Leaf**> resized(self.leaves, size * sizeof(Leaf*))
        self.first = <PyObject**> resized(self.first, size * sizeof(PyObject*))
        self.leaf_live = <int32_t*> resized(self.leaf_live, size * sizeof(int32_t))
        self.leaf_max = size
        return 0

    def check(self):
        """Verify every invariant of the index. Raises AssertionError. O(n)."""
        cdef Py_ssize_t i, j, seen = 0
        cdef Leaf* leaf
        cdef bytes before = b""
        for i in range(self.leaf_count):
            leaf = self.leaves[i]
            assert 0 < leaf.count <= LEAF_MAX, f"leaf {i} holds {leaf.count} keys"
            assert self.first[i] == self.keys[leaf.slot[0]], f"leaf {i} does not begin with its first key"
            assert self.leaf_live[i] == self.count_live(leaf, 0, leaf.count), f"leaf {i} miscounts its live keys"
            for j in range(leaf.count):
                key = <bytes> self.keys[leaf.slot[j]]
                assert before < key, f"keys out of order: {before!r} before {key!r}"
                assert key[: leaf.shared] == (<bytes> self.first[i])[: leaf.shared], f"{key!r} does not share its leaf's prefix"
                assert leaf.fragment[j] == int.from_bytes(key[leaf.shared : leaf.shared + 8].ljust(8, b"\0"), "big"), f"fragment of {key!r}"
                assert self.find(key) == leaf.slot[j], f"{key!r} is not found by its hash"
                before = key
                seen += 1
        assert seen == self.key_count(), f"{seen} keys in order, {self.key_count()} by hash"
        assert seen == sum(1 for i in range(self.table_size) if self.table[i].number), "the hash table has entries without a key"
        for i in range(self.free_count):
            assert self.keys[self.free_slots[i]] is NULL, "a free slot has a key"
