from libc.stdint cimport int32_t, int64_t, uint8_t

from kubesim._core.ranking cimport Ranking


cdef class Part:
    cdef readonly Py_ssize_t row_count

    cdef int64_t key(self, Py_ssize_t row) noexcept
    cdef int64_t count(self, int64_t key) noexcept
    cdef int update(self, Py_ssize_t row) except -1


cdef class Fixed(Part):
    cdef const int64_t[::1] values_N


cdef class Tally(Part):
    cdef const int32_t[::1] ids_N       # the domain of each row, 0: none
    cdef const int64_t[::1] count_N     # takers of each row; somebody else's, who changes it
    cdef const uint8_t[::1] counted_N   # whether a row's takers count
    cdef int64_t *seen_N                # count_N as it was added up
    cdef int64_t *count_V               # takers of each domain
    cdef int64_t *stamp_V               # when a domain was met last
    cdef int64_t stamp
    cdef uint8_t *counted_V             # whether a domain has rows that count
    cdef int64_t *domains_of_count      # how many counted domains have so many takers
    cdef Py_ssize_t count_capacity
    cdef Py_ssize_t value_count
    cdef int64_t cap
    cdef readonly Py_ssize_t domain_count  # domains with rows that count
    cdef readonly int64_t minimum       # of the takers of those
    cdef readonly int64_t total         # of all takers
    cdef readonly bint is_single        # no domain has two rows: a row's key is its count, not its domain

    cdef bint is_first(self, int64_t domain) noexcept
    cdef int shift(self, Py_ssize_t domain, int64_t delta) except -1
    cdef int grow_counts(self, int64_t count) except -1


cdef class GroupFilter:
    cdef list parts                     # numbers of the parts looked at

    cdef void prepare(self, Groups groups) noexcept
    cdef bint closes(self, const int64_t *counts) noexcept


cdef class GroupScore:
    cdef readonly int64_t weight

    cdef void add(self, Groups groups) noexcept


cdef class Groups:
    cdef readonly Ranking ranking
    cdef readonly list parts
    cdef list filters
    cdef list scores
    cdef dict group_of_key
    cdef list key_of_group
    cdef list free_groups
    cdef readonly Py_ssize_t part_count
    cdef Py_ssize_t capacity            # of the arrays below
    cdef int64_t *keys                  # parts of each group: what its rows have in common
    cdef int64_t *counts                # the count of each of them as of now, -1: in no domain
    cdef int64_t *raws                  # scratch, per group
    cdef int64_t *sums                  # what the scores give, per group
    cdef Py_ssize_t *live               # the groups that are open and have open rows
    cdef Py_ssize_t live_count
    cdef bint is_stale

    cdef int update(self, Py_ssize_t row) except -1
    cdef int place(self, Py_ssize_t row) except -1
    cdef int reserve(self, Py_ssize_t count) except -1
    cdef void settle(self) noexcept
