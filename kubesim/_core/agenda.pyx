"""The agenda: every future event of a simulation in one total order.

Events run by ``(time_ns, priority, sequence)``; sequence numbers are given in the order of insertion, so no two events are equal.
It knows nothing of Kubernetes, of clocks or of threads: somebody else decides up to which time events are due.

A 4-ary heap of plain C records is beside a table of slots. A slot holds the identity of a live event; the function and its
arguments are in a Python list, where the garbage collector sees them (cycles through callbacks are collected). Cancelling empties the
slot at once and leaves its heap entry behind; such leftovers are dropped when they reach the top, or all together when
they are the majority, so memory stays proportional to the pending events. A handle carries the sequence number: a stale one is refused,
also after its slot got a new event.

The plain twin, a ``heapq`` of tuples, is in ``tests/kernel/agenda_twin.py``.
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.long cimport PyLong_CheckExact
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyCallable_Check
from libc.stdint cimport INT64_MAX, UINT64_MAX, int32_t, int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    /* The finaliser of splitmix64: a bijection, so distinct sequence numbers stay distinct. In C because it wraps around on purpose. */
    static inline uint64_t kubesim_scramble(uint64_t value) {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
        return value ^ (value >> 31);
    }
    """
    uint64_t kubesim_scramble(uint64_t value) noexcept nogil

cdef enum:
    SLOT_BITS = 24
    ARITY_SHIFT = 2
    CANCELLED_MIN = 64          # fewer leftovers than this are not worth a rebuild
    STANDING = 1000             # from this priority on, an event stands: it is always there, and nothing waits for it
    SIGNAL_INTERVAL = 1024      # events between two looks at pending signals (callbacks written in C never look)

cdef uint64_t SLOT_MASK = (<uint64_t>1 << SLOT_BITS) - 1
cdef uint64_t SEQUENCE_MAX = (<uint64_t>1 << (63 - SLOT_BITS)) - 1
cdef uint64_t FREE_END = UINT64_MAX

PENDING_MAX = 1 << SLOT_BITS    # events pending at one time
PRIORITY_STANDING = STANDING
TIME_NS_MAX = INT64_MAX


cdef inline int64_t nanoseconds(object value) except? -1:
    # Cython's own conversion truncates floats without a word; half a nanosecond is a bug of the caller.
    return <int64_t>value if PyLong_CheckExact(value) else <int64_t>PyNumber_Index(value)


cdef inline bint before(Entry* a, Entry* b) noexcept nogil:
    if a.time_ns != b.time_ns:
        return a.time_ns < b.time_ns
    if a.priority != b.priority:
        return a.priority < b.priority
    return a.tie < b.tie


cdef inline void sift_up(Entry* heap, size_t index) noexcept nogil:
    cdef Entry moving = heap[index]
    cdef size_t parent
    while index > 0:
        parent = (index - 1) >> ARITY_SHIFT
        if not before(&moving, &heap[parent]):
            break
        heap[index] = heap[parent]
        index = parent
    heap[index] = moving


cdef inline void sift_down(Entry* heap, size_t count, size_t index) noexcept nogil:
    cdef Entry moving = heap[index]
    cdef size_t child, last, best
    while True:
        child = (index << ARITY_SHIFT) + 1
        if child >= count:
            break
        last = child + 4 if child + 4 < count else count
        best = child
        child += 1
        while child < last:
            if before(&heap[child], &heap[best]):
                best = child
            child += 1
        if not before(&heap[best], &moving):
            break
        heap[index] = heap[best]
        index = best
    heap[index] = moving


cdef inline uint64_t tie_of(Agenda agenda, uint64_t sequence) noexcept:
    return sequence if agenda.scramble == 0 else kubesim_scramble(sequence ^ kubesim_scramble(agenda.scramble))


cdef inline bint is_live(Agenda agenda, Entry* entry) noexcept:
    cdef uint64_t sequence = agenda.slots[entry.slot].sequence
    return sequence != 0 and tie_of(agenda, sequence) == entry.tie


cdef inline void pop(Agenda agenda) noexcept:
    agenda.heap_count -= 1
    if agenda.heap_count:
        agenda.heap[0] = agenda.heap[agenda.heap_count]
        sift_down(agenda.heap, agenda.heap_count, 0)


cdef inline bint drop_cancelled(Agenda agenda) noexcept:
    # Bring a live entry to the top; False when there is none.
    while agenda.heap_count and not is_live(agenda, &agenda.heap[0]):
        pop(agenda)
    return agenda.heap_count != 0


cdef void rebuild(Agenda agenda) noexcept:
    # Keep the live entries and make them a heap again, bottom up: O(n).
    cdef size_t index, kept = 0
    for index in range(agenda.heap_count):
        if is_live(agenda, &agenda.heap[index]):
            agenda.heap[kept] = agenda.heap[index]
            kept += 1
    agenda.heap_count = kept
    if kept > 1:
        index = ((kept - 2) >> ARITY_SHIFT) + 1
        while index:
            index -= 1
            sift_down(agenda.heap, kept, index)


cdef inline int release(Agenda agenda, uint64_t index) except -1:
    # Empty a slot. The caller holds the references of its call: dropping the last one here could run any code.
    agenda.standing_count -= <int64_t>agenda.slots[index].next_free
    agenda.slots[index].sequence = 0
    agenda.slots[index].next_free = agenda.free_head
    agenda.free_head = index
    agenda.pending_count -= 1
    agenda.calls[2 * index] = None
    agenda.calls[2 * index + 1] = None
    return 0


cdef int grow_heap(Agenda agenda) except -1:
    cdef size_t capacity = 2 * agenda.heap_capacity if agenda.heap_capacity else 64
    cdef void* memory = PyMem_Realloc(agenda.heap, capacity * sizeof(Entry))
    if memory == NULL:
        raise MemoryError(f"no memory for {capacity} events")
    agenda.heap = <Entry*>memory
    agenda.heap_capacity = capacity
    return 0


cdef int grow_slots(Agenda agenda) except -1:
    cdef size_t capacity = 2 * agenda.slot_capacity if agenda.slot_capacity else 64
    cdef void* memory
    if agenda.slot_capacity > SLOT_MASK:
        raise OverflowError(f"{agenda.pending_count} events are pending; expected at most {PENDING_MAX}")
    memory = PyMem_Realloc(agenda.slots, capacity * sizeof(Slot))
    if memory == NULL:
        raise MemoryError(f"no memory for {capacity} events")
    agenda.slots = <Slot*>memory
    agenda.slot_capacity = capacity
    return 0


cdef inline int64_t take_slot(Agenda agenda, object function, tuple arguments) except -1:
    # A free slot, now holding the call, or a new one.
    cdef uint64_t index = agenda.free_head
    if index != FREE_END:
        agenda.free_head = agenda.slots[index].next_free
        agenda.calls[2 * index] = function
        agenda.calls[2 * index + 1] = arguments
        return <int64_t>index
    index = agenda.slot_count
    if index == agenda.slot_capacity:
        grow_slots(agenda)
    agenda.calls.append(function)
    agenda.calls.append(arguments)
    agenda.slot_count += 1
    return <int64_t>index


cdef class Agenda:
    """A totally ordered heap of calls in integer nanoseconds.

    ``start_ns`` is the first ``now_ns``. ``shuffle_seed`` other than 0 runs events of equal time and priority in a shuffled order
    that depends on the seed only (to explore schedules); 0 keeps the order of insertion.

    >>> agenda = Agenda()
    >>> handle = agenda.schedule(10, 0, print, ("ten",))
    >>> agenda.next_time()
    10
    >>> agenda.run_due(20)
    ten
    1
    >>> agenda.now_ns, agenda.pending_count, agenda.cancel(handle)
    (20, 0, False)
    """

    def __cinit__(self, int64_t start_ns=0, uint64_t shuffle_seed=0):
        if start_ns < 0:
            raise ValueError(f"start_ns is {start_ns}; expected a time of at least 0")
        self.calls = []
        self.free_head = FREE_END
        self.scramble = shuffle_seed
        self.now_ns = start_ns

    def __dealloc__(self):
        PyMem_Free(self.heap)
        PyMem_Free(self.slots)

    # -- schedule and cancel ----------------------------------------------------------------------------------------------

    def schedule(self, time_ns, int32_t priority, function, tuple arguments not None):
        """Call ``function(*arguments)`` at ``time_ns``; lower priorities first among equal times. Returns a handle above 0. O(log n).

        A time in the past means now, as with Go's timers. Raises TypeError for what cannot be called and for a time that is no integer,
        OverflowError beyond PENDING_MAX.
        """
        return self.insert(nanoseconds(time_ns), priority, function, arguments)

    def at(self, time_ns, function, *arguments, int32_t priority=0):
        """Call ``function(*arguments)`` at ``time_ns`` (now, if that is past). Returns a handle above 0."""
        return self.insert(nanoseconds(time_ns), priority, function, arguments)

    def after(self, delay_ns, function, *arguments, int32_t priority=0):
        """Call ``function(*arguments)`` in ``delay_ns`` (now, if that is negative). Returns a handle above 0."""
        cdef int64_t delay = nanoseconds(delay_ns)
        if delay > INT64_MAX - self.now_ns:
            raise OverflowError(f"delay_ns is {delay}; expected at most {INT64_MAX - self.now_ns} at time {self.now_ns}")
        return self.insert(self.now_ns + (delay if delay > 0 else 0), priority, function, arguments)

    def soon(self, function, *arguments, int32_t priority=0):
        """Call ``function(*arguments)`` now, after what is already due now at this priority. Returns a handle above 0."""
        return self.insert(self.now_ns, priority, function, arguments)

    cdef int64_t insert(self, int64_t time_ns, int32_t priority, object function, tuple arguments) except -1:
        cdef uint64_t index
        cdef Entry* entry
        if not PyCallable_Check(function):
            raise TypeError(f"expected something to call, got {function!r}")
        if self.sequence >= SEQUENCE_MAX:
            raise OverflowError(f"more than {SEQUENCE_MAX} events were scheduled")
        if self.heap_count == self.heap_capacity:
            grow_heap(self)
        index = <uint64_t>take_slot(self, function, arguments)
        self.sequence += 1
        self.slots[index].sequence = self.sequence
        self.slots[index].next_free = 1 if priority >= STANDING else 0
        self.standing_count += priority >= STANDING
        entry = &self.heap[self.heap_count]
        entry.time_ns = time_ns if time_ns > self.now_ns else self.now_ns
        entry.tie = tie_of(self, self.sequence)
        entry.priority = priority
        entry.slot = <uint32_t>index
        self.heap_count += 1
        self.pending_count += 1
        sift_up(self.heap, self.heap_count - 1)
        return <int64_t>(self.sequence << SLOT_BITS | index)

    def cancel(self, int64_t handle):
        """Take back a scheduled call; its references are dropped at once. Returns False if it ran, was cancelled or never was. O(1)."""
        cdef uint64_t index = <uint64_t>handle & SLOT_MASK
        cdef uint64_t sequence = <uint64_t>handle >> SLOT_BITS
        if handle <= 0 or sequence == 0 or index >= self.slot_count or self.slots[index].sequence != sequence:
            return False
        # Held until the agenda is consistent again: dropping the last reference can run any code, also ours.
        function = self.calls[2 * index]
        arguments = self.calls[2 * index + 1]
        release(self, index)
        self.cancelled_count += 1
        if <int64_t>self.heap_count > 2 * self.pending_count + CANCELLED_MIN:
            rebuild(self)
        return True

    # -- dispatch ---------------------------------------------------------------------------------------------------------

    def next_time(self):
        """Return the time of the next event in ns, -1 when there is none. Amortised O(log n)."""
        return self.heap[0].time_ns if drop_cancelled(self) else -1

    def run_due(self, time_ns, int64_t event_max=-1):
        """Dispatch everything due until ``time_ns``, also what is scheduled meanwhile, and move ``now_ns`` there.

        Every call sees its own time as ``now_ns``. Stops after ``event_max`` calls (-1: no limit) or when ``stop()`` was called, and
        leaves ``now_ns`` at the last call then. Returns the number dispatched. An exception of a call propagates: that call counts as
        dispatched, and all others stay as they were.
        """
        cdef int64_t until_ns = nanoseconds(time_ns)
        cdef int64_t count = self.dispatch(until_ns, event_max, False)
        if not (drop_cancelled(self) and self.heap[0].time_ns <= until_ns) and until_ns > self.now_ns:
            self.now_ns = until_ns
        return count

    def drain(self, time_ns=INT64_MAX, int64_t event_max=-1, bint until_quiet=False):
        """Dispatch as ``run_due`` does, but leave ``now_ns`` at the last call. Returns the number dispatched.

        ``until_quiet`` also returns when an instant is over and only standing events are left.
        """
        return self.dispatch(nanoseconds(time_ns), event_max, until_quiet)

    @property
    def quiet(self):
        """Whether only standing events are left: nothing more will happen by itself. O(1)."""
        return self.pending_count == self.standing_count

    def stop(self):
        """Make the running ``run_due`` or ``drain`` return after the present call; without one, the next returns at once."""
        self.stop_requested = True

    def stopped(self):
        """Return whether ``stop()`` was called since the last look, and forget it."""
        cdef bint requested = self.stop_requested
        self.stop_requested = False
        return requested

    cdef int64_t dispatch(self, int64_t time_ns, int64_t event_max, bint until_quiet) except -1:
        cdef int64_t count = 0
        cdef uint64_t index
        if self.is_running:
            raise RuntimeError("the agenda is running: a call may not run it again")
        self.is_running = True
        try:
            while count != event_max and not self.stop_requested and drop_cancelled(self) and self.heap[0].time_ns <= time_ns:
                if until_quiet and self.pending_count == self.standing_count and self.heap[0].time_ns > self.now_ns:
                    break
                self.now_ns = self.heap[0].time_ns
                index = self.heap[0].slot
                function = self.calls[2 * index]
                arguments = self.calls[2 * index + 1]
                pop(self)
                release(self, index)
                self.dispatched_count += 1
                count += 1
                function(*arguments)
                if count % SIGNAL_INTERVAL == 0:
                    PyErr_CheckSignals()
        finally:
            self.is_running = False
        return count

    def check(self):
        """Verify every invariant; raises AssertionError with the state. O(n)."""
        cdef size_t index, live = 0, free_count = 0, standing = 0
        cdef uint64_t free_slot = self.free_head
        for index in range(1, self.heap_count):
            assert not before(&self.heap[index], &self.heap[(index - 1) >> ARITY_SHIFT]), f"heap order is broken at {index}"
        for index in range(self.heap_count):
            if is_live(self, &self.heap[index]):
                live += 1
                standing += self.heap[index].priority >= STANDING
                assert self.heap[index].time_ns >= self.now_ns, f"an event at {self.heap[index].time_ns} is before now, {self.now_ns}"
        assert <int64_t>live == self.pending_count, f"{live} live entries, {self.pending_count} pending"
        assert <int64_t>standing == self.standing_count, f"{standing} standing entries, {self.standing_count} counted"
        assert self.heap_count <= 2 * live + CANCELLED_MIN, f"{self.heap_count} entries for {live} pending events"
        assert <size_t>len(self.calls) == 2 * self.slot_count, f"{len(self.calls)} references for {self.slot_count} slots"
        while free_slot != FREE_END:
            assert free_slot < self.slot_count and free_count < self.slot_count, f"the free list is broken at {free_slot}"
            assert self.slots[free_slot].sequence == 0, f"free slot {free_slot} has event {self.slots[free_slot].sequence}"
            assert self.calls[2 * free_slot] is None and self.calls[2 * free_slot + 1] is None, f"free slot {free_slot} holds a call"
            free_count += 1
            free_slot = self.slots[free_slot].next_free
        assert free_count + live == self.slot_count, f"{free_count} free and {live} live of {self.slot_count} slots"
        assert self.sequence == <uint64_t>(self.pending_count + self.dispatched_count + self.cancelled_count), "an event was lost"


cdef class Wakeup:
    """A call of ``function()`` that is pending once or not at all; it comes ``delay_ns`` after the first ``set()``.

    >>> agenda = Agenda()
    >>> wakeup = Wakeup(agenda, lambda: print("awake"))
    >>> wakeup.set(); wakeup.set()
    >>> agenda.drain()
    awake
    1

    The plain twin is in ``tests/kernel/wake_twin.py``.
    """

    def __init__(self, kernel, function not None, int64_t delay_ns=0, int32_t priority=0):
        # An agenda is asked directly; what only stands for one (the clock of a host) by its own methods.
        self.agenda = <Agenda>kernel if isinstance(kernel, Agenda) and type(kernel).after is Agenda.after else None
        self.after = kernel.after
        self.cancel_call = kernel.cancel
        self.handle = 0
        self.function = function
        self.delay_ns = delay_ns
        self.priority = priority
        self.fire_call = self.fire

    @property
    def is_set(self):
        """Whether a call is pending."""
        return self.handle != 0

    def set(self):
        """Have the function called; does nothing while a call is pending. O(log n) the first time, then O(1)."""
        cdef int64_t delay
        if self.handle:
            return
        if self.agenda is None:
            self.handle = self.after(self.delay_ns, self.fire_call, priority=self.priority)
            return
        delay = self.delay_ns if self.delay_ns > 0 else 0
        if delay > INT64_MAX - self.agenda.now_ns:
            raise OverflowError(f"delay_ns is {delay}; expected at most {INT64_MAX - self.agenda.now_ns} at time {self.agenda.now_ns}")
        self.handle = self.agenda.insert(self.agenda.now_ns + delay, self.priority, self.fire_call, ())

    def cancel(self):
        """Take the pending call back, if there is one."""
        if self.handle:
            self.cancel_call(self.handle)
            self.handle = 0

    def fire(self):
        """Call the function; the agenda does so."""
        # Cleared first: a set() from inside the function is news that it has not seen.
        self.handle = 0
        self.function()
