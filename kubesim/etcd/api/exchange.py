"""One call of any kind, as a transport carries it: messages in, messages out, an end. The transport is a ``Sink``.

So gRPC, the JSON gateway and WebSockets share everything but their bytes.
"""

from collections.abc import Callable
from typing import Any, Protocol

from kubesim.etcd.api import concurrency
from kubesim.etcd.api.calls import Running, start
from kubesim.etcd.api.context import Call, Context
from kubesim.etcd.api.lease_stream import LeaseStream
from kubesim.etcd.api.server import KEEP_ALIVE, OBSERVE, SNAPSHOT, WATCH, unary
from kubesim.etcd.api.snapshot_stream import SnapshotStream
from kubesim.etcd.api.watch_stream import WatchStream
from kubesim.etcd.unavailable import NoLeader
from kubesim.etcd.wire.codec import Fields
from kubesim.etcd.wire.schema import Method

NO_LEADER_ELECTIONS = 3


class Sink(Protocol):
    """Where answers go."""

    def send(self, message: Fields) -> None:
        """Send a message."""

    def end(self, error: Exception | None) -> None:
        """End the call, well or with an error."""

    def is_full(self) -> bool:
        """Whether the client does not read; the exchange is resumed when it does again."""


class Exchange:
    """A call under way. It takes ``receive``, ``half_close``, ``resume`` and ``close``; answers go to its sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def receive(self, message: Fields) -> None:
        """Take a message of the client."""

    def half_close(self) -> None:
        """Take note that the client sends no more."""

    def resume(self) -> None:
        """Go on sending."""

    def close(self) -> None:
        """Drop the call: the client has gone."""


class Unary(Exchange):
    """One message in, one out."""

    def __init__(self, context: Context, call: Call, method: Method, sink: Sink) -> None:
        super().__init__(sink)
        self._context = context
        self._call = call
        self._method = method
        self._message: Fields | None = None
        self._running: Running | None = None

    def receive(self, message: Fields) -> None:
        """Take the request."""
        self._message = message

    def half_close(self) -> None:
        """Start: the request is whole."""
        message, self._message = self._message, None
        self._running = start(unary(self._context, self._call, self._method, message or {}), self._done)

    def _done(self, answer: Any, error: Exception | None) -> None:
        if error is None:
            self._sink.send(answer)
        self._sink.end(error)

    def close(self) -> None:
        """Cancel it."""
        if self._running is not None:
            self._running.cancel()


class Watching(Exchange):
    """A watch stream. It ends when the client goes, or with the leader when the client asked for one."""

    def __init__(self, context: Context, call: Call, sink: Sink) -> None:
        super().__init__(sink)
        self._stream = WatchStream(context, call, sink.send, sink.is_full)
        self.receive = self._stream.receive  # type: ignore[method-assign]
        self.resume = self._stream.resume  # type: ignore[method-assign]
        self.close = self._stream.close  # type: ignore[method-assign]


class KeepingAlive(Exchange):
    """A stream of renewals."""

    def __init__(self, context: Context, call: Call, sink: Sink) -> None:
        super().__init__(sink)
        self._stream = LeaseStream(context, call, sink.send, sink.end)
        self.receive = self._stream.receive  # type: ignore[method-assign]
        self.half_close = self._stream.half_close  # type: ignore[method-assign]
        self.close = self._stream.close  # type: ignore[method-assign]


class Snapshotting(Exchange):
    """A snapshot."""

    def __init__(self, context: Context, call: Call, sink: Sink) -> None:
        super().__init__(sink)
        context.require_admin(call)
        self._stream = SnapshotStream(context, sink.send, sink.is_full, sink.end)
        self.half_close = self.resume = self._stream.resume  # type: ignore[method-assign]
        self.close = self._stream.close  # type: ignore[method-assign]


class Observing(Exchange):
    """The leaders of an election."""

    def __init__(self, context: Context, call: Call, sink: Sink) -> None:
        super().__init__(sink)
        self._context = context
        self._call = call
        self._message: Fields = {}
        self._running: Running | None = None

    def receive(self, message: Fields) -> None:
        """Take the request."""
        self._message = message

    def half_close(self) -> None:
        """Start."""
        observing = concurrency.observe(self._context, self._call, self._message, self._sink.send)
        self._running = start(observing, lambda _, error: self._sink.end(error))

    def close(self) -> None:
        """Stop."""
        if self._running is not None:
            self._running.cancel()


STREAMS: dict[str, Callable[[Context, Call, Sink], Exchange]] = {
    WATCH: Watching,
    KEEP_ALIVE: KeepingAlive,
    SNAPSHOT: Snapshotting,
    OBSERVE: Observing,
}


def open_exchange(context: Context, call: Call, method: Method, sink: Sink) -> Exchange:
    """Begin a call. Raises what refuses it: LearnerRefuses, NoLeader, and errors of authentication."""
    opener = STREAMS.get(method.path)
    if opener is None:
        return Unary(context, call, method, sink)
    context.check_member(call, serves_learner=method.path == SNAPSHOT)
    return opener(context, call, sink)


class LeaderMonitor:
    """Ends streams that want a leader when the member has had none for three election timeouts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sinks: dict[Sink, None] = {}
        self._leaderless_count = 0
        self._handle = 0

    def add(self, sink: Sink) -> None:
        """Watch over a stream."""
        self._sinks[sink] = None
        if not self._handle:
            self._leaderless_count = 0
            self._begin()

    def drop(self, sink: Sink) -> None:
        """Forget a stream."""
        self._sinks.pop(sink, None)

    def _begin(self) -> None:
        member = self._context.member
        self._handle = member.after_standing(member.settings.election_ns, self._look)

    def _look(self) -> None:
        self._handle = 0
        self._leaderless_count = 0 if self._context.member.node.raft.lead else self._leaderless_count + 1
        if self._leaderless_count >= NO_LEADER_ELECTIONS:
            for sink in list(self._sinks):
                sink.end(NoLeader())
        if self._sinks:
            self._begin()
