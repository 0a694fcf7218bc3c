# The state of a stream and the draws that other compiled modules may use.
from libc.stdint cimport uint64_t


cdef class Stream:
    cdef uint64_t state[4]
    cdef readonly str name

    cdef uint64_t draw(self) noexcept nogil
    cdef uint64_t draw_below(self, uint64_t count) noexcept nogil
    cdef double draw_uniform(self) noexcept nogil
