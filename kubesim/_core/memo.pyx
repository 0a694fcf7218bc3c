"""Remember the result of a pure function by the identity of its argument.

A memo is asked a dozen times for each object that is written, and nearly always knows the answer: the call is most of its cost.
The plain twin is in ``tests/api/memo_twin.py``.
"""


cdef class IdentityMemo:
    """Call ``function(obj)`` once per object; a second call with the same object gives the same result again.

    The argument must never change afterwards. It is kept alive as long as it is remembered, so its identity cannot be used again.
    O(1); at most ``size_max`` entries are kept, the oldest goes first, whatever its address. Raises ValueError for a ``size_max`` below 1.
    """

    def __init__(self, function not None, Py_ssize_t size_max=4096):
        if size_max < 1:
            raise ValueError(f"size_max: {size_max}: expected at least 1")
        self.function = function
        self.size_max = size_max
        self.entries = {}

    def __class_getitem__(cls, item):
        return cls

    def __call__(self, obj):
        cdef tuple entry = self.entries.get(<Py_ssize_t> <void*> obj)
        if entry is not None:
            return entry[1]
        value = self.function(obj)
        self.remember(obj, value)
        return value

    def remember(self, obj, value):
        """Set the result for ``obj`` from outside, for instance that a default of a default is itself."""
        cdef object address = <Py_ssize_t> <void*> obj
        if address not in self.entries and len(self.entries) >= self.size_max:
            del self.entries[next(iter(self.entries))]
        self.entries[address] = (obj, value)

    def __len__(self):
        return len(self.entries)

    def clear(self):
        """Forget everything."""
        self.entries.clear()
