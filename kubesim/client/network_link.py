"""The link of a component over the simulated network: requests and watches on one connection to whoever ``resolve()`` names.

Like an HTTP/2 connection: many requests at once, those of one instant in one message; it ends when it is closed, refused or silent, and is
opened anew with back-off. A watch goes on after the last revision that it has, at whichever apiserver it then reaches, and is listed anew
when that is compacted there. What was asked on a connection that broke may have happened: ``send`` asks again until there is an answer
(components bear the 409 that this may bring); ``ask`` asks once and answers 503 when it is certain, 504 when it is not.

Messages: ``("c", connection, ("open" | "more", parts))``, answered by ``("s", connection, parts)``, ``("closed", connection)`` or
``("refused", connection)``; parts are ``("request", number, Request)``, ``("watch", number, resource, selection, revision)``, ``("ping",)``
and ``("answer", number, outcome)``, ``("list", number, items, revision)``, ``("events", number, count, events, revision)``,
``("watch_failed", number, error)``, ``("pong",)``.

Upstream: client-go/rest, tools/cache/reflector.go, golang.org/x/net/http2 (ReadIdleTimeout, PingTimeout).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kubesim.api.errors import ApiError
from kubesim.apiserver.requests import Request, WatchEvent
from kubesim.client.contract import Subscriber
from kubesim.client.link import StandingLease
from kubesim.kernel.loop import PRIORITY_NORMAL, PRIORITY_STANDING, Kernel
from kubesim.kernel.network import Network
from kubesim.kernel.time import MILLISECOND, SECOND
from kubesim.kernel.wake import Wakeup

Done = Callable[[Any], object]
READS = ("get", "list")
UNAVAILABLE = (429, 503, 504)


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Times of a connection; pings stand for the retransmissions that find a dead one."""

    backoff_ns_min: int = 50 * MILLISECOND
    backoff_ns_max: int = 1 * SECOND
    busy_ping_ns: int = 1 * SECOND  # while something is unanswered
    idle_ping_ns: int = 30 * SECOND
    silence_ns_max: int = 10 * SECOND  # of a connection that was pinged
    ask_ns_max: int = 5 * SECOND  # until ``ask`` gives up


@dataclass(slots=True)
class _Call:
    request: Request
    done: Done | None
    is_once: bool
    connection: int = 0  # on which it was sent; 0: not yet
    attempt_count: int = 0


class _Subscription:
    """One watch; ``revision`` is what its subscriber has, None: nothing."""

    __slots__ = ("count", "resource", "revision", "selection", "subscriber")

    def __init__(self, resource: str, selection: dict[str, str], subscriber: Subscriber) -> None:
        self.resource = resource
        self.selection = selection
        self.subscriber = subscriber
        self.revision: int | None = None
        self.count = 0  # messages of this stream


class NetworkLink:
    """A component's way to the apiservers. ``host`` is its place in the network, whose messages go to ``receive``."""

    def __init__(
        self,
        kernel: Kernel,
        network: Network,
        host: str,
        user: str,
        resolve: Callable[[], str],
        settings: LinkSettings | None = None,
    ) -> None:
        self.kernel = kernel
        self.user = user
        self.host = host
        self.settings = settings or LinkSettings()
        self.sent_count = self.retried_count = self.connection_count = 0
        self.is_closed = False
        self._network = network
        self._resolve = resolve
        self._connection = 0  # 0: none
        self._number = 0
        self._calls: dict[int, _Call] = {}
        self._subscriptions: dict[int, _Subscription] = {}
        self._parts: list[tuple[Any, ...]] = []
        self._flush = Wakeup(kernel, self._send_parts)
        self._failure_count = 0  # connections in a row that brought nothing
        self._reopening = 0  # the handle of the next attempt
        self._heard_ns = self._pinged_ns = 0
        self._timer = 0
        self._timer_is_busy = False
        self._paused: list[tuple[str, tuple[Any, ...]]] | None = None

    @property
    def now_ns(self) -> int:
        """The component's clock: the kernel's time."""
        return self.kernel.now_ns

    @property
    def is_waiting(self) -> bool:
        """Whether a request is unanswered."""
        return bool(self._calls)

    # -- the contract

    def send(self, request: Request, done: Done | None = None) -> None:
        """Send a request, again and again until it is answered; ``done`` gets the object or the ApiError later."""
        self._call(_Call(request, done, False))

    def ask(self, request: Request, done: Callable[[Any], object]) -> None:
        """Send a request once; ``done`` gets the object or the ApiError, 504 when nobody has answered in time."""
        number = self._call(_Call(request, done, True))
        error = ApiError(504, "Timeout", "the request was not answered in time")
        self.kernel.after(self.settings.ask_ns_max, self._give_up, number, error, priority=PRIORITY_STANDING)

    def _call(self, call: _Call) -> int:
        if not call.request.user:
            call.request.user = self.user
        self._number += 1
        self.sent_count += 1
        self._calls[self._number] = call
        self._queue_call(self._number, call)
        return self._number

    def subscribe(
        self, resource: str, subscriber: Subscriber, *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> None:
        """List, then watch for ever: ``on_list`` is called when the list has come."""
        self._number += 1
        selection = {"namespace": namespace, "label_selector": label_selector, "field_selector": field_selector}
        self._subscriptions[self._number] = _Subscription(resource, selection, subscriber)
        self._queue_watch(self._number)

    def stand(self, request: Request, period_ns: int) -> StandingLease:
        """Write a lease that counts as renewed every ``period_ns`` until it is cancelled: see ``DirectLink.stand``."""
        return StandingLease(self, request, period_ns)

    # -- the component's life

    def close(self) -> None:
        """The component has died: nothing is sent or delivered any more."""
        if self._connection:
            self._network.send(self.host, self._resolve(), ("close", self._connection))
        self.is_closed = True
        self._connection = 0
        self._calls, self._subscriptions, self._parts = {}, {}, []
        for handle in (self._timer, self._reopening):
            self.kernel.cancel(handle)

    def pause(self) -> None:
        """The component is stopped: what comes and what goes waits."""
        if self._paused is None:
            self._paused = []

    def resume(self) -> None:
        """Let it go on."""
        held, self._paused = self._paused or [], None
        for source, message in held:
            self.receive(source, message)
        self._send_parts()

    # -- sending

    def _queue_call(self, number: int, call: _Call) -> None:
        self._parts.append(("request", number, call.request))
        self._flush.set()

    def _queue_watch(self, number: int) -> None:
        subscription = self._subscriptions[number]
        subscription.count = 0
        self._parts.append(("watch", number, subscription.resource, subscription.selection, subscription.revision))
        self._flush.set()

    def _send_parts(self) -> None:
        if self.is_closed or self._paused is not None or self._reopening or not self._parts:
            return
        parts, self._parts = [part for part in self._parts if part[0] != "request" or part[1] in self._calls], []
        kind = "more"
        if not self._connection:
            kind = "open"
            self.connection_count += 1
            self._number += 1
            self._connection = self._number
            self._heard_ns = self.kernel.now_ns
        for part in parts:
            if part[0] == "request":
                self._calls[part[1]].connection = self._connection
        self._network.send(self.host, self._resolve(), ("c", self._connection, (kind, parts)))
        self._watch_connection()

    def _watch_connection(self) -> None:
        """Keep a timer: soon while something is unanswered, else once in a while."""
        is_busy = bool(self._calls)
        if self._timer and (self._timer_is_busy or not is_busy):
            return
        self.kernel.cancel(self._timer)
        delay_ns = self.settings.busy_ping_ns if is_busy else self.settings.idle_ping_ns
        self._timer_is_busy = is_busy
        # It stands although it runs on for a while after the answer: two candidates that ask for their Leases in turn would else keep a
        # cluster busy for ever. That somebody waits is ``is_waiting``.
        self._timer = self.kernel.after(delay_ns, self._ping, priority=PRIORITY_STANDING)

    def _ping(self) -> None:
        self._timer = 0
        if self.is_closed or not self._connection:
            return
        now_ns = self.kernel.now_ns
        if self._pinged_ns > self._heard_ns and now_ns - self._heard_ns >= self.settings.silence_ns_max:
            self._lost(is_certain=False)
            return
        if now_ns - self._heard_ns >= self.settings.busy_ping_ns:
            self._pinged_ns = now_ns
            self._parts.append(("ping",))
            self._flush.set()
        if self._pinged_ns > self._heard_ns and not self._calls:  # soon again: an answer is due
            self._timer_is_busy = True
            self._timer = self.kernel.after(self.settings.busy_ping_ns, self._ping, priority=PRIORITY_STANDING)
        else:
            self._watch_connection()

    # -- receiving

    def receive(self, source: str, message: tuple[Any, ...]) -> None:
        """Take a message from the network."""
        if self.is_closed or message[1] != self._connection:
            return
        if self._paused is not None:
            self._paused.append((source, message))
            return
        self._heard_ns = self.kernel.now_ns
        if message[0] in ("closed", "refused"):
            self._lost(is_certain=message[0] == "refused")
            return
        self._failure_count = 0
        for part in message[2]:
            if part[0] == "answer":
                self._answered(part[1], part[2])
            elif part[1:2] and part[1] in self._subscriptions:
                self._told(part[0], part[1], part)

    def _answered(self, number: int, outcome: Any) -> None:
        call = self._calls.get(number)
        if call is None:
            return
        if isinstance(outcome, ApiError) and outcome.code in UNAVAILABLE and not call.is_once:
            self.retried_count += 1
            call.attempt_count += 1
            self.kernel.after(self.settings.backoff_ns_max // 4, self._repeat, number, call.attempt_count)
            return
        del self._calls[number]
        if call.done is not None:
            call.done(outcome)

    def _repeat(self, number: int, attempt_count: int) -> None:
        call = self._calls.get(number)
        if call is not None and call.attempt_count == attempt_count:
            self._queue_call(number, call)

    def _give_up(self, number: int, error: ApiError) -> None:
        call = self._calls.pop(number, None)
        if call is not None and call.done is not None and not self.is_closed:
            call.done(error)

    def _told(self, kind: str, number: int, part: tuple[Any, ...]) -> None:
        subscription = self._subscriptions[number]
        if kind == "list":
            subscription.revision, subscription.count = part[3], 0
            subscription.subscriber.on_list(part[2], part[3])
        elif kind == "events":
            events: Sequence[WatchEvent] = part[3]
            if part[2] != subscription.count + 1:
                self._queue_watch(number)  # a message was lost: from the last revision on
                return
            subscription.count += 1
            subscription.revision = max(part[4], subscription.revision or 0)
            if events:
                subscription.subscriber.on_events(events)
        else:  # the watch has failed: compacted, or the server is behind
            if part[2].code == 410:
                subscription.revision = None
            self.kernel.after(self.settings.backoff_ns_min, self._watch_again, number)

    def _watch_again(self, number: int) -> None:
        if number in self._subscriptions:
            self._queue_watch(number)

    # -- when it breaks

    def _lost(self, is_certain: bool) -> None:
        """The connection is gone; ``is_certain``: nothing that was sent on it has happened."""
        connection, self._connection = self._connection, 0
        self.kernel.cancel(self._timer)
        self._timer = 0
        self._parts = []
        for number, call in list(self._calls.items()):
            was_sent = call.connection == connection
            if was_sent and call.is_once and call.request.verb not in READS:
                code, reason = (503, "ServiceUnavailable") if is_certain else (504, "Timeout")
                self._give_up(number, ApiError(code, reason, "the connection to the apiserver was lost"))
            else:
                self.retried_count += was_sent
                call.attempt_count += 1
                self._parts.append(("request", number, call.request))
        for number in self._subscriptions:
            self._queue_watch(number)
        settings = self.settings
        delay_ns = min(settings.backoff_ns_min << min(self._failure_count, 10), settings.backoff_ns_max)
        self._failure_count += 1
        priority = PRIORITY_NORMAL if self._calls else PRIORITY_STANDING
        self._reopening = self.kernel.after(delay_ns, self._reopen, priority=priority)

    def _reopen(self) -> None:
        self._reopening = 0
        self._send_parts()
