"""The keys of a store: a number (slot) per key, found by hash, and kept in order with counts. See key_index.pyx."""

from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

cdef enum:
    LEAF_MAX = 256

ctypedef struct Leaf:
    int32_t count
    int32_t shared                  # bytes that all keys of the leaf begin with
    uint64_t fragment[LEAF_MAX]     # the eight bytes after those, big-endian, padded with zeros
    uint32_t slot[LEAF_MAX]

ctypedef struct Entry:              # of the hash table
    uint32_t hash                   # the low half of the key's
    uint32_t number                 # slot + 1; 0: empty

ctypedef struct Cursor:             # an entry of the order; (leaf_count, 0) is the end
    Py_ssize_t leaf
    Py_ssize_t position

cdef class KeyIndex:
    cdef PyObject** keys            # slot -> the key, an owned bytes object; NULL: a free slot
    cdef uint8_t* live              # slot -> 1 when the key exists at the head
    cdef uint32_t* free_slots
    cdef Py_ssize_t slot_count
    cdef Py_ssize_t slot_max
    cdef Py_ssize_t free_count

    cdef Entry* table
    cdef Py_ssize_t table_size

    cdef Leaf** leaves
    cdef PyObject** first           # leaf -> its first key, borrowed from keys
    cdef int32_t* leaf_live         # leaf -> its live keys
    cdef Py_ssize_t leaf_count
    cdef Py_ssize_t leaf_max
    cdef Py_ssize_t leaf_hint

    cdef Py_ssize_t find(self, object key) except -2
    cdef Py_ssize_t add(self, object key) except -1
    cdef void set_live(self, Py_ssize_t slot, bint live) noexcept
    cdef int remove(self, Py_ssize_t slot) except -1
    cdef Cursor seek(self, const char* text, Py_ssize_t size) noexcept
    cdef Cursor end(self) noexcept
    cdef Py_ssize_t live_between(self, Cursor start, Cursor stop) noexcept
    cdef Py_ssize_t key_count(self) noexcept

    cdef int grow_slots(self) except -1
    cdef int grow_table(self) except -1
    cdef int grow_leaves(self) except -1
    cdef void table_insert(self, uint32_t hash, Py_ssize_t slot) noexcept
    cdef void table_remove(self, uint32_t hash, Py_ssize_t slot) noexcept
    cdef Py_ssize_t leaf_of(self, const char* text, Py_ssize_t size) noexcept
    cdef Py_ssize_t position_in(self, Leaf* leaf, const char* text, Py_ssize_t size) noexcept
    cdef int order_insert(self, Py_ssize_t slot) except -1
    cdef int split(self, Py_ssize_t leaf_index, Py_ssize_t keep) except -1
    cdef void order_remove(self, Py_ssize_t slot) noexcept
    cdef void merge_small(self, Py_ssize_t leaf_index) noexcept
    cdef void drop_leaf(self, Py_ssize_t leaf_index) noexcept
    cdef void refit(self, Leaf* leaf) noexcept
    cdef int32_t count_live(self, Leaf* leaf, Py_ssize_t start, Py_ssize_t stop) noexcept
