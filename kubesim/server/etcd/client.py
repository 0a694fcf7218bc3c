"""A client of etcd's v3 API over gRPC, for an apiserver whose store is elsewhere: one connection, to the endpoint that answers.

A request that certainly was not executed (nobody listened) is sent to the next endpoint, and a read always is; a write whose answer does
not come is an error, because it may have happened. A watch goes on at the next endpoint after the last revision that it has.

Why not grpcio: see ARCHITECTURE.md, "Why HTTP/2 of our own". Upstream: etcd ``client/v3``.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from kubesim.etcd.api.server import BY_PATH, WATCH
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.unavailable import ConnectionLost, ConnectionRefused, DeadlineExceeded
from kubesim.etcd.wire.codec import Fields, decode, encode
from kubesim.etcd.wire.schema import Method
from kubesim.server.http import hpack
from kubesim.server.http.http2_client import ClientConnection, ClientStream

TIMEOUT_SECONDS = 10.0
CONNECT_SECONDS_MAX = 2.0
AGAIN_SECONDS = 0.05  # after a round of all endpoints
PING_SECONDS = 5.0
PREFIX_BYTES = 5
UNAVAILABLE, UNKNOWN_CODE = 14, 2
_PREFIX = Struct(">BI")


class BadEndpoint(ValueError):
    """An endpoint that is none; the message names it."""


class Endpoint(NamedTuple):
    """Where a member of etcd listens for clients."""

    host: str
    port: int
    is_secure: bool


class RemoteError(EtcdError):
    """An error that etcd answered with."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__()


def read_endpoints(text: str) -> list[Endpoint]:
    """The endpoints of a list such as ``http://127.0.0.1:2379,https://...``. Raises BadEndpoint."""
    found = []
    for url in text.split(","):
        parts = urlsplit(url.strip())
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme not in ("http", "https") or not parts.hostname or not port or parts.path.strip("/"):
            raise BadEndpoint(f"{url.strip()!r}; expected URLs such as http://127.0.0.1:2379, with commas between them")
        found.append(Endpoint(parts.hostname, port, parts.scheme == "https"))
    return found


class _Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self, on_lost: Callable[["_Wire"], object]) -> None:
        self.transport: asyncio.Transport
        self.http: ClientConnection
        self.has_heard = True
        self._on_lost = on_lost

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        self.http = ClientConnection(transport.write)
        self.http.begin()

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self.has_heard = True
        self.http.receive(data)
        if self.http.is_over:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everybody who waits."""
        self.http.lost()
        self._on_lost(self)


class _Call:
    """One call: cuts messages out of the bytes; ``on_message`` gets them, ``on_end`` None or the error, once."""

    __slots__ = ("_buffer", "_is_over", "_method", "_on_end", "_on_message", "stream")

    def __init__(self, method: Method, on_message: Callable[[Fields], object], on_end: Callable[[EtcdError | None], object]) -> None:
        self._method = method
        self._on_message = on_message
        self._on_end = on_end
        self._buffer = b""
        self._is_over = False
        self.stream: ClientStream

    def data(self, data: bytes) -> None:
        """Take a part of the answer."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while len(buffer) - at >= PREFIX_BYTES:
            _, size = _PREFIX.unpack_from(buffer, at)
            stop = at + PREFIX_BYTES + size
            if stop > len(buffer):
                break
            self._on_message(decode(self._method.response, buffer[at + PREFIX_BYTES : stop]))
            at = stop
        self._buffer = buffer[at:]

    def end_of_request(self) -> None:
        """The answer is whole: its trailers say how it went."""
        headers = self.stream.headers
        self.stream.close()
        status = headers.get("grpc-status", "")
        if status == "0":
            self._over(None)
        else:
            code = int(status) if status.isdecimal() else UNKNOWN_CODE
            self._over(RemoteError(code, unquote(headers.get("grpc-message", "")) or f"HTTP status {headers.get(':status', '')}"))

    def reset(self) -> None:
        """The stream or the connection broke."""
        self._over(ConnectionLost())

    def writable(self) -> None:
        """Nothing waits."""

    def _over(self, error: EtcdError | None) -> None:
        if not self._is_over:
            self._is_over = True
            self._on_end(error)

    def cancel(self) -> None:
        """Want no answer any more."""
        self._is_over = True
        if not self.stream.is_closed:
            self.stream.reset(8)


class RemoteEtcd:
    """A client of the etcd behind ``endpoints``. Lives in one event loop; ``context`` is for https."""

    def __init__(self, endpoints: Sequence[Endpoint], context: ssl.SSLContext | None = None) -> None:
        self.endpoints = list(endpoints)
        self.timeout = TIMEOUT_SECONDS
        self._context = context
        self._turn = 0
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[_Wire] | None = None
        self._blocks: dict[tuple[str, str], bytes] = {}
        self._pinging: asyncio.Task[None] | None = None
        self._is_closed = False

    # -- connections

    async def _connected(self) -> _Wire:
        """The connection, opened where there is none. Raises ConnectionRefused when nobody listens at any endpoint."""
        if self._wire is not None and not self._wire.http.is_spent:
            return self._wire
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add_done_callback(self._has_connected)
        return await asyncio.shield(self._connecting)

    def _has_connected(self, task: "asyncio.Task[_Wire]") -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # everybody who waits has it

    async def _connect(self) -> _Wire:
        loop = asyncio.get_running_loop()
        for _ in self.endpoints:
            endpoint = self.endpoints[self._turn % len(self.endpoints)]
            context = self._context if endpoint.is_secure else None
            try:
                async with asyncio.timeout(CONNECT_SECONDS_MAX):
                    _, wire = await loop.create_connection(lambda: _Wire(self._lost), endpoint.host, endpoint.port, ssl=context)
            except (OSError, TimeoutError):
                self._turn += 1
                continue
            self._wire = wire
            if self._pinging is None:
                self._pinging = loop.create_task(self._ping())
            return wire
        raise ConnectionRefused

    def _lost(self, wire: _Wire) -> None:
        if self._wire is wire:
            self._wire = None
            self._turn += 1

    def _leave(self, wire: _Wire) -> None:
        """Use another endpoint from now on; what is under way here may still be answered."""
        if self._wire is wire:
            self._wire = None
            self._turn += 1
        self._close_if_idle(wire)

    def _close_if_idle(self, wire: _Wire) -> None:
        if wire is not self._wire and not wire.http.streams:
            wire.transport.close()

    async def _ping(self) -> None:
        """Notice an endpoint that has gone without a word."""
        while not self._is_closed:
            wire = self._wire
            if wire is not None:
                wire.has_heard = False
                wire.http.ping()
            await asyncio.sleep(PING_SECONDS)
            if wire is not None and wire is self._wire and not wire.has_heard:
                wire.transport.abort()

    def _headers(self, method: Method, endpoint: str) -> bytes:
        key = (method.path, endpoint)
        block = self._blocks.get(key)
        if block is None:
            headers = [(":method", "POST"), (":scheme", "http"), (":path", method.path), (":authority", endpoint)]
            headers += [("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "kubesim")]
            if method.path == WATCH:
                headers.append(("hasleader", "true"))
            block = self._blocks[key] = hpack.encode(headers)
        return block

    def _open(self, wire: _Wire, method: Method, on_message: Callable[[Fields], object], on_end: Callable[..., object]) -> _Call:
        call = _Call(method, on_message, on_end)
        endpoint = self.endpoints[self._turn % len(self.endpoints)]
        call.stream = wire.http.open(self._headers(method, f"{endpoint.host}:{endpoint.port}"), call)
        return call

    # -- calls

    async def call(self, path: str, message: Fields, *, is_repeatable: bool = False) -> Fields:
        """Make a call and return its answer. Raises EtcdError: ConnectionLost, DeadlineExceeded (it may have happened), or etcd's own."""
        loop = asyncio.get_running_loop()
        method = BY_PATH[path]
        deadline = loop.time() + self.timeout
        data = encode(method.request, message)
        data = _PREFIX.pack(0, len(data)) + data
        while True:
            try:
                wire = await self._connected()
            except ConnectionRefused:
                if loop.time() + AGAIN_SECONDS >= deadline:
                    raise
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            try:
                return await self._ask(wire, method, data, deadline)
            except EtcdError as error:
                if isinstance(error, DeadlineExceeded) or error.code == UNAVAILABLE:
                    self._leave(wire)
                if not is_repeatable or error.code != UNAVAILABLE or loop.time() + AGAIN_SECONDS >= deadline:
                    raise
            await asyncio.sleep(AGAIN_SECONDS)

    async def _ask(self, wire: _Wire, method: Method, data: bytes, deadline: float) -> Fields:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Fields] = loop.create_future()
        found: list[Fields] = []

        def on_end(error: EtcdError | None) -> None:
            if answered.done():
                return
            if error is not None:
                answered.set_exception(error)
            elif found:
                answered.set_result(found[0])
            else:
                answered.set_exception(ConnectionLost())

        call = self._open(wire, method, found.append, on_end)
        call.stream.send(data)
        call.stream.finish()
        try:
            async with asyncio.timeout_at(deadline):
                return await answered
        except TimeoutError:
            raise DeadlineExceeded from None
        finally:
            if not answered.done() or answered.cancelled():
                call.cancel()
            self._close_if_idle(wire)

    async def watch(self, start_revision: int, on_events: Callable[[list[Fields], int], object]) -> int:
        """Watch all keys from a revision on, for ever; ``on_events`` gets whole revisions in order, and how far the watch has come.

        Returns the compacted revision when the place to go on from is compacted.
        """
        next_revision = start_revision
        while not self._is_closed:
            try:
                wire = await self._connected()
            except ConnectionRefused:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

            def on_message(message: Fields, ended: "asyncio.Future[int]" = ended) -> None:
                nonlocal next_revision
                if message.get("canceled"):
                    if not ended.done():
                        ended.set_result(message.get("compact_revision", 0))
                    return
                events = message.get("events", [])
                if events:
                    next_revision = events[-1]["kv"]["mod_revision"] + 1
                    on_events(events, next_revision - 1)

            def on_end(error: EtcdError | None, ended: "asyncio.Future[int]" = ended) -> None:
                if not ended.done():
                    ended.set_result(0)

            call = self._open(wire, BY_PATH[WATCH], on_message, on_end)
            request = {"create_request": {"key": b"\0", "range_end": b"\0", "start_revision": next_revision}}
            data = encode(BY_PATH[WATCH].request, request)
            call.stream.send(_PREFIX.pack(0, len(data)) + data)
            try:
                compacted = await ended
            except asyncio.CancelledError:
                call.cancel()
                raise
            if compacted:
                return compacted
            call.cancel()
            self._leave(wire)
            await asyncio.sleep(AGAIN_SECONDS)
        return 0

    def close(self) -> None:
        """Close the connection."""
        self._is_closed = True
        if self._pinging is not None:
            self._pinging.cancel()
        if self._wire is not None:
            self._wire.transport.abort()
