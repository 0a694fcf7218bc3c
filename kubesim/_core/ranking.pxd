from libc.stdint cimport int32_t, int64_t


cdef class Ranking:
    cdef int64_t *values            # what each row has of itself; negative: the row may not be chosen
    cdef int32_t *group_of          # the group of each row
    cdef int64_t *additions         # what each group adds; negative: none of its rows may be chosen
    cdef Py_ssize_t *row_counts     # rows of each group
    cdef Py_ssize_t *open_counts    # those of them whose own value is not negative
    cdef Py_ssize_t group_capacity
    # Per block of 64 rows and group that has open rows in it: the group, the best value, how many rows have it. The first entries of all
    # blocks lie side by side, then the second ones, and so on.
    cdef int32_t *entry_groups
    cdef int64_t *entry_bests
    cdef int32_t *entry_ties
    cdef int32_t *entry_counts      # entries of each block
    cdef readonly Py_ssize_t size
    cdef readonly Py_ssize_t group_count
    cdef readonly int64_t feasible_version  # moves when a row becomes a candidate or ceases to be one
    cdef Py_ssize_t block_count

    cdef void put(self, Py_ssize_t row, int64_t value) noexcept
    cdef void move(self, Py_ssize_t row, int32_t group) noexcept
    cdef void add_to_group(self, Py_ssize_t group, int64_t addition) noexcept
    cdef int32_t new_group(self) except -1
    cdef void rescan(self, Py_ssize_t block) noexcept
    cdef int64_t total(self, Py_ssize_t row) noexcept
    cdef Py_ssize_t count_best(self, int64_t *best) noexcept
    cpdef int64_t best(self) noexcept
    cpdef Py_ssize_t ties(self) noexcept
    cpdef Py_ssize_t row_at(self, Py_ssize_t index) except -1
    cdef Py_ssize_t row_of_best(self, int64_t best, Py_ssize_t index) noexcept
