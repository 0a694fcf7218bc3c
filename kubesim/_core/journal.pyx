"""A journal: records that somebody folds in batches. Every write of a simulation is one, so appending costs next to nothing."""


cdef class Journal:
    """Records are tuples in ``buffer``; ``fold()``, which the class that uses it defines, empties it when there are ``records_max``."""

    def __init__(self, Py_ssize_t records_max):
        self.buffer = []
        self.listeners = ()
        self.records_max = records_max

    def record(self, *fields):
        """Append a record. What cannot be encoded is refused with a TypeError, at the latest by the next ``fold()``."""
        self.buffer.append(fields)
        if self.listeners:
            for listener in self.listeners:
                listener(fields)
        if len(self.buffer) >= self.records_max:
            self.fold()

    def fold(self):
        """Take the records out of ``buffer``."""
        raise NotImplementedError

    def listen(self, function not None):
        """Call ``function(fields)`` at every record from now on: for those who want to keep or print them."""
        self.listeners = (*self.listeners, function)
