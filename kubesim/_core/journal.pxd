# Records on their way into a digest.

cdef class Journal:
    cdef readonly list buffer
    cdef tuple listeners
    cdef Py_ssize_t records_max
