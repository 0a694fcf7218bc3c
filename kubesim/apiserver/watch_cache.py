"""The watch cache: one pass over etcd's change log for all watchers.

Per change: one look-up of its resource, and per distinct selection (resource, namespace, selectors) one match and at most one
``WatchEvent``, shared by all watchers of that selection. A ``Watch`` is a cursor into its selection's events; wake-ups are coalesced
(one call of ``on_ready`` until the next ``take``), and many writes at one instant are one pass.

Events are kept until the slowest cursor has taken them, at most ``EVENTS_MAX``; who falls behind gets 410, as upstream's slow watchers
do. A watch from an older revision is served from etcd's own log, which reaches back to the last compaction, and beyond it from the last
``history_events_max`` changes that compaction has taken away.

Upstream: storage/cacher/{cacher,watch_cache,cache_watcher}.go.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from kubesim._core.delivery import distribute
from kubesim._core.revision_store import RevisionStore
from kubesim.api.errors import gone
from kubesim.apiserver.indexed_selections import IndexedSelections, indexed_term
from kubesim.apiserver.metadata import stamped
from kubesim.apiserver.registry import Registry, Resource
from kubesim.apiserver.requests import WatchEvent
from kubesim.apiserver.selection import Matches, compile_selection
from kubesim.kernel.loop import Kernel
from kubesim.kernel.wake import Wakeup

Object = dict[str, Any]
OnReady = Callable[[], object]
EVENTS_MAX = 100_000
TRIM_EVENTS_MIN = 1_024
TYPE_FIELDS = ("apiVersion", "kind")
ADDED, MODIFIED, DELETED, BOOKMARK = "ADDED", "MODIFIED", "DELETED", "BOOKMARK"


class Selection:
    """One distinct selection of a resource: its events since ``base``, shared by its watches."""

    __slots__ = ("base", "events", "key", "matches", "resource", "trim_count", "waiting", "watches")

    def __init__(self, resource: Resource, key: tuple[str, str, str], matches: Matches | None) -> None:
        self.resource = resource
        self.key = key
        self.matches = matches
        self.events: list[WatchEvent] = []
        self.base = 0  # the place of events[0] in the whole sequence
        self.watches: dict[Watch, None] = {}
        self.waiting: list[Watch] = []  # those whose on_ready is due at the next event
        self.trim_count = TRIM_EVENTS_MIN

    def trim(self) -> None:
        """Drop what every watch has taken, and what is beyond the limit; amortised O(1) per event."""
        end = self.base + len(self.events)
        slowest = min((watch.position for watch in self.watches), default=end)
        keep_from = max(slowest, end - EVENTS_MAX)
        del self.events[: keep_from - self.base]
        self.base = keep_from
        self.trim_count = max(TRIM_EVENTS_MIN, 2 * len(self.events))


class Watch:
    """A cursor into a selection. ``take`` gives what happened since the last ``take``."""

    __slots__ = ("_backlog", "_cache", "_is_open", "_is_waiting", "_selection", "on_ready", "position")

    def __init__(self, cache: "WatchCache", selection: Selection, on_ready: OnReady, backlog: list[WatchEvent]) -> None:
        self.on_ready = on_ready
        self.position = selection.base + len(selection.events)
        self._cache = cache
        self._selection = selection
        self._backlog = backlog
        self._is_open = True
        self._is_waiting = not backlog
        selection.watches[self] = None
        if self._is_waiting:
            selection.waiting.append(self)

    def take(self) -> list[WatchEvent]:
        """Return the events since the last call, in order. Raises ApiError 410 when some are lost; the watch is closed then."""
        selection = self._selection
        index = self.position - selection.base
        if index < 0:
            self.cancel()
            raise gone(f"too old resource version: {self._cache.revision} events of this watch were dropped")
        events = selection.events[index:]
        self.position += len(events)
        if self._backlog:
            events = self._backlog + events
            self._backlog = []
        if not self._is_waiting and self._is_open:
            self._is_waiting = True
            selection.waiting.append(self)
        return events

    def wake(self) -> None:
        """Call ``on_ready``; it is called again after the next ``take`` only."""
        self._is_waiting = False
        if self._is_open:
            self.on_ready()

    def bookmark(self) -> WatchEvent:
        """An event that says how far the watch has come, for a watch that has just taken everything."""
        revision, resource = self._cache.revision, self._selection.resource
        metadata = {"resourceVersion": str(revision)}
        return WatchEvent(BOOKMARK, {"kind": resource.kind.kind, "apiVersion": resource.api_version, "metadata": metadata}, None, revision)

    def cancel(self) -> None:
        """Stop watching; ``on_ready`` is not called any more."""
        self._is_open = False
        self._selection.watches.pop(self, None)
        if not self._selection.watches:
            self._cache.forget(self._selection)


class WatchCache:
    """Reads the change log of a store and feeds all selections. ``revision`` is how far it has come."""

    def __init__(
        self,
        kernel: Kernel,
        store: RevisionStore,
        registry: Registry,
        on_policy_change: Callable[[Resource, int], object],
        history_events_max: int = 0,
    ) -> None:
        self.revision = store.revision
        # What compaction takes away and a watch may still ask for, as upstream's cache has it: (revision, resource, new, old).
        self._kept: deque[tuple[int, Resource, Object | None, Object | None]] = deque()
        self._kept_max = history_events_max
        self._kept_after = self._kept_until = max(store.compact_revision, 0)
        self._store = store
        self._by_type = registry.by_type
        self._selections: dict[Resource, dict[tuple[str, str, str], Selection]] = {}
        policies = [resource for resource in registry.by_name.values() if resource.is_policy]
        # Who is told of each change of a resource: the policies' keepers, and the selections that are looked up.
        self._policies: dict[Resource, Callable[[Any], object]] = {each: partial(_changed, on_policy_change, each) for each in policies}
        self._told: dict[Resource, Callable[[Any], object]] = dict(self._policies)
        self._by_key: dict[tuple[Resource, tuple[str, str, str]], Selection] = {}
        self._indexed: dict[Resource, IndexedSelections] = {}
        self._woken: dict[Selection, None] = {}
        self._wakeup = Wakeup(kernel, self.drain)
        # The writer stamps the revision into the object after the store has called us, so the log is read in an event of its own.
        self._listener = store.on_change(self._wakeup.set)
        self._listener.arm()
        store.before_compact(self._before_compact)

    def watch(
        self,
        resource: Resource,
        namespace: str,
        label_selector: str,
        field_selector: str,
        revision: int | None,
        on_ready: OnReady,
    ) -> Watch:
        """Watch the changes after ``revision`` (None: from now). Raises 400 for a bad selector, 410 for a compacted revision."""
        if revision is not None and revision < self._store.compact_revision and not self._reaches_back_to(revision):
            raise gone("The resourceVersion for the provided watch is too old.")
        key = (namespace, label_selector, field_selector)
        selection = self._by_key.get((resource, key))
        self.drain()
        if selection is None:
            matches = compile_selection(resource, namespace, label_selector, field_selector)
            selection = Selection(resource, key, matches)
            self._keep(selection)
        backlog: list[WatchEvent] = []
        if revision is not None and revision < self.revision:
            backlog = self._history(resource, selection.matches, revision)
        watch = Watch(self, selection, on_ready, backlog)
        if backlog:
            on_ready()
        return watch

    def forget(self, selection: Selection) -> None:
        """Drop a selection that nobody watches any more."""
        resource, key = selection.resource, selection.key
        if self._by_key.get((resource, key)) is not selection:
            return
        del self._by_key[resource, key]
        term = indexed_term(key[2])
        if term is None:
            del self._selections[resource][key]
        else:
            self._indexed[resource].remove(term, selection)

    def _keep(self, selection: Selection) -> None:
        resource, key = selection.resource, selection.key
        self._by_key[resource, key] = selection
        term = indexed_term(key[2])
        if term is None:
            self._selections.setdefault(resource, {})[key] = selection
            return
        if resource not in self._indexed:
            self._indexed[resource] = IndexedSelections()
            self._told[resource] = partial(self._tell, resource, self._policies.get(resource))
        self._indexed[resource].add(term, selection)

    def _tell(self, resource: Resource, keeper: Callable[[Any], object] | None, change: Any) -> None:
        """Give a change to the selections that are looked up by what is in it."""
        if keeper is not None:
            keeper(change)
        previous = change.previous
        for selection in self._indexed[resource].near(change.value, None if previous is None else previous.value):
            event = _event_of(change, selection.matches, None)
            if event is not None:
                selection.events.append(event)
                self._woken[selection] = None

    def _before_compact(self) -> None:
        """Read what was written in the same instant, and keep what is about to be forgotten, as far as it is wanted."""
        self.drain()
        if not self._kept_max:
            return
        for change in self._store.changes(self._kept_until):
            resource = self._resource_of(change)
            if resource is not None:
                old = None if change.previous is None else change.previous.value
                self._kept.append((change.revision, resource, change.value, old))
        self._kept_until = self._store.revision
        while len(self._kept) > self._kept_max:
            self._kept_after = self._kept.popleft()[0]

    def _reaches_back_to(self, revision: int) -> bool:
        return bool(self._kept_max) and self._kept_after <= revision

    def _history(self, resource: Resource, matches: Matches | None, revision: int) -> list[WatchEvent]:
        events: list[WatchEvent] = []
        if revision < self._store.compact_revision:
            for kept_revision, kept_resource, new, old in self._kept:
                if kept_revision > revision and kept_resource is resource:
                    event = _event_between(new, old, kept_revision, matches, None)
                    if event is not None:
                        events.append(event)
            revision = self._kept_until
        for change in self._store.changes(revision):
            if self._resource_of(change) is resource:
                event = _event_of(change, matches, None)
                if event is not None:
                    events.append(event)
        return events

    def _resource_of(self, change: Any) -> Resource | None:
        value = change.value
        if value is None:
            previous = change.previous
            value = None if previous is None else previous.value
        try:
            return self._by_type.get((value["apiVersion"], value["kind"]))
        except (TypeError, KeyError):
            return None  # a record that the server keeps for itself

    def drain(self) -> None:
        """Bring every selection up to the head of the store. O(new changes x distinct selections that may want them)."""
        if self._store.revision == self.revision:
            self._listener.arm()
            return
        woken = self._woken = {}
        changes = self._store.changes(self.revision)
        distribute(changes, self._by_type, TYPE_FIELDS, self._selections, _event_of, stamped, self._told, woken)
        self.revision = self._store.revision
        self._listener.arm()
        for selection in woken:
            if len(selection.events) >= selection.trim_count:
                selection.trim()
            waiting, selection.waiting = selection.waiting, []
            for watch in waiting:
                watch.wake()


def _changed(on_policy_change: Callable[[Resource, int], object], resource: Resource, change: Any) -> object:
    return on_policy_change(resource, change.revision)


def _event_of(change: Any, matches: Matches | None, tombstone: Object | None) -> WatchEvent | None:
    """What a selection sees of a change: objects enter as ADDED and leave as DELETED, by their life or by the selector."""
    previous = change.previous
    return _event_between(change.value, None if previous is None else previous.value, change.revision, matches, tombstone)


def _event_between(
    obj: Object | None, old: Object | None, revision: int, matches: Matches | None, tombstone: Object | None
) -> WatchEvent | None:
    if matches is not None:
        if obj is not None and not matches(obj):
            obj = None
        if old is not None and not matches(old):
            old = None
    if obj is not None:
        return WatchEvent(ADDED if old is None else MODIFIED, obj, old, revision)
    if old is None:
        return None
    return WatchEvent(DELETED, tombstone or at_revision(old, revision), old, revision)


def at_revision(obj: Object, revision: int) -> Object:
    """The last state of an object under the revision at which it left."""
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(revision)}}
