"""A client's connection: HTTP/2 with gRPC, HTTP/1.1 with the gateway and the pages, or a WebSocket, by its first bytes, on one port."""

import asyncio
import socket
from typing import Any

from kubesim.etcd.api.context import Context
from kubesim.etcd.api.exchange import LeaderMonitor
from kubesim.etcd.api.server import BY_GATEWAY_PATH
from kubesim.etcd.wire.schema import Method
from kubesim.server.etcd import gateway, grpc, pages
from kubesim.server.etcd.clock import Clock
from kubesim.server.etcd.errors import code_and_message
from kubesim.server.http import http1, http2, websocket

WRITE_BYTES_HIGH = 1 << 20
AHEAD_BYTES_MAX = 1 << 20
HEAD_END = b"\r\n\r\n"


class Front:
    """What all connections share: the member's API, the clock to wake, and the connections themselves."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context, clock: Clock) -> None:
        self.loop = loop
        self.context = context
        self.monitor = LeaderMonitor(context)
        self.wake = clock.wake
        self.connections: dict[ClientConnection, None] = {}
        self._soon = clock.soon
        self._dirty: list[ClientConnection] = []
        clock.flush.append(self.flush)

    def connection(self) -> "ClientConnection":
        """Return the protocol of a new connection."""
        return ClientConnection(self)

    def flush_soon(self, connection: "ClientConnection") -> None:
        """Send what the connection has at the end of the turn."""
        self._dirty.append(connection)
        self._soon()

    def flush(self) -> None:
        """Send what all connections have."""
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    def close(self) -> None:
        """End all connections."""
        for connection in list(self.connections):
            connection.close()


class ClientConnection(asyncio.Protocol):
    """One connection. What is written in one turn of the loop leaves in one piece."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self._transport: asyncio.Transport
        self._common_name = ""
        self._buffer = b""
        self._out: list[bytes] = []
        self._is_paused = False  # the client does not read
        self._http2: http2.Connection | None = None
        self._http1: Http1 | None = None

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the connection up."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_BYTES_HIGH)
        found = transport.get_extra_info("socket")
        if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        certificate = transport.get_extra_info("peercert") or {}
        for part in certificate.get("subject", ()):
            for name, value in part:
                if name == "commonName":
                    self._common_name = value
        self.front.connections[self] = None

    def connection_lost(self, error: Exception | None) -> None:
        """Drop all calls of the connection."""
        self.front.connections.pop(self, None)
        self.front.wake()
        if self._http2 is not None:
            self._http2.lost()
        if self._http1 is not None:
            self._http1.lost()

    def data_received(self, data: bytes) -> None:
        """Take bytes. An error of ours that they set off ends this connection and no other; a broken invariant ends the process."""
        self.front.wake()
        try:
            if self._http2 is not None:
                self._http2.receive(data)
            elif self._http1 is not None:
                self._http1.receive(data)
            else:
                self._decide(data)
        except AssertionError:
            raise
        except Exception as error:
            code_and_message(error)  # prints it
            self._transport.abort()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_paused = False
        self.front.wake()
        if self._http2 is not None:
            self._http2.writable()
        if self._http1 is not None:
            self._http1.writable()

    def _decide(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data
        preface = http2.PREFACE
        if buffer[: len(preface)] == preface[: len(buffer)]:
            if len(buffer) < len(preface):
                return
            self._http2 = http2.Connection(self._open_stream, self.write, self.is_full)
            self._http2.begin()
            self._http2.receive(buffer[len(preface) :])
        else:
            self._http1 = Http1(self)
            self._http1.receive(buffer)
        self._buffer = b""

    def _open_stream(self, stream: http2.Stream) -> Any:
        return grpc.open_stream(self.front.context, self.front.monitor, self._common_name, stream)

    # -- writing

    def is_full(self) -> bool:
        """Whether the client does not read."""
        return self._is_paused

    def write(self, data: bytes) -> None:
        """Send bytes, with all others of this turn of the loop."""
        if not self._out:
            self.front.flush_soon(self)
        self._out.append(data)

    def flush(self) -> None:
        """Hand what is to be sent to the socket."""
        out, self._out = self._out, []
        if out and not self._transport.is_closing():
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def pause_reading(self, is_paused: bool) -> None:
        """Take nothing from the client for a while, or go on."""
        if not self._transport.is_closing():
            (self._transport.pause_reading if is_paused else self._transport.resume_reading)()

    def close(self) -> None:
        """End the connection when all is sent."""
        if self._http2 is not None:
            self._http2.go_away()
        self.flush()
        self._transport.close()


class Http1:
    """HTTP/1.1 on a connection: a request, its answer, then the next request."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._front = connection.front
        self._buffer = b""
        self._request: http1.Request | None = None
        self._body = http1.Body(0)
        self._collected: list[bytes] = []
        self._plain: gateway.Plain | None = None
        self._lines: gateway.Lines | None = None
        self._is_busy = False  # an answer is under way
        self._is_paused = False
        self._has_body_ended = False
        self._has_head = False  # the head of a streamed answer is sent
        self._socket: websocket.Decoder | None = None

    def receive(self, data: bytes) -> None:
        """Take bytes."""
        if self._socket is not None:
            self._take_frames(data)
            return
        self._buffer += data
        if self._is_busy and len(self._buffer) > AHEAD_BYTES_MAX and self._lines is None:
            self._is_paused = True  # a client that sends on without waiting for its answers
            self._connection.pause_reading(True)
        try:
            self._work()
        except http1.HttpError as error:
            body = b'{"code":3,"message":"%s","details":[]}' % str(error).encode()
            self._connection.write(http1.answer(error.status, body, keeps_alive=False))
            self._connection.close()

    def lost(self) -> None:
        """Drop the call under way."""
        if self._plain is not None:
            self._plain.close()
        if self._lines is not None:
            self._lines.close()

    def writable(self) -> None:
        """Go on sending."""
        if self._lines is not None:
            self._lines.resume()

    def _work(self) -> None:
        while not (self._is_busy and self._lines is None):
            if self._request is None and not (self._buffer and self._begin()):
                return
            data, self._buffer = self._body.take(self._buffer)
            if self._lines is not None:
                if data:
                    self._lines.take(data)
                if self._body.is_over and not self._has_body_ended:
                    self._end_body()
                return
            self._collected.append(data)
            if not self._body.is_over:
                return
            self._end_body()
            if self._socket is not None:
                return

    def _begin(self) -> bool:
        """Read the head of the next request; False: it is not whole yet."""
        head, end, rest = self._buffer.partition(HEAD_END)
        if not end:
            if len(head) > http1.HEAD_BYTES_MAX:
                raise http1.HttpError(431, "the headers are too large")
            return False
        request = self._request = http1.parse_head(head.lstrip(b"\r\n"))
        self._buffer = rest
        self._body = http1.Body(request.length)
        self._collected = []
        self._has_body_ended = False
        if request.headers.get("expect", "").lower() == "100-continue":
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        method = BY_GATEWAY_PATH.get(request.path)
        if method is not None and request.headers.get("upgrade", "").lower() == "websocket":
            self._upgrade(method, request)
            return True
        if method is not None and request.method == "POST" and method.has_response_stream:
            self._begin_stream(method, request)
        return True

    def _end_body(self) -> None:
        """Answer: the request is whole."""
        request = self._request
        if request is None or self._socket is not None:
            return
        self._has_body_ended = True
        if self._lines is not None:
            self._lines.half_close()
            return
        self._is_busy = True
        page = pages.PAGES.get(request.path)
        method = BY_GATEWAY_PATH.get(request.path)
        if page is not None and request.method in ("GET", "HEAD"):
            page(self._front.context, request.query, self._answer)
        elif method is None:
            self._answer(404, gateway.NOT_FOUND if request.path.startswith("/v3/") else b"404 page not found\n", "application/json")
        elif request.method != "POST":
            self._answer(501, gateway.NOT_ALLOWED)
        else:
            self._plain = gateway.Plain(self._front.context, method, request, self._answer)
            self._plain.start(b"".join(self._collected))

    def _answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        request = self._request
        assert request is not None
        self._connection.write(http1.answer(status, body, content_type, request.keeps_alive))
        self._next(request.keeps_alive)

    def _next(self, keeps_alive: bool) -> None:
        """Turn to the next request, or end the connection."""
        self._request = self._plain = self._lines = None
        self._is_busy = self._has_head = False
        if not keeps_alive:
            self._connection.close()
            return
        if self._is_paused:
            self._is_paused = False
            self._connection.pause_reading(False)
        if self._buffer:
            self._front.loop.call_soon(self.receive, b"")

    # -- streams

    def _begin_stream(self, method: Method, request: http1.Request) -> None:
        def write(status: int, line: bytes) -> None:
            if not self._has_head:
                self._has_head = True
                headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]
                self._connection.write(http1.head_of(status, headers))
            self._connection.write(http1.chunk(line + b"\n"))

        def finish() -> None:
            if not self._has_head:
                self._has_head = True
                self._connection.write(http1.head_of(200, [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]))
            self._connection.write(http1.LAST_CHUNK)
            self._next(request.keeps_alive and self._body.is_over)

        self._is_busy = True
        lines = gateway.Lines(self._front.context, self._front.monitor, method, request.headers, write, finish, self._connection.is_full)
        self._lines = lines
        lines.start()

    def _upgrade(self, method: Method, request: http1.Request) -> None:
        accept = websocket.accept_of(request.headers.get("sec-websocket-key", ""))
        headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
        if request.headers.get("sec-websocket-protocol", "").startswith("Bearer"):
            headers.append(("Sec-WebSocket-Protocol", "Bearer"))
        self._connection.write(http1.head_of(101, headers))
        self._socket = websocket.Decoder()

        def write(status: int, line: bytes) -> None:
            self._connection.write(websocket.frame(websocket.TEXT, line))

        self._lines = gateway.Lines(
            self._front.context, self._front.monitor, method, request.headers, write, self._close_socket, self._connection.is_full
        )
        self._lines.start()
        buffer, self._buffer = self._buffer, b""
        if buffer:
            self._take_frames(buffer)

    def _take_frames(self, data: bytes) -> None:
        assert self._socket is not None
        try:
            for kind, payload in self._socket.receive(data):
                if kind == websocket.PING:
                    self._connection.write(websocket.frame(websocket.PONG, payload))
                elif kind == websocket.CLOSE:
                    self._close_socket()
                elif kind in (websocket.TEXT, websocket.BINARY) and self._lines is not None:
                    self._lines.take(payload)
        except websocket.WebSocketError as error:
            self._connection.write(websocket.frame(websocket.CLOSE, error.code.to_bytes(2, "big")))
            self._drop_socket()

    def _close_socket(self) -> None:
        self._connection.write(websocket.frame(websocket.CLOSE, (1000).to_bytes(2, "big")))
        self._drop_socket()

    def _drop_socket(self) -> None:
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()
        self._connection.close()
