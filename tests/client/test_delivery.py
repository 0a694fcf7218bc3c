"""The compiled loop of an informer against its twin, which applies one change at a time the general way."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubesim.apiserver.requests import WatchEvent
from kubesim.client.informer import Informer

TYPES = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")
steps = st.tuples(st.sampled_from(TYPES), st.integers(0, 2), st.integers(0, 1), st.sampled_from(("known", "none", "stale")))


def watch_events(drawn: list[tuple[str, int, int, str]]) -> list[WatchEvent]:
    """Events about three names and two uids each; ``old`` is what was last seen of the name, nothing, or another object."""
    events, last = [], {}
    for revision, (type_, name, uid, before) in enumerate(drawn, 1):
        metadata = {"name": f"n{name}", "namespace": "a", "uid": f"u{uid}", "resourceVersion": str(revision)}
        obj = {"kind": "ConfigMap", "metadata": metadata}
        known = last.get(name)
        if known is not None and known["metadata"]["uid"] != metadata["uid"]:
            known = None  # etcd's log never shows one object as what became of another: this one was created
        old = {"known": known, "none": None, "stale": {**obj, "stale": True}}[before]
        events.append(WatchEvent(type_, obj, old, revision))
        last[name] = None if type_ == "DELETED" else obj
    return events


def watched(log: list[Any]) -> Informer:
    """An informer that writes down every call of a handler, and gets another handler with the third change."""
    informer = Informer(None, "configmaps")
    informer.add_keyed_handler(lambda key, old, new: log.append(("keyed", informer.revision, key, old, new)))

    def plain(old: Any, new: Any) -> None:
        log.append(("plain", len(informer.objects), old, new))
        if informer.revision == 3 and len(informer.handlers) == 1:
            informer.add_handler(lambda old, new: log.append(("late", old, new)))

    informer.add_handler(plain)
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
