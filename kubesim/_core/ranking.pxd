from libc.stdint cimport int32_t, int64_t


cdef class Ranking:
    cdef int64_t *values        # one total per row; negative: the row may not be chosen
    cdef int64_t *block_best    # the highest total of each block of 64 rows
    cdef int32_t *block_ties    # how many rows of the block have it
    cdef readonly Py_ssize_t size
    cdef readonly Py_ssize_t candidate_count  # rows whose total is not negative
    cdef Py_ssize_t block_count

    cdef void put(self, Py_ssize_t row, int64_t total) noexcept
    cdef void rescan(self, Py_ssize_t block) noexcept
    cpdef int64_t best(self) noexcept
    cpdef Py_ssize_t ties(self) noexcept
    cpdef Py_ssize_t row_at(self, Py_ssize_t index) except -1
