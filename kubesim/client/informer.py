"""The informer: a component's cache of one resource, with indexes and handlers, fed by a link.

Holds the objects themselves (read-only, shared with the store), never copies. Handlers get ``(old, new)``: an add is
``(None, new)``, a delete ``(old, None)``, and ``old`` is always what this cache held, so whoever keeps sums by difference
keeps them exact, also across a re-list, which is delivered as the synthetic differences between two states.
Indexes are updated by difference; a bucket lists its objects in the order they were first seen. A handler, a mapper or an index
function that reads a part of its objects only says which (``looks_at``), and is not asked about changes of anything else: unchanged
parts of an object are the very same ones in its next version. No resync period: upstream's controllers of this project do not set one.

Upstream: client-go/tools/cache (shared_informer.go, delta_fifo.go, thread_safe_store.go).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any, TypeVar

from kubesim._core.delivery import changed_parts, deliver
from kubesim.api.meta import key_of
from kubesim.apiserver.requests import Object, WatchEvent
from kubesim.client.contract import Link

Handler = Callable[[Object | None, Object | None], Any]
KeyedHandler = Callable[[str, Object | None, Object | None], Any]
IndexFunction = Callable[[Object], Iterable[str]]
Path = tuple[str, ...]
Function = TypeVar("Function", bound=Callable[..., Any])

CHANGED, ADDED, GONE, FIRST_PART = 1, 2, 4, 8  # what ``Informer.changed`` says, see ``_core.delivery``
EVERY_CHANGE = CHANGED | ADDED | GONE
PARTS_MAX = 37
FIRST_SIGNAL = FIRST_PART << PARTS_MAX  # from here on bits are set by keyed handlers, to tell plain ones: see ``told_by``
EMPTY: Mapping[str, Object] = {}


def looks_at(*parts: str) -> Callable[[Function], Function]:
    """Declare that a function of objects reads these parts of them only ("spec", "metadata.labels"), and names.

    It is asked about every object that comes or goes, and about a change when one of the parts is not the very same object as before.
    """

    def declared(function: Function) -> Function:
        function.looks_at = parts  # type: ignore[attr-defined]
        return function

    return declared


def told_by(signal: int) -> Callable[[Function], Function]:
    """Declare that a plain handler wants those changes only for which a keyed handler has set this bit of ``Informer.changed``."""

    def declared(function: Function) -> Function:
        function.told_by = signal  # type: ignore[attr-defined]
        return function

    return declared


class _Index:
    """One index: value -> keys. Every operation is O(number of values of the object)."""

    __slots__ = ("buckets", "looks_at", "values_of")

    def __init__(self, values_of: IndexFunction) -> None:
        self.values_of = values_of
        self.looks_at: Sequence[str] | None = getattr(values_of, "looks_at", None)
        self.buckets: dict[str, dict[str, None]] = {}

    def __call__(self, key: str, old: Object | None, new: Object | None) -> None:
        new_values = self.values_of(new) if new is not None else ()
        if old is not None:
            for value in self.values_of(old):
                if value not in new_values:
                    bucket = self.buckets[value]
                    del bucket[key]
                    if not bucket:
                        del self.buckets[value]
        for value in new_values:
            self.buckets.setdefault(value, {})[key] = None


class Informer:
    """A cache of one resource (in one namespace, or selected by labels or fields), kept up to date by a subscription.

    ``objects`` maps keys to objects in the order they were first seen; ``revision`` is the state it shows; ``synced`` is true
    from the first list on; ``changed`` says what the change being delivered is and which ``parts`` it concerns. ``link`` may be None
    in tests: then whoever holds it calls ``on_list`` and ``on_events``.
    """

    def __init__(
        self, link: Link | None, resource: str, *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> None:
        self.resource = resource
        self.objects: dict[str, Object] = {}
        self.revision = 0
        self.synced = False
        self._link = link
        self._selection = {"namespace": namespace, "label_selector": label_selector, "field_selector": field_selector}
        self._indexes: dict[str, _Index] = {}
        # Tuples, replaced when one is added: an event on its way is never given to a handler that was told of it in its replay.
        # With each, the changes that it is called for.
        self.handlers: tuple[tuple[int, Handler], ...] = ()
        self.keyed_handlers: tuple[tuple[int, KeyedHandler], ...] = ()
        self.parts: tuple[Path, ...] = ()  # what some handler looks at, one bit each
        self.changed = 0
        self._started = False
        self.on_synced: Callable[[], None] | None = None  # called after the first list

    def start(self) -> None:
        """List and watch from now on; a second call does nothing."""
        if self._link is not None and not self._started:
            self._started = True
            self._link.subscribe(self.resource, self, **self._selection)

    def add_handler(self, handler: Handler) -> None:
        """Call ``handler(old, new)`` on every change that it ``looks_at``; what is known already is replayed to it now as adds."""
        self.handlers = (*self.handlers, (self.mask_of(handler), handler))
        changed, self.changed = self.changed, ADDED
        for obj in list(self.objects.values()):
            handler(None, obj)
        self.changed = changed

    def add_keyed_handler(self, handler: KeyedHandler) -> None:
        """Like ``add_handler`` with ``handler(key, old, new)``, called with the indexes, before every plain handler."""
        self.keyed_handlers = (*self.keyed_handlers, (self.mask_of(handler), handler))
        for key, obj in list(self.objects.items()):
            handler(key, None, obj)

    def mask_of(self, function: Callable[..., Any]) -> int:
        """The bits of ``changed`` of which one must be set for a function, by what it declares (``looks_at``, ``told_by``)."""
        signal: int | None = getattr(function, "told_by", None)
        if signal is not None:
            return signal
        looks_at: Sequence[str] | None = getattr(function, "looks_at", None)
        return EVERY_CHANGE if looks_at is None else reduce(or_, map(self.part, looks_at), ADDED | GONE)

    def part(self, name: str) -> int:
        """The bit of ``changed`` that says that a part ("spec", "metadata.labels") is another one."""
        path = tuple(name.split("."))
        if path not in self.parts:
            if len(self.parts) == PARTS_MAX:
                raise ValueError(f"informer of {self.resource}: {name!r} is one part too many; expected at most {PARTS_MAX}")
            self.parts += (path,)
        return FIRST_PART << self.parts.index(path)

    def add_index(self, name: str, values_of: IndexFunction) -> None:
        """Keep an index; ``values_of(obj)`` gives a few strings (a tuple or list, cheap to search). O(N) once, when added late.

        Adding the same function under the same name again does nothing. Raises ValueError for another function.
        """
        known = self._indexes.get(name)
        if known is not None:
            if known.values_of is not values_of:
                raise ValueError(f"informer of {self.resource}: index {name!r} exists with another function")
            return
        index = self._indexes[name] = _Index(values_of)
        self.add_keyed_handler(index)

    def indexed(self, name: str, value: str) -> Mapping[str, Object]:
        """The objects whose index ``name`` has ``value``, by key, oldest known first. O(result)."""
        keys = self._indexes[name].buckets.get(value)
        return EMPTY if keys is None else {key: self.objects[key] for key in keys}

    def on_list(self, items: Sequence[Object], revision: int) -> None:
        """Replace everything known; the handlers see the differences: deletes first, then adds and updates in list order."""
        self.revision = revision
        fresh = {key_of(obj): obj for obj in items}
        for key in [key for key in self.objects if key not in fresh]:
            self._apply(key, None)
        for key, obj in fresh.items():
            old = self.objects.get(key)
            if old is None or old["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
                self._replace(key, old, obj)
        if not self.synced:
            self.synced = True
            if self.on_synced is not None:
                self.on_synced()

    def on_events(self, events: Sequence[WatchEvent]) -> None:
        """Apply the changes in order; after each one the handlers run, in the order they were added."""
        batch = events if isinstance(events, list) else list(events)
        index, count = 0, len(batch)
        while (index := deliver(self, self.objects, batch, index, key_of)) < count:
            self.on_event(batch[index])
            index += 1

    def on_event(self, event: WatchEvent) -> None:
        """Apply one change, whatever it follows on: the general case of what ``_core.delivery.deliver`` does with many."""
        self.revision = event.revision
        if event.type == "BOOKMARK":
            return
        key = key_of(event.obj)
        old = self.objects.get(key)
        if event.type == "DELETED":
            if old is not None:
                self._apply(key, None)
        else:
            self._replace(key, old, event.obj)

    def _replace(self, key: str, old: Object | None, new: Object) -> None:
        """Put the listed object in the place of the known one; another uid is a delete and an add."""
        if old is not None and old["metadata"].get("uid") != new["metadata"].get("uid"):
            self._apply(key, None)
        self._apply(key, new)

    def _apply(self, key: str, new: Object | None) -> None:
        old = self.objects.pop(key, None) if new is None else self.objects.get(key)
        if new is not None:
            self.objects[key] = new
        changed = self.changed = changed_parts(old, new, self.parts)
        for mask, change in self.keyed_handlers:
            if mask & changed:
                change(key, old, new)
        for mask, handler in self.handlers:
            if mask & changed:
                handler(old, new)


class InformerFactory:
    """The informers of one component: everybody inside it who asks for the same selection gets the same informer.

    After ``start()`` an informer that is asked for the first time starts at once.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self._informers: dict[tuple[str, str, str, str], Informer] = {}
        self._started = False
        self._when_synced: list[Callable[[], None]] = []

    def informer(self, resource: str, *, namespace: str = "", label_selector: str = "", field_selector: str = "") -> Informer:
        """The shared informer of a resource (``plural`` or ``plural.group``) and selection."""
        selection = (resource, namespace, label_selector, field_selector)
        informer = self._informers.get(selection)
        if informer is None:
            informer = self._informers[selection] = Informer(
                self.link, resource, namespace=namespace, label_selector=label_selector, field_selector=field_selector
            )
            informer.on_synced = self._on_synced
            if self._started:
                informer.start()
        return informer

    def start(self) -> None:
        """Start every informer, in the order they were first asked for."""
        self._started = True
        for informer in list(self._informers.values()):
            informer.start()

    @property
    def synced(self) -> bool:
        """Whether every informer has had its first list."""
        return all(informer.synced for informer in self._informers.values())

    def when_synced(self, function: Callable[[], None]) -> None:
        """Call ``function()`` once, as soon as every informer has had its first list: perhaps now."""
        if self.synced:
            function()
        else:
            self._when_synced.append(function)

    def _on_synced(self) -> None:
        if self._when_synced and self.synced:
            waiting, self._when_synced = self._when_synced, []
            for function in waiting:
                function()
