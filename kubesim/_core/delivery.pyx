"""Changes of objects on their way into caches: the record of one change, and the loop that applies many of them to a cache.

A batch of a watch goes through three caches, and each change through about ten handlers; the loop between them was the largest single
piece of Python of a run. Only the plain case is here: the change follows on what the cache holds (the very same object). Everything
else is left to the caller, whose way of applying one change is also the twin of this one.
"""

cimport cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.ref cimport PyObject

cdef enum:
    CHANGED = 1
    ADDED = 2
    GONE = 4
    FIRST_PART = 8


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


cdef inline PyObject *_value(PyObject *holder, object name) except? NULL:
    """The value at a name, None when there is none or the holder is no dict; borrowed."""
    cdef PyObject *found = NULL
    if isinstance(<object>holder, dict):
        found = PyDict_GetItemWithError(<object>holder, name)
    return found if found != NULL else <PyObject *>None


cdef int64_t _changed(object old, object new, tuple parts) except -1:
    """CHANGED, and a bit for each part (from FIRST_PART on) that is not the very same object in both."""
    cdef int64_t changed = CHANGED, bit = FIRST_PART
    cdef PyObject *before
    cdef PyObject *after
    cdef tuple path
    for path in parts:
        before, after = <PyObject *>old, <PyObject *>new
        for name in path:
            before, after = _value(before, name), _value(after, name)
            if before == after:
                break
        if before != after:
            changed |= bit
        bit <<= 1
    return changed


def changed_parts(object old, object new, tuple parts not None):
    """What a change is, as bits: see ``deliver``. ``parts`` are paths, tuples of names; parts compare by identity.

    >>> one = {"a": {"b": 1, "c": 2}}
    >>> bin(changed_parts(one, {"a": {**one["a"], "c": 3}}, (("a",), ("a", "b"), ("a", "c"), ("d",))))
    '0b101001'
    >>> changed_parts(None, one, ()), changed_parts(one, None, ())
    (2, 4)
    """
    return ADDED if old is None else GONE if new is None else _changed(old, new, parts)


def deliver(object cache, dict objects not None, list events not None, Py_ssize_t start, object key_of):
    """Apply ``events[start:]`` to a cache, in order, as far as they follow on what it holds; return the index of the first that does not.

    Sets ``cache.revision`` and ``cache.changed``, changes ``objects`` and calls each of ``cache.keyed_handlers`` with (key, old, new) and of
    ``cache.handlers`` with (old, new) after each change. Both are tuples of (mask, handler) and are read anew for each; a handler is
    called when its mask has a bit of ``changed``: 1 for a change, 2 for a new object, 4 for one that is gone, 8, 16, ... for each of
    ``cache.parts`` (paths) that is not the very same object as before. ``key_of(obj)`` gives the key of an event that has none yet.
    The number of events when all are applied. O(events x (handlers + parts)).
    """
    cdef Py_ssize_t index, count = len(events)
    cdef Event event
    cdef object key, old, new
    cdef bint is_gone
    cdef int64_t changed, mask
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
        changed = ADDED if old is None else GONE if new is None else _changed(old, new, <tuple?> cache.parts)
        cache.changed = changed
        for mask, handler in <tuple?> cache.keyed_handlers:
            if mask & changed:
                handler(key, old, new)
        for mask, handler in <tuple?> cache.handlers:
            if mask & changed:
                handler(old, new)
    return count
