"""Changes of objects on their way into caches: the record of one change, and the loop that applies many of them to a cache.

A batch of a watch goes through three caches, and each change through about ten handlers; the loop between them was the largest single
piece of Python of a run. Only the plain case is here: the change follows on what the cache holds (the very same object). Everything
else is left to the caller, whose way of applying one change is also the twin of this one.
"""

cimport cython


@cython.auto_pickle(False)
cdef class Event:
    """One change as a watcher sees it. ``obj`` is the new state (the last one, with the delete's revision, for DELETED).

    >>> event = Event("ADDED", {"a": 1}, None, 5)
    >>> event.type, event.obj, event.old, event.revision, event.key
    ('ADDED', {'a': 1}, None, 5, '')
    """

    def __init__(self, str type_ not None, object obj, object old, int64_t revision):
        self.type = type_
        self.obj = obj
        self.old = old
        self.revision = revision
        self.key = ""

    def __repr__(self):
        return f"<{self.type} {self.key} at {self.revision}>"


def deliver(object cache, dict objects not None, list events not None, Py_ssize_t start, object key_of):
    """Apply ``events[start:]`` to a cache, in order, as far as they follow on what it holds; return the index of the first that does not.

    Sets ``cache.revision``, changes ``objects`` and calls each of ``cache.keyed_handlers`` with (key, old, new) and of ``cache.handlers``
    with (old, new) after each change; both are tuples and are read anew for each. ``key_of(obj)`` gives the key of an event that has none yet.
    The number of events when all are applied. O(events x handlers).
    """
    cdef Py_ssize_t index, count = len(events)
    cdef Event event
    cdef object key, old, new
    cdef bint is_gone
    for index in range(start, count):
        event = events[index]
        is_gone = event.type == "DELETED"
        if not is_gone and event.type != "ADDED" and event.type != "MODIFIED":
            return index
        key = event.key
        if key == "":
            key = event.key = key_of(event.obj)
        old = objects.get(key)
        if old is not event.old or (is_gone and old is None):
            return index
        if is_gone:
            new = None
            del objects[key]
        else:
            new = event.obj
            objects[key] = new
        cache.revision = event.revision
        for handler in <tuple?> cache.keyed_handlers:
            handler(key, old, new)
        for handler in <tuple?> cache.handlers:
            handler(old, new)
    return count
