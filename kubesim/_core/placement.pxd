from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint64_t

from kubesim._core.groups cimport Groups
from kubesim._core.ranking cimport Ranking


cdef class Rows:
    cdef int64_t[:, ::1] allocatable_NR   # what a row has of each column
    cdef int64_t[:, ::1] used_NR          # what is taken of it
    cdef int64_t[:, ::1] nominal_used_N2  # the same for columns 0 and 1, a taker of nothing counted with a default
    cdef int64_t[::1] count_N             # how many takers
    cdef int64_t[::1] count_max_N

    cdef int take(self, Py_ssize_t row, Demand demand, int sign) except -1


cdef class Demand:
    cdef readonly Py_ssize_t size
    cdef int64_t *columns
    cdef int64_t *amounts      # none is zero
    cdef int64_t nominal0
    cdef int64_t nominal1


cdef class Kernel:
    cdef readonly Rows rows

    cdef int64_t value(self, Py_ssize_t row) noexcept


cdef class ArrayKernel(Kernel):
    cdef const int64_t[::1] values_N


cdef class FitKernel(Kernel):
    cdef Demand demand


cdef class ResourceKernel(Kernel):
    cdef Py_ssize_t size
    cdef int64_t *columns
    cdef int64_t *requests
    cdef int64_t *weights
    cdef int64_t *nominal      # 0 or 1: a column of nominal_used_N2; -1: used_NR


cdef class AllocationKernel(ResourceKernel):
    cdef int strategy
    cdef Py_ssize_t shape_size
    cdef int64_t *shape_x
    cdef int64_t *shape_y

    cdef int64_t ratio_score(self, int64_t utilization) noexcept


cdef class BalanceKernel(ResourceKernel):
    cdef double *fractions

    cdef int64_t balance(self, Py_ssize_t row, bint with_request) noexcept


cdef class Chain:
    cdef readonly Ranking ranking
    cdef readonly Groups groups  # None: all rows are treated alike
    cdef list filters
    cdef list scorers
    cdef int64_t *weights
    cdef const uint8_t[::1] open_N
    cdef const int64_t[::1] base_N
    cdef int64_t *points  # of each row whose total is not negative: what the kernels gave beside the base

    cdef int64_t total(self, Py_ssize_t row) noexcept
    cdef int ask(self, Py_ssize_t row) except -1
