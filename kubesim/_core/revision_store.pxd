"""Every revision of every key, and the log of changes. See revision_store.pyx."""

from libc.stdint cimport int32_t, int64_t

from kubesim._core.key_index cimport Cursor, KeyIndex

cdef class KeyValue:
    cdef readonly bytes key
    cdef readonly object value
    cdef KeyValue older             # the record before of the same key, None: the first one or compacted
    cdef readonly int64_t mod_revision
    cdef readonly int64_t create_revision
    cdef readonly int64_t version   # 0: this is a delete
    cdef readonly int64_t lease
    cdef int64_t place              # in the log, counted from the store's first change
    cdef int64_t skip               # the place of a record further back in the chain
    cdef readonly int32_t sub
    cdef int32_t skip_length        # how many records back

cdef class RangeResult:
    cdef readonly list kvs
    cdef readonly Py_ssize_t count
    cdef readonly bint more
    cdef readonly int64_t revision

cdef class DeleteResult:
    cdef readonly int64_t revision
    cdef readonly Py_ssize_t deleted
    cdef readonly list previous

cdef class Listener:
    cdef RevisionStore store
    cdef object function
    cdef readonly bint is_armed

cdef class RevisionStore:
    cdef KeyIndex index
    cdef list heads                 # slot -> the newest record of its key; None: a free slot
    cdef list log                   # the records from compact_revision on, in (revision, sub) order
    cdef int64_t log_start          # the place of log[0]
    cdef readonly int64_t revision
    cdef readonly int64_t compact_revision
    cdef bint is_open               # between begin() and commit()
    cdef int32_t sub                # of the next change
    cdef list armed                 # the listeners to call at the next write
    cdef list compact_listeners

    cdef KeyValue head(self, object key)
    cdef KeyValue at_revision(self, KeyValue record, int64_t revision)
    cdef int64_t write(self, Py_ssize_t slot, bytes key, object value, int64_t lease, bint is_delete) except -1
    cdef int link(self, KeyValue record, KeyValue older) except -1
    cdef int notify(self) except -1
    cdef Py_ssize_t place_after(self, int64_t revision) except -1
    cdef int bounds(self, object key, object range_end, Cursor* start, Cursor* stop) except -1
    cdef list collect_slots(self)
    cdef list collect_head(self, Cursor start, Cursor stop, Py_ssize_t limit)
    cdef list collect_old(self, Cursor start, Cursor stop, Py_ssize_t limit, int64_t revision)
    cdef Py_ssize_t count_old(self, Cursor start, Cursor stop, object key, object range_end, int64_t revision) except -1
    cdef int64_t readable(self, int64_t revision) except -1
    cdef int64_t commit_now(self) except -1
