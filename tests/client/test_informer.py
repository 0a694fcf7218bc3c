"""The informer: cache, handlers, indexes and re-lists, fed with plain events."""

import pytest

from kubesim.apiserver.requests import Object, WatchEvent
from kubesim.client.informer import Informer

Seen = list[tuple[str | None, str | None]]


def pod(name: str, revision: int, node: str = "", uid: str = "") -> Object:
    metadata = {"name": name, "namespace": "default", "uid": uid or f"uid-{name}", "resourceVersion": str(revision)}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"nodeName": node} if node else {}}


def node_of(obj: Object) -> tuple[str, ...]:
    node = obj["spec"].get("nodeName")
    return (node,) if node else ()


def event(type_: str, obj: Object, revision: int | None = None) -> WatchEvent:
    return WatchEvent(type_, obj, None, int(obj["metadata"]["resourceVersion"]) if revision is None else revision)


def informer_with_log() -> tuple[Informer, Seen]:
    informer = Informer(None, "pods")
    seen: Seen = []

    def note(obj: Object | None) -> str | None:
        return None if obj is None else f"{obj['metadata']['name']}@{obj['metadata']['resourceVersion']}"

    informer.add_handler(lambda old, new: seen.append((note(old), note(new))))
    return informer, seen


def test_adds_updates_and_deletes_reach_cache_and_handlers_in_order() -> None:
    informer, seen = informer_with_log()
    assert not informer.synced
    informer.on_list([pod("a", 1)], 2)
    informer.on_events([event("ADDED", pod("b", 3)), event("MODIFIED", pod("a", 4)), event("DELETED", pod("b", 5))])
    assert informer.synced and informer.revision == 5
    assert list(informer.objects) == ["default/a"]
    assert seen == [(None, "a@1"), (None, "b@3"), ("a@1", "a@4"), ("b@3", None)]


def test_a_cluster_scoped_object_has_its_name_as_key() -> None:
    informer = Informer(None, "nodes")
    node = {"kind": "Node", "metadata": {"name": "n1", "resourceVersion": "1"}}
    informer.on_events([event("ADDED", node)])
    assert informer.objects == {"n1": node}


def test_a_bookmark_moves_the_revision_only() -> None:
    informer, seen = informer_with_log()
    informer.on_events([event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "9"}}, 9)])
    assert informer.revision == 9 and not informer.objects and not seen


def test_a_delete_of_an_unknown_object_is_nothing() -> None:
    informer, seen = informer_with_log()
    informer.on_events([event("DELETED", pod("a", 3))])
    assert not seen and informer.revision == 3


def test_a_relist_is_delivered_as_differences() -> None:
    informer, seen = informer_with_log()
    informer.on_list([pod("gone", 1), pod("same", 2), pod("changed", 3), pod("reborn", 4)], 4)
    seen.clear()
    informer.on_list([pod("new", 8), pod("same", 2), pod("changed", 7), pod("reborn", 9, uid="other")], 9)
    assert seen == [
        ("gone@1", None),
        (None, "new@8"),
        ("changed@3", "changed@7"),
        ("reborn@4", None),
        (None, "reborn@9"),
    ]
    assert sorted(informer.objects) == ["default/changed", "default/new", "default/reborn", "default/same"]


def test_an_event_about_a_reborn_object_delivers_the_missed_delete() -> None:
    informer, seen = informer_with_log()
    informer.add_index("node", node_of)
    informer.on_events([event("ADDED", pod("a", 1, "n1")), event("MODIFIED", pod("a", 6, "n2", uid="other"))])
    assert seen == [(None, "a@1"), ("a@1", None), (None, "a@6")]
    assert not informer.indexed("node", "n1")
    assert list(informer.indexed("node", "n2")) == ["default/a"]


def test_indexes_follow_every_change_and_keep_the_order_of_first_sight() -> None:
    informer = Informer(None, "pods")
    informer.on_list([pod("a", 1, "n1")], 1)
    informer.add_index("node", node_of)
    informer.on_events([event("ADDED", pod("c", 2, "n1")), event("ADDED", pod("b", 3, "n1")), event("ADDED", pod("free", 4))])
    assert list(informer.indexed("node", "n1")) == ["default/a", "default/c", "default/b"]
    informer.on_events([event("MODIFIED", pod("a", 5, "n1")), event("MODIFIED", pod("c", 6, "n2")), event("DELETED", pod("b", 7, "n1"))])
    assert dict(informer.indexed("node", "n1")) == {"default/a": pod("a", 5, "n1")}
    assert list(informer.indexed("node", "n2")) == ["default/c"]
    assert informer.indexed("node", "nowhere") == {}


def test_an_index_is_one_function() -> None:
    informer = Informer(None, "pods")
    informer.add_index("node", node_of)
    informer.add_index("node", node_of)
    with pytest.raises(ValueError, match="index 'node' exists with another function"):
        informer.add_index("node", lambda obj: ())


def test_a_handler_added_late_is_told_what_is_known_and_nothing_twice() -> None:
    informer = Informer(None, "pods")
    late: list[str] = []

    def add_late(old: Object | None, new: Object | None) -> None:
        if not late:
            informer.add_handler(lambda _, obj: late.append(obj["metadata"]["name"]) if obj else None)

    informer.on_events([event("ADDED", pod("a", 1))])
    informer.add_handler(add_late)
    informer.on_events([event("ADDED", pod("b", 2))])
    assert late == ["a", "b"]


def test_keyed_handlers_run_before_plain_ones() -> None:
    informer = Informer(None, "pods")
    order: list[str] = []
    informer.add_handler(lambda old, new: order.append("plain"))
    informer.add_keyed_handler(lambda key, old, new: order.append(key))
    informer.on_events([event("ADDED", pod("a", 1))])
    assert order == ["default/a", "plain"]
