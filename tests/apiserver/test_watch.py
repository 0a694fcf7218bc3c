"""Watches: what happened since a revision, once, in order, by selection (rules A5, A6, A7)."""

import pytest

from kubesim.api.errors import ApiError
from kubesim.apiserver import watch_cache
from kubesim.apiserver.requests import create, delete, patch
from kubesim.kernel.time import SECOND
from tests.apiserver.builders import config_map, namespace


class Watcher:
    """A watch that counts its wake-ups and keeps what it took."""

    def __init__(self, api, resource: str = "configmaps", **selection) -> None:
        self.wakeups = 0
        self.watch = api.server.watch(resource, on_ready=self._wake, **selection)

    def _wake(self) -> None:
        self.wakeups += 1

    def seen(self) -> list[tuple[str, str, int]]:
        """(type, name, revision) of what is there to take."""
        return [(event.type, event.obj["metadata"]["name"], event.revision) for event in self.watch.take()]


def label(api, name: str, value: str | None) -> None:
    api(patch("configmaps", "default", name, {"metadata": {"labels": {"l": value}}}))


def test_every_change_comes_once_and_in_order(api) -> None:
    watcher = Watcher(api)
    head = api.revision()
    api(create("configmaps", "default", config_map("a")))
    api(create("configmaps", "kube-system", config_map("b")))
    label(api, "a", "x")
    api(create("secrets", "default", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}))
    api(delete("configmaps", "default", "a"))
    assert watcher.wakeups == 0
    api.run()
    assert watcher.wakeups == 1
    assert watcher.seen() == [("ADDED", "a", head + 1), ("ADDED", "b", head + 2), ("MODIFIED", "a", head + 3), ("DELETED", "a", head + 5)]
    assert watcher.seen() == []


def test_the_last_state_carries_the_revision_of_the_delete(api) -> None:
    watcher = Watcher(api)
    made = api(create("configmaps", "default", config_map("a")))
    api(delete("configmaps", "default", "a"))
    api.run()
    event = watcher.watch.take()[-1]
    assert event.obj == {**made, "metadata": {**made["metadata"], "resourceVersion": str(api.revision())}}
    assert (event.type, event.old, event.revision) == ("DELETED", made, api.revision())


def test_objects_enter_and_leave_a_selection(api) -> None:
    watcher = Watcher(api, label_selector="l=x")
    head = api.revision()
    api(create("configmaps", "default", config_map("a")))
    for value in ("x", "x2", None, "x"):
        label(api, "a", value)
    api(patch("configmaps", "default", "a", {"data": {"n": "1"}}))
    api(delete("configmaps", "default", "a"))
    api.run()
    expected = [("ADDED", head + 2), ("DELETED", head + 3), ("ADDED", head + 5), ("MODIFIED", head + 6), ("DELETED", head + 7)]
    events = watcher.watch.take()
    assert [(event.type, event.revision) for event in events] == expected
    assert [event.obj["metadata"]["resourceVersion"] for event in events] == [str(revision) for _, revision in expected]
    assert [event.obj["metadata"]["labels"] for event in events] == [{"l": "x"}] * 5
    assert [event.old is not None for event in events] == [False, True, False, True, True]


def test_a_namespace_and_a_field_select(api) -> None:
    api(create("namespaces", "", namespace("n")))
    watchers = Watcher(api, namespace="n"), Watcher(api, field_selector="metadata.name=b")
    for where in ("default", "n"):
        for name in "ab":
            api(create("configmaps", where, config_map(name)))
    api.run()
    assert [[name for _, name, _ in watcher.seen()] for watcher in watchers] == [["a", "b"], ["b", "b"]]


def test_watches_of_one_selection_share_their_events(api) -> None:
    watchers = [Watcher(api, label_selector="l=x") for _ in range(3)]
    api(create("configmaps", "default", config_map("a", labels={"l": "x"})))
    api.run()
    first, second, third = (watcher.watch.take() for watcher in watchers)
    assert first[0] is second[0] is third[0]


@pytest.mark.parametrize("back", range(6))
def test_a_watch_goes_on_from_any_revision(api, back) -> None:
    live = Watcher(api)
    head = api.revision()
    for name in "abcde":
        api(create("configmaps", "default", config_map(name)))
    api.run()
    late = Watcher(api, revision=head + back)
    assert late.wakeups == (1 if back < 5 else 0)
    api(delete("configmaps", "default", "a"))
    api.run()
    assert late.seen() == live.seen()[back:]


def test_a_list_and_its_watch_have_no_gap(api) -> None:
    api(create("configmaps", "default", config_map("a")))
    woken: list[int] = []
    items, revision, watch = api.server.watch_list("configmaps", namespace="default", on_ready=lambda: woken.append(1))
    assert ([item["metadata"]["name"] for item in items], revision) == (["a"], api.revision())
    api(create("configmaps", "default", config_map("b")))
    api.run()
    assert ([event.obj["metadata"]["name"] for event in watch.take()], woken) == (["b"], [1])


def test_a_watcher_is_woken_again_after_it_took(api) -> None:
    watcher = Watcher(api)
    for count, name in enumerate("abc", 1):
        api(create("configmaps", "default", config_map(name)))
        api.run()
        api(create("configmaps", "default", config_map(name * 2)))
        api.run()
        assert watcher.wakeups == count
        assert len(watcher.seen()) == 2


def test_a_cancelled_watch_is_not_woken(api) -> None:
    watcher = Watcher(api)
    watcher.watch.cancel()
    api(create("configmaps", "default", config_map("a")))
    api.run()
    assert watcher.wakeups == 0
    watcher.watch.cancel()


def test_a_selection_lives_as_long_as_its_watches(api) -> None:
    first, second = Watcher(api, label_selector="l=x"), Watcher(api, label_selector="l=x")
    selections = api.server.watch_cache._selections[api.server.registry.resource("configmaps")]
    first.watch.cancel()
    assert len(selections) == 1
    second.watch.cancel()
    assert not selections
    third = Watcher(api, label_selector="l=x")
    api(create("configmaps", "default", config_map("a", labels={"l": "x"})))
    api.run()
    assert [name for _, name, _ in third.seen()] == ["a"]


def test_a_compacted_revision_is_gone(api) -> None:
    head = api.revision()
    for name in "abc":
        api(create("configmaps", "default", config_map(name)))
    api.run()
    api.server.etcd.execute(("compact", head + 2))
    with pytest.raises(ApiError) as error:
        Watcher(api, revision=head)
    assert (error.value.code, error.value.reason) == (410, "Expired")
    assert [name for _, name, _ in Watcher(api, revision=head + 2).seen()] == ["c"]
    with pytest.raises(ApiError) as error:
        Watcher(api, revision=head + 9)
    assert error.value.code == 504


def test_a_compaction_in_the_same_instant_loses_nothing(api) -> None:
    watcher = Watcher(api)
    for name in "abc":
        api(create("configmaps", "default", config_map(name)))
    api.server.etcd.execute(("compact", api.revision()))
    assert watcher.wakeups == 1
    assert [name for _, name, _ in watcher.seen()] == ["a", "b", "c"]


def test_who_falls_behind_too_far_lists_again(api, monkeypatch) -> None:
    monkeypatch.setattr(watch_cache, "EVENTS_MAX", 50)
    monkeypatch.setattr(watch_cache, "TRIM_EVENTS_MIN", 10)
    slow, quick = Watcher(api), Watcher(api)
    selection = slow.watch._selection
    taken = 0
    for index in range(200):
        api(create("configmaps", "default", config_map(f"c{index}")))
        api.run()
        taken += len(quick.seen())
        assert len(selection.events) <= 2 * 50 + 10
    assert taken == 200
    with pytest.raises(ApiError) as error:
        slow.watch.take()
    assert error.value.code == 410
    assert slow.watch not in selection.watches


def test_what_everybody_took_is_not_kept(api, monkeypatch) -> None:
    monkeypatch.setattr(watch_cache, "TRIM_EVENTS_MIN", 10)
    watcher = Watcher(api)
    selection = watcher.watch._selection
    selection.trim_count = 10
    for index in range(100):
        api(create("configmaps", "default", config_map(f"c{index}")))
        api.run()
        watcher.seen()
    assert len(selection.events) <= 20


def test_a_bookmark_says_how_far_the_watch_is(api) -> None:
    watcher = Watcher(api)
    api(create("secrets", "default", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}))
    api.run(SECOND)
    bookmark = watcher.watch.bookmark()
    assert (bookmark.type, bookmark.revision, bookmark.obj["metadata"]) == (
        "BOOKMARK",
        api.revision(),
        {"resourceVersion": str(api.revision())},
    )
    assert (bookmark.obj["kind"], bookmark.obj["apiVersion"]) == ("ConfigMap", "v1")


def test_bad_selections_are_refused(api) -> None:
    for selection, code in (({"label_selector": "a b"}, 400), ({"field_selector": "x=y"}, 400)):
        with pytest.raises(ApiError) as error:
            Watcher(api, **selection)
        assert error.value.code == code
    with pytest.raises(ApiError) as error:
        Watcher(api, "nopes")
    assert error.value.code == 404
