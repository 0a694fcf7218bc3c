# What was computed for an object, found again by its address.

cdef class IdentityMemo:
    cdef object function
    cdef Py_ssize_t size_max
    cdef dict entries           # address -> (the object, which it keeps alive, and its result)
