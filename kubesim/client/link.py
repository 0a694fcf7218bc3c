"""The direct link: a component in the apiserver's process. Requests answer in place; watch events take a fixed latency.

The changes of one subscription travel in batches: the first one starts the journey, what is written until it arrives rides
along, and a batch is one event in the agenda. A watch that breaks (410: compacted) is listed and watched again by itself.
A standing lease is the heartbeat that costs nothing while nobody looks (ARCHITECTURE.md, Heartbeats).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from kubesim.api.errors import ApiError
from kubesim.apiserver.outside import Suspended
from kubesim.apiserver.requests import Object, Request, WatchEvent, get, update
from kubesim.client.contract import Done, Subscriber
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import MILLISECOND, format_duration, format_micro_time

STANDING_ANNOTATION = "kubesim.dev/standing-renewal"


class Watch(Protocol):
    """An open watch of the apiserver."""

    def take(self) -> Sequence[WatchEvent]:
        """The changes since the last call. Raises ApiError 410 when they are compacted."""


class Sender(Protocol):
    """What a standing lease needs of a link."""

    kernel: Kernel

    def send(self, request: Request, done: Callable[[Any], Any] | None = None) -> None:
        """Send a request; ``done`` gets the object or the ApiError, now or later."""


class Server(Protocol):
    """What the direct link needs of an apiserver (``apiserver.ApiServer``)."""

    def call(self, request: Request) -> Object:
        """Answer a request in place. Raises ApiError."""

    def watch_list(
        self, resource: str, *, namespace: str = "", label_selector: str = "", field_selector: str = "", on_ready: Callable[[], object]
    ) -> tuple[Sequence[Object], int, Watch]:
        """List, and open a watch from there."""


def _forgotten(outcome: Any) -> None:
    """Nobody waits for the outcome."""


class DirectLink:
    """A component's way to an apiserver of the same process; ``user`` is its name in audit and trace."""

    def __init__(self, kernel: Kernel, apiserver: Server, user: str, watch_latency_ns: int = MILLISECOND) -> None:
        if watch_latency_ns < 0:
            raise ValueError(f"watch_latency_ns: must not be negative, got {watch_latency_ns}")
        self.kernel = kernel
        self.user = user
        self.watch_latency_ns = watch_latency_ns
        self._apiserver = apiserver
        self._call: Callable[[Request], Object] = apiserver.call  # bound once: the hottest line of every component
        self.is_cut = self._halted = False
        self._held: list[Callable[[], None]] = []  # what happened during a pause, in order

    @property
    def now_ns(self) -> int:
        """The component's clock: the kernel's time."""
        return self.kernel.now_ns

    def send(self, request: Request, done: Done | None = None) -> None:
        """Send a request; ``done`` gets the object or the ApiError before this returns, or later where a webhook takes its time.

        Without ``done`` an error is ignored.
        """
        if not request.user:
            request.user = self.user
        if self._halted:
            self._hold(lambda: self.send(request, done))
            return
        outcome: Any
        try:
            outcome = self._call(request)
        except Suspended as pause:
            pause.then(done or _forgotten)
            return
        except ApiError as error:
            outcome = error
        if done is not None:
            done(outcome)

    def cut(self) -> None:
        """The component is dead: it hears nothing any more, and what it sends goes nowhere."""
        self.is_cut = self._halted = True
        self._held.clear()

    def pause(self) -> None:
        """Nothing passes until ``resume``: requests and events wait."""
        self._halted = True

    def resume(self) -> None:
        """Let everything that waited pass, in order."""
        if not self.is_cut:
            self._halted = False
            held, self._held = self._held, []
            for function in held:
                function()

    def _hold(self, function: Callable[[], None]) -> None:
        if not self.is_cut:
            self._held.append(function)

    def subscribe(
        self, resource: str, subscriber: Subscriber, *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> None:
        """List now (``on_list`` is called before this returns), then watch for ever."""
        selection = {"namespace": namespace, "label_selector": label_selector, "field_selector": field_selector}
        _Subscription(self, resource, selection, subscriber).list()

    def stand(self, request: Request, period_ns: int) -> "StandingLease":
        """Write a lease now and let it count as renewed every ``period_ns`` until it is cancelled.

        ``request`` creates or updates the Lease, its ``renewTime`` being now. A Lease that exists already, or no longer, is
        written the other way round, as upstream's lease controller does.
        """
        return StandingLease(self, request, period_ns)


class _Subscription:
    """One list and watch; lists again when the watch breaks."""

    __slots__ = ("_link", "_resource", "_selection", "_subscriber", "_watch")

    def __init__(self, link: DirectLink, resource: str, selection: dict[str, str], subscriber: Subscriber) -> None:
        self._link = link
        self._resource = resource
        self._selection = selection
        self._subscriber = subscriber
        self._watch: Watch

    def list(self) -> None:
        items, revision, self._watch = self._link._apiserver.watch_list(self._resource, on_ready=self._on_ready, **self._selection)
        self._subscriber.on_list(items, revision)

    def _on_ready(self) -> None:
        link = self._link
        link.kernel.after(link.watch_latency_ns, self._deliver)

    def _deliver(self) -> None:
        if self._link._halted:
            self._link._hold(self._deliver)
            return
        try:
            events = self._watch.take()
        except ApiError:  # 410: what the watch had not yet sent is compacted
            self.list()
            return
        if events:
            self._subscriber.on_events(events)


class StandingLease:
    """A lease that renews itself; ``cancel`` leaves the last renewal that was due as an ordinary write."""

    def __init__(self, link: Sender, request: Request, period_ns: int) -> None:
        if period_ns <= 0:
            raise ValueError(f"period_ns: must be positive, got {period_ns}")
        self._link = link
        self._resource = request.resource
        self._period_ns = period_ns
        self._start_ns = link.kernel.now_ns
        self._standing = True
        self._namespace = request.namespace
        self._name = request.name
        self._write(request)

    def cancel(self) -> None:
        """Stop; what was due until now has happened. A second call does nothing."""
        if not self._standing:
            return
        self._standing = False
        elapsed_ns = self._link.kernel.now_ns - self._start_ns
        renew_ns = self._start_ns + elapsed_ns // self._period_ns * self._period_ns
        self._link.send(get(self._resource, self._namespace, self._name), lambda lease: self._settle(lease, renew_ns))

    def _settle(self, lease: Object | ApiError, renew_ns: int) -> None:
        """Write the lease as it would stand without the annotation; a lease that is gone needs nothing."""
        if isinstance(lease, ApiError):
            return
        metadata = lease["metadata"]
        annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k != STANDING_ANNOTATION}
        metadata = {k: v for k, v in metadata.items() if k != "annotations"}
        if annotations:
            metadata["annotations"] = annotations
        spec = {**lease["spec"], "renewTime": format_micro_time(renew_ns)}
        self._link.send(update(self._resource, {**lease, "metadata": metadata, "spec": spec}))

    def _write(self, request: Request) -> None:
        obj = request.obj
        annotations = {**obj["metadata"].get("annotations", {}), STANDING_ANNOTATION: format_duration(self._period_ns)}
        lease = {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
        self._link.send(
            Request(request.verb, request.resource, request.namespace, request.name, lease, options=request.options),
            lambda outcome: self._written(outcome, request.verb, lease),
        )

    def _written(self, outcome: Object | ApiError, verb: str, lease: Object) -> None:
        if not isinstance(outcome, ApiError):
            return
        if verb == "create" and outcome.reason == "AlreadyExists":
            self._link.send(get(self._resource, self._namespace, self._name), lambda known: self._overwrite(known, lease))
        elif verb == "update" and outcome.reason == "NotFound":
            metadata = {k: v for k, v in lease["metadata"].items() if k not in ("resourceVersion", "uid")}
            self._link.send(Request("create", self._resource, self._namespace, self._name, {**lease, "metadata": metadata}))

    def _overwrite(self, known: Object | ApiError, lease: Object) -> None:
        if not isinstance(known, ApiError):
            metadata = {**known["metadata"], "annotations": lease["metadata"]["annotations"]}
            self._link.send(update(self._resource, {**known, "metadata": metadata, "spec": lease["spec"]}))
