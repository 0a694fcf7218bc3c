"""A link with faults: watches that lag or start from an old list, requests and answers that get lost, answers that are refused.

Wraps another link; without faults it is that link. Faults are set by resource and can be taken back; what was held is then delivered, in
order.
"""

from collections.abc import Callable, Sequence
from typing import Any

from kubesim.api.errors import ApiError, conflict
from kubesim.apiserver.requests import Object, Request, WatchEvent
from kubesim.client.contract import Done, Link, Standing, Subscriber

Snapshot = tuple[Sequence[Object], int]
NEVER = str(2**62)  # a version that no cache will ever show
TIMEOUT = ApiError(504, "Timeout", "request did not complete within the allotted time")


class _Relay:
    """One subscription: passes lists and events on, or keeps them."""

    def __init__(self, link: "FaultyLink", resource: str, subscriber: Subscriber) -> None:
        self.link = link
        self.resource = resource
        self.subscriber = subscriber
        self.kept: list[tuple[str, Any]] = []
        self.items: dict[str, Object] = {}

    def on_list(self, items: Sequence[Object], revision: int) -> None:
        """The first list may be an old one; the real one is then kept with what follows."""
        old = self.link.old_lists.get(self.resource)
        if old is not None:
            self.kept.append(("list", (items, revision)))
            self.subscriber.on_list(*old)
        elif self.resource in self.link.held:
            self.kept.append(("list", (items, revision)))
        else:
            self.subscriber.on_list(items, revision)

    def on_events(self, events: Sequence[WatchEvent]) -> None:
        """Pass on, drop or repeat."""
        if self.resource in self.link.held or self.resource in self.link.old_lists:
            self.kept.append(("events", events))
            return
        self.subscriber.on_events(events)
        if self.resource in self.link.repeated:
            self.subscriber.on_events(events)

    def release(self) -> None:
        """Deliver what was kept."""
        kept, self.kept = self.kept, []
        for kind, what in kept:
            if kind == "list":
                self.subscriber.on_list(*what)
            else:
                self.subscriber.on_events(what)


class FaultyLink:
    """A link whose faults are attributes: ``held`` and ``repeated`` resources, ``old_lists``, and ``intercept`` for requests."""

    def __init__(self, inner: Link) -> None:
        self.inner = inner
        self.user = inner.user
        self.held: set[str] = set()
        self.repeated: set[str] = set()
        self.old_lists: dict[str, Snapshot] = {}
        self.intercept: Callable[[Request], str] | None = None  # "" (pass), "lost", "unanswered", "swallowed", "conflict", "gone"
        self.cut = False  # the component is dead: it hears nothing, and its requests go nowhere
        self._relays: list[_Relay] = []

    @property
    def now_ns(self) -> int:
        """The component's clock."""
        return self.inner.now_ns

    def send(self, request: Request, done: Done | None = None) -> None:
        """Send a request, unless a fault has it otherwise."""
        if self.cut:
            return
        fault = self.intercept(request) if self.intercept is not None else ""
        if fault == "swallowed":  # never sent, and said to be done: what a client makes of a bug
            if done is not None:
                done({**request.obj, "metadata": {**request.obj["metadata"], "resourceVersion": NEVER}})
        elif fault in ("lost", "unanswered"):
            if fault == "unanswered":
                self.inner.send(request)
            if done is not None:
                done(TIMEOUT)
        elif fault == "conflict":
            if done is not None:
                done(conflict(request.resource, request.name, "the object has been modified"))
        else:
            self.inner.send(request, done)

    def subscribe(
        self, resource: str, subscriber: Subscriber, *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> None:
        """List and watch through a relay."""
        relay = _Relay(self, resource, _Alive(self, subscriber))
        self._relays.append(relay)
        selection = {"namespace": namespace, "label_selector": label_selector, "field_selector": field_selector}
        self.inner.subscribe(resource, relay, **selection)

    def stand(self, request: Request, period_ns: int) -> Standing:
        """Heartbeats have no faults here."""
        return self.inner.stand(request, period_ns)

    def hold(self, *resources: str) -> None:
        """Keep the events of resources until ``release``."""
        self.held.update(resources)

    def release(self) -> None:
        """Deliver everything that was kept, and go on without delay."""
        self.held.clear()
        self.old_lists.clear()
        for relay in self._relays:
            relay.release()


class _Alive:
    """Passes on while the component lives."""

    def __init__(self, link: FaultyLink, subscriber: Subscriber) -> None:
        self._link = link
        self._subscriber = subscriber

    def on_list(self, items: Sequence[Object], revision: int) -> None:
        """A list."""
        if not self._link.cut:
            self._subscriber.on_list(items, revision)

    def on_events(self, events: Sequence[WatchEvent]) -> None:
        """Events."""
        if not self._link.cut:
            self._subscriber.on_events(events)
