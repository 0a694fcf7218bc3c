# The agenda's memory layout: a heap of small records beside a table of slots; the calls themselves are in one Python list.
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t


cdef struct Entry:              # one element of the 4-ary heap, 24 bytes
    int64_t time_ns
    uint64_t tie                # the sequence number, or a bijective scramble of it: never equal for two events
    int32_t priority
    uint32_t slot


cdef struct Slot:               # where an event's call lives: calls[2 * slot] is the function, calls[2 * slot + 1] its arguments
    uint64_t sequence           # of the event that lives here; 0 = free
    uint64_t next_free          # index of the next free slot while free; 1 while a standing event lives here, else 0


cdef class Agenda:
    cdef Entry* heap
    cdef Slot* slots
    cdef list calls
    cdef size_t heap_count      # live and cancelled entries
    cdef size_t heap_capacity
    cdef size_t slot_count      # slots ever used; the largest number of events pending at one time
    cdef size_t slot_capacity
    cdef uint64_t free_head     # FREE_END when no slot is free
    cdef uint64_t sequence      # of the newest event
    cdef uint64_t scramble      # 0: insertion order among equals; else the key of their shuffle
    cdef readonly bint is_running     # inside run_due or drain
    cdef bint stop_requested
    cdef readonly int64_t now_ns
    cdef readonly int64_t pending_count
    cdef readonly int64_t standing_count    # of the pending ones, those that no one waits for
    cdef readonly int64_t dispatched_count
    cdef readonly int64_t cancelled_count

    cdef int64_t insert(self, int64_t time_ns, int32_t priority, object function, tuple arguments) except -1
    cdef int64_t dispatch(self, int64_t time_ns, int64_t event_max, bint until_quiet) except -1


cdef class Wakeup:
    cdef Agenda agenda          # None: ask ``after`` and ``cancel_call``
    cdef object after
    cdef object cancel_call
    cdef object fire_call       # the bound method, made once
    cdef int64_t handle         # of the pending call; 0: none
    cdef public object function
    cdef public int64_t delay_ns
    cdef public int32_t priority
