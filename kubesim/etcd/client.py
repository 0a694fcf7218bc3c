"""A client of an etcd cluster, on a host of the kernel's network: round robin over the members, with clientv3's rules for asking again.

A read that finds a member unavailable is asked again at the next member; a write only when it is certain that nobody has executed it
(nobody listened). An answer that does not come in time is ``DeadlineExceeded``, and a write may have happened then. Watches resume at
another member after the last revision that they have.

``submit`` has the form of a member's own, and ``run`` drives a generator of etcd requests, such as an apiserver's verb, over either.
Upstream: etcd ``client/v3/retry_interceptor.go``, ``retry.go``, ``watch.go``.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from kubesim._core.agenda import PRIORITY_STANDING
from kubesim._core.revision_store import Change
from kubesim.etcd.errors import EtcdError, status_of
from kubesim.etcd.requests import Request
from kubesim.etcd.unavailable import UNAVAILABLE, ConnectionLost, ConnectionRefused, DeadlineExceeded
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import MILLISECOND, SECOND

REPEATABLE = frozenset(("get", "range", "count", "grant", "keep_alive", "revoke", "time_to_live", "member_list", "status"))
RETRIES_MAX = 100
BACKOFF_NS = 25 * MILLISECOND  # after each round of all members

AVOIDED_NS = 1 * SECOND  # gRPC waits so long before it connects again
PROBE = ("status",)

Done = Callable[[Any, Exception | None], object]


@dataclass(slots=True)
class _Call:
    """One request under way."""

    request: Request
    done: Done
    serializable: bool
    deadline_handle: int = 0
    attempt_count: int = 0
    attempt: int = 0  # its number on the wire: an answer to an earlier attempt is none
    endpoint: str = ""


class Watch:
    """One watch: ``on_changes(changes, revision)`` gets every change of the range once, in order; ``on_end(error)`` that it is over."""

    __slots__ = ("_client", "endpoint", "heard", "key", "next_revision", "number", "on_changes", "on_end", "range_end", "stream")

    def __init__(
        self,
        client: "EtcdClient",
        key: bytes,
        range_end: bytes | None,
        next_revision: int,
        on_changes: Callable[[Sequence[Change], int], object],
        on_end: Callable[[Exception], object],
    ) -> None:
        self._client = client
        self.key = key
        self.range_end = range_end
        self.next_revision = next_revision  # 0: from now, as the member that answers has it
        self.on_changes = on_changes
        self.on_end = on_end
        self.endpoint = ""
        self.stream = 0
        self.number = 0  # of the last message of the stream
        self.heard = False  # since the last look

    def cancel(self) -> None:
        """End it; nothing is called any more."""
        self._client.unwatch(self)


class EtcdClient:
    """A client at ``host``; ``endpoints`` are the members' hosts."""

    def __init__(
        self, kernel: Kernel, host: str, endpoints: Sequence[str], send: Callable[[str, Any], object], timeout_ns: int = 10 * SECOND
    ) -> None:
        if not endpoints:
            raise ValueError("endpoints is empty; expected at least one host")
        self.kernel = kernel
        self.host = host
        self.endpoints = list(endpoints)
        self.timeout_ns = timeout_ns
        self.watch_silence_ns = 0  # a watch that hears nothing for so long is opened anew; 0: never
        self._send = send
        self._turn = 0
        self._avoided: dict[str, None] = {}  # members that did not listen or did not answer, until they answer again
        self._number = 0
        self._calls: dict[int, _Call] = {}  # by attempt
        self._watches: dict[int, Watch] = {}  # by stream

    # -- requests

    def submit(self, request: Request, done: Done, serializable: bool = False) -> None:
        """Send a request to a member and call ``done(answer, None)`` or ``done(None, error)`` once."""
        call = _Call(request, done, serializable)
        call.deadline_handle = self.kernel.after(self.timeout_ns, self._give_up, call, priority=PRIORITY_STANDING)
        self._attempt(call)

    def _attempt(self, call: _Call) -> None:
        if not call.deadline_handle:
            return  # its time is over
        call.attempt_count += 1
        self._number += 1
        call.attempt = self._number
        self._calls[call.attempt] = call
        call.endpoint = self._next_endpoint()
        self._send(call.endpoint, ("request", call.attempt, call.request, call.serializable))

    def _next_endpoint(self) -> str:
        """The next in turn that is not avoided; the next in turn when all are."""
        endpoints = self.endpoints
        for _ in endpoints:
            self._turn += 1
            endpoint = endpoints[self._turn % len(endpoints)]
            if endpoint not in self._avoided:
                return endpoint
        self._turn += 1
        return endpoints[self._turn % len(endpoints)]

    def _avoid(self, endpoint: str) -> None:
        if endpoint not in self._avoided:
            self._avoided[endpoint] = None
            self._probe_later(endpoint)

    def _probe_later(self, endpoint: str) -> None:
        self.kernel.after(AVOIDED_NS, self._probe, endpoint, priority=PRIORITY_STANDING)

    def _probe(self, endpoint: str) -> None:
        """Try to connect again, as gRPC does behind the back of requests."""
        if endpoint in self._avoided:
            self._number += 1
            self._send(endpoint, ("request", self._number, PROBE, True))
            self._probe_later(endpoint)

    def receive(self, source: str, message: tuple[Any, ...]) -> None:
        """Take a message from the network."""
        kind, number = message[:2]
        if kind == "answer":
            self._avoided.pop(source, None)
            self._answered(number, message[2], message[3])
        elif kind == "refused":
            self._answered(number, None, ConnectionRefused())
        elif number in self._watches:
            self._heard(self._watches[number], kind, message)

    def _answered(self, attempt: int, answer: Any, error: Exception | None) -> None:
        call = self._calls.pop(attempt, None)
        if call is None:
            return
        if isinstance(error, ConnectionRefused | ConnectionLost):
            self._avoid(call.endpoint)
        if error is not None and call.attempt_count <= RETRIES_MAX and self.is_repeatable(call.request, error):
            if call.attempt_count % len(self.endpoints):
                self._attempt(call)
            else:
                self.kernel.after(BACKOFF_NS, self._attempt, call, priority=PRIORITY_STANDING)
            return
        self._finish(call, answer, error)

    @staticmethod
    def is_repeatable(request: Request, error: Exception) -> bool:
        """Whether to ask another member: a read when one is unavailable, a write when nobody has taken it."""
        if isinstance(error, ConnectionRefused):
            return True
        return request[0] in REPEATABLE and status_of(error)[0] == UNAVAILABLE

    def _finish(self, call: _Call, answer: Any, error: Exception | None) -> None:
        self.kernel.cancel(call.deadline_handle)
        call.deadline_handle = 0
        call.done(answer, error)

    def _give_up(self, call: _Call) -> None:
        call.deadline_handle = 0
        if self._calls.pop(call.attempt, None) is not None:
            self._avoid(call.endpoint)
        call.done(None, DeadlineExceeded())

    # -- watches

    def watch(
        self,
        key: bytes,
        range_end: bytes | None = None,
        start_revision: int = 0,
        on_changes: Callable[[Sequence[Change], int], object] = lambda changes, revision: None,
        on_end: Callable[[Exception], object] = lambda error: None,
    ) -> Watch:
        """Watch a range from ``start_revision`` on (0: from now) at some member, and at others after it."""
        watch = Watch(self, key, range_end, start_revision, on_changes, on_end)
        self._open(watch)
        self._look(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        """End a watch."""
        if self._watches.pop(watch.stream, None) is not None:
            self._send(watch.endpoint, ("unwatch", watch.stream))

    def _open(self, watch: Watch) -> None:
        self.unwatch(watch)
        self._number += 1
        watch.stream, watch.number, watch.heard = self._number, 0, True
        watch.endpoint = self._next_endpoint()
        self._watches[watch.stream] = watch
        self._send(watch.endpoint, ("watch", watch.stream, watch.key, watch.range_end, watch.next_revision))

    def _heard(self, watch: Watch, kind: str, message: tuple[Any, ...]) -> None:
        if kind in ("reset", "watch_refused"):
            self._avoid(watch.endpoint)
            self.kernel.after(BACKOFF_NS, self._reopen, watch, watch.stream, priority=PRIORITY_STANDING)
            return
        _, _, number, what, more = message
        if number <= watch.number:
            return
        if number != watch.number + 1:
            self._open(watch)  # something was lost
            return
        watch.number, watch.heard = number, True
        if kind == "watched":
            if watch.next_revision == 0 or more >= watch.next_revision:
                watch.next_revision = more + 1
                watch.on_changes(what, more)
        elif status_of(more)[0] == UNAVAILABLE:
            self.kernel.after(BACKOFF_NS, self._reopen, watch, watch.stream, priority=PRIORITY_STANDING)
        else:
            del self._watches[watch.stream]
            watch.on_end(more)

    def _reopen(self, watch: Watch, stream: int) -> None:
        if self._watches.get(stream) is watch:
            self._open(watch)

    def _look(self, watch: Watch) -> None:
        if self.watch_silence_ns and watch.stream in self._watches:
            if not watch.heard:
                self._avoid(watch.endpoint)
                self._open(watch)
            watch.heard = False
            self.kernel.after(self.watch_silence_ns, self._look, watch, priority=PRIORITY_STANDING)


def run(verb: Generator[Request, Any, Any], submit: Callable[[Request, Done], object], done: Done) -> None:
    """Drive a generator of etcd requests to its end over ``submit``: errors of etcd are thrown into it, ``done`` gets what it returns.

    What it raises and no request caused (an ApiError) goes to ``done`` as well.
    """

    def step(answer: Any, error: Exception | None) -> None:
        try:
            request = verb.send(answer) if error is None else verb.throw(error)
        except StopIteration as stop:
            done(stop.value, None)
        except Exception as failure:
            done(None, failure)
        else:
            submit(request, step)

    step(None, None)


__all__ = ["ConnectionLost", "EtcdClient", "EtcdError", "Watch", "run"]
