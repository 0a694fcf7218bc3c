"""The compiled loop of an informer against its twin, which applies one change at a time the general way."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubesim._core.delivery import changed_parts, distribute
from kubesim._core.revision_store import RevisionStore
from kubesim.apiserver.requests import WatchEvent
from kubesim.apiserver.watch_cache import TYPE_FIELDS, _event_of
from kubesim.client.informer import ADDED, CHANGED, FIRST_PART, GONE, Informer, looks_at

TYPES = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")
steps = st.tuples(st.sampled_from(TYPES), st.integers(0, 2), st.integers(0, 1), st.sampled_from(("known", "none", "stale")))
names = st.sampled_from("abc")
trees: Any = st.recursive(st.integers(0, 1) | st.none(), lambda leaves: st.dictionaries(names, leaves, max_size=3), max_leaves=6)
objects = st.dictionaries(names, trees, max_size=3)
paths = st.lists(st.lists(names, min_size=1, max_size=3).map(tuple), max_size=5, unique=True).map(tuple)


DATA = ({"a": "1"}, {"a": "2"})


def part(obj: Any, path: tuple[str, ...]) -> Any:
    """What an object has at a path, None for nothing."""
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


@given(objects, objects, st.booleans(), paths)
def test_a_part_has_changed_when_it_is_another_object(old: Any, new: Any, shared: bool, parts: tuple[tuple[str, ...], ...]) -> None:
    if shared:
        new = {**old, **dict(list(new.items())[:1])}
    expected = [part(old, path) is not part(new, path) for path in parts]
    changed = changed_parts(old, new, parts)
    assert [bool(changed & FIRST_PART << place) for place in range(len(parts))] == expected
    assert changed & (FIRST_PART - 1) == CHANGED
    assert (changed_parts(None, new, parts), changed_parts(old, None, parts)) == (ADDED, GONE)


def watch_events(drawn: list[tuple[str, int, int, str]]) -> list[WatchEvent]:
    """Events about three names and two uids each; ``old`` is what was last seen of the name, nothing, or another object."""
    events, last = [], {}
    for revision, (type_, name, uid, before) in enumerate(drawn, 1):
        metadata = {"name": f"n{name}", "namespace": "a", "uid": f"u{uid}", "resourceVersion": str(revision)}
        obj = {"kind": "ConfigMap", "metadata": metadata, "data": DATA[revision % 2]}
        known = last.get(name)
        if known is not None and known["metadata"]["uid"] != metadata["uid"]:
            known = None  # etcd's log never shows one object as what became of another: this one was created
        old = {"known": known, "none": None, "stale": {**obj, "stale": True}}[before]
        events.append(WatchEvent(type_, obj, old, revision))
        last[name] = None if type_ == "DELETED" else obj
    return events


def watched(log: list[Any]) -> Informer:
    """An informer that writes down every call of a handler, and gets another handler with the third change; some look at a part only."""
    informer = Informer(None, "configmaps")
    informer.add_keyed_handler(lambda key, old, new: log.append(("keyed", informer.revision, key, old, new)))

    def plain(old: Any, new: Any) -> None:
        log.append(("plain", len(informer.objects), old, new))
        if informer.revision == 3 and len(informer.handlers) == 2:
            informer.add_handler(lambda old, new: log.append(("late", old, new)))

    informer.add_handler(plain)
    informer.add_handler(looks_at("data")(lambda old, new: log.append(("data", informer.changed, old, new))))
    informer.add_keyed_handler(looks_at("metadata.labels")(lambda key, old, new: log.append(("labels", informer.changed, old, new))))
    informer.add_index("name", lambda obj: (obj["metadata"]["name"],))
    return informer


@given(st.lists(steps, max_size=12), st.integers(1, 12))
def test_a_batch_is_applied_as_its_events_one_by_one(drawn: list[tuple[str, int, int, str]], batch_size: int) -> None:
    batch_log: list[Any] = []
    single_log: list[Any] = []
    batched, single = watched(batch_log), watched(single_log)
    events = watch_events(drawn)
    for start in range(0, len(events), batch_size):
        batched.on_events(events[start : start + batch_size])
    for event in events:
        single.on_event(event)
    assert batch_log == single_log
    assert batched.objects == single.objects
    assert list(batched.objects) == list(single.objects)
    assert batched.revision == single.revision
    assert [batched.indexed("name", f"n{name}") for name in range(3)] == [single.indexed("name", f"n{name}") for name in range(3)]


class Selected:
    """What ``distribute`` needs of a selection."""

    def __init__(self, matches: Any = None) -> None:
        self.matches = matches
        self.events: list[WatchEvent] = []


def selections() -> dict[str, dict[int, Selected]]:
    """Two kinds with three selections and one; nobody has selected the third."""
    even, large = Selected(lambda obj: obj["n"] % 2 == 0), Selected(lambda obj: obj["n"] > 1)
    return {"pod": {0: Selected(), 1: even, 2: large}, "node": {0: Selected()}}


def plain_distribute(changes: list[Any], by_type: dict[Any, str], selections_of: Any, unstamped: Any, noted: Any, woken: Any) -> None:
    """The plain twin of ``distribute``."""
    for change in changes:
        typed = change.value if change.value is not None else change.previous and change.previous.value
        kind = by_type.get(tuple(typed.get(field) for field in TYPE_FIELDS)) if isinstance(typed, dict) else None
        if kind is None:
            continue
        if change.value is not None and not change.value["metadata"]["resourceVersion"]:
            unstamped(change)
        if kind in noted:
            noted[kind](change)
        tombstone = None
        for selection in selections_of.get(kind, {}).values():
            event = _event_of(change, selection.matches, tombstone)
            if event is not None:
                tombstone = event.obj if event.type == "DELETED" else tombstone
                selection.events.append(event)
                woken[selection] = None


kinds = st.sampled_from(("Pod", "Node", "Lease", "?", ""))  # "?": a record that is no object; "": a delete
writes = st.lists(st.tuples(st.integers(0, 2), kinds, st.integers(0, 3), st.booleans()), max_size=20)


@given(writes)
def test_changes_are_distributed_as_by_the_twin(drawn: list[tuple[int, str, int, bool]]) -> None:
    store = RevisionStore()
    for key, kind, number, is_stamped in drawn:
        version = "5" if is_stamped else ""
        value: Any = b"raw" if kind == "?" else {"kind": kind, "apiVersion": "v1", "n": number, "metadata": {"resourceVersion": version}}
        if kind:
            store.put(b"%s/%d" % (b"raw" if kind == "?" else b"obj", key), value)
        else:
            store.delete(b"obj/%d" % key)
    by_type = {("v1", "Pod"): "pod", ("v1", "Node"): "node", ("v1", "Lease"): "lease"}
    results = []
    for is_twin in (False, True):
        log: list[Any] = []
        selected, woken = selections(), {}
        noted = {"node": lambda change, log=log: log.append(("noted", change.revision))}
        unstamped = lambda change, log=log: log.append(("unstamped", change.revision))  # noqa: E731
        if is_twin:
            plain_distribute(store.changes(1), by_type, selected, unstamped, noted, woken)
        else:
            distribute(store.changes(1), by_type, TYPE_FIELDS, selected, _event_of, unstamped, noted, woken)
        all_selections = [selection for of_kind in selected.values() for selection in of_kind.values()]
        events = [[(event.type, event.obj, event.old, event.revision) for event in selection.events] for selection in all_selections]
        results.append((log, events, [all_selections.index(selection) for selection in woken]))
    assert results[0] == results[1]
