"""Changes of objects on their way from a log into caches: the record of one change, the loop that hands the changes of a log to whoever
selected them, and the loop that applies many of them to a cache.

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

from kubesim._core.revision_store cimport KeyValue


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


def distribute(
    list changes not None, dict by_type not None, tuple type_fields not None, dict selections_of not None,
    object event_of, object on_unstamped, dict noted not None, dict woken not None,
):
    """Give the changes of a revision store's log to the selections of their kind, in order, each as an ``Event`` shared by all watches.

    A change's kind is ``by_type[value[type_fields[0]], value[type_fields[1]]]``, of its value or, when that is gone, the one before; without
    such an entry it is nobody's. ``on_unstamped(change)`` is called for a value whose ``["metadata"]["resourceVersion"]`` is empty, and
    ``noted[kind](change)`` for kinds that have an entry there. ``selections_of[kind]`` are selections by their keys: one whose ``matches`` is
    None takes every change, another one, and the end of an object, what ``event_of(change, matches, tombstone)`` makes of it (None:
    nothing). Each selection with news becomes a key of ``woken``. O(changes x selections of their kind). The plain twin is in ``tests/client``.
    """
    cdef KeyValue change, previous
    cdef object first = type_fields[0], second = type_fields[1]
    cdef object value, typed, kind, old, selection, matches, event, tombstone
    cdef dict selections
    for change in changes:
        value = change.value
        previous = change.older
        if previous is not None and previous.version == 0:
            previous = None
        typed = value if value is not None or previous is None else previous.value
        if not isinstance(typed, dict):
            continue  # a record that the server keeps for itself
        kind = by_type.get(((<dict> typed).get(first), (<dict> typed).get(second)))
        if kind is None:
            continue
        if value is not None and not (<dict> value)["metadata"]["resourceVersion"]:
            on_unstamped(change)
        if kind in noted:
            noted[kind](change)
        selections = selections_of.get(kind)
        if not selections:
            continue
        tombstone = None
        for selection in selections.values():
            matches = selection.matches
            if matches is None and value is not None:
                old = None if previous is None else previous.value
                event = Event("ADDED" if old is None else "MODIFIED", value, old, change.mod_revision)
            else:
                event = event_of(change, matches, tombstone)
                if event is None:
                    continue
                if (<Event?> event).type == "DELETED":
                    tombstone = (<Event> event).obj
            selection.events.append(event)
            woken[selection] = None
