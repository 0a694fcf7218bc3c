# One change of one object, on its way from a log to the caches that follow it.
from libc.stdint cimport int64_t


cdef class Event:
    cdef readonly object type   # ADDED, MODIFIED, DELETED, or what only the slow way knows
    cdef readonly object obj    # the new state; the last one when it is gone
    cdef readonly object old    # the state before, None when there was none
    cdef readonly int64_t revision
    cdef public object key      # made by the first reader that needs it; "" before
