"""The server's side of an HTTP/2 connection (RFC 9113): bytes in, calls of stream handlers out; what is to be sent goes to ``write``.

Both windows of flow control are kept: what a client sends is given back as it is taken, what it does not read waits in the stream. No
priorities, no server push. A connection that breaks the protocol is ended with GOAWAY, a stream with RST_STREAM.
"""

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Protocol

from kubesim.server.http.hpack import HEADER_BYTES_MAX, Decoder, HpackError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL = 5, 6, 7, 8
COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 9, 11

INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 4, 3, 5, 6
WINDOW_DEFAULT = 65535
WINDOW_MAX = (1 << 31) - 1
STREAM_WINDOW = 4 << 20  # what a client may send on a stream ahead of us
CONNECTION_WINDOW = 64 << 20
FRAME_BYTES_MAX = 16384
STREAMS_MAX = 100_000
QUEUE_BYTES_MAX = 1 << 20  # what a stream keeps for a client that does not read, before it says that it is full

_HEAD = Struct(">HBBBI")  # length in two parts, type, flags, stream
_U32 = Struct(">I")
_SETTING = Struct(">HI")


class ConnectionError_(Exception):
    """The client broke the protocol; ``code`` goes into the GOAWAY."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class StreamHandler(Protocol):
    """Who serves one stream."""

    def data(self, data: bytes) -> None:
        """Take a part of the request's body."""

    def end_of_request(self) -> None:
        """Take note that the request's body has ended."""

    def reset(self) -> None:
        """Take note that the client has gone, or no longer wants an answer."""

    def writable(self) -> None:
        """Go on: ``is_full`` was true and is no longer."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


class _Gone:
    """The handler of a stream that is closed."""

    def data(self, data: bytes) -> None:
        pass

    def end_of_request(self) -> None:
        pass

    reset = writable = end_of_request


GONE = _Gone()


class Stream:
    """One stream as its handler sees it: ``headers``, ``send`` and ``reset``."""

    __slots__ = (
        "_connection",
        "_queue",
        "_was_full",
        "handler",
        "headers",
        "is_closed",
        "is_remote_closed",
        "number",
        "queued_bytes",
        "taken_bytes",
        "window",
    )

    def __init__(self, connection: "Connection", number: int, headers: dict[str, str], window: int) -> None:
        self._connection = connection
        self._queue: deque[tuple[bytes, bool]] = deque()  # data, or a header block (True), not sent yet
        self._was_full = False
        self.number = number
        self.headers = headers
        self.handler: StreamHandler
        self.window = window
        self.queued_bytes = 0
        self.taken_bytes = 0  # received and not given back
        self.is_closed = False
        self.is_remote_closed = False

    @property
    def is_full(self) -> bool:
        """Whether the client has not read what was sent; ``handler.writable()`` is called when it has."""
        if self.queued_bytes > QUEUE_BYTES_MAX or self._connection.is_full():
            self._was_full = True
            return True
        return False

    def send(self, data: bytes) -> None:
        """Send a part of the answer's body."""
        if self.is_closed:
            return
        size = len(data)
        connection = self._connection
        if not self._queue and size <= FRAME_BYTES_MAX and size <= self.window and size <= connection.window:
            self.window -= size
            connection.window -= size
            connection.write(frame(DATA, 0, self.number, data))
            return
        self._queue.append((data, False))
        self.queued_bytes += size
        self.flush()

    def send_headers(self, block: bytes) -> None:
        """Send the headers of the answer, as a block of ``hpack.encode``."""
        if not self.is_closed:
            self._connection.write(frame(HEADERS, END_HEADERS, self.number, block))

    def end(self, block: bytes) -> None:
        """Send the trailers (or headers and trailers in one) and close the stream."""
        if self.is_closed:
            return
        if self._queue:
            self._queue.append((block, True))
            return
        self._finish(block)

    def _finish(self, block: bytes) -> None:
        connection = self._connection
        connection.write(frame(HEADERS, END_HEADERS | END_STREAM, self.number, block))
        if not self.is_remote_closed:
            connection.write(frame(RST_STREAM, 0, self.number, _U32.pack(NO_ERROR)))
        self.close()

    def answer(self, headers: bytes, data: bytes, trailers: bytes) -> None:
        """Send a whole answer. One write where the windows allow it."""
        connection, number, size = self._connection, self.number, len(data)
        if self.is_closed:
            return
        if self._queue or size > FRAME_BYTES_MAX or size > self.window or size > connection.window or not self.is_remote_closed:
            self.send_headers(headers)
            self.send(data)
            self.end(trailers)
            return
        connection.window -= size
        stream = _U32.pack(number)
        connection.write(
            _HEAD.pack(0, len(headers), HEADERS, END_HEADERS, number)
            + headers
            + bytes((0, size >> 8, size & 0xFF, DATA, 0))
            + stream
            + data
            + bytes((0, 0, len(trailers), HEADERS, END_HEADERS | END_STREAM))
            + stream
            + trailers
        )
        self.close()

    def reset(self, code: int) -> None:
        """Break the stream off."""
        if not self.is_closed:
            self._connection.write(frame(RST_STREAM, 0, self.number, _U32.pack(code)))
            self.close()

    def close(self) -> None:
        """Forget the stream and its handler: nothing is sent on it any more, and no cycle is left for the collector."""
        self.is_closed = True
        self.handler = GONE
        self._queue.clear()
        self._connection.streams.pop(self.number, None)
        self._connection.waiting.pop(self, None)

    def break_off(self) -> None:
        """Close the stream, and tell its handler that the client has gone."""
        handler = self.handler
        self.close()
        handler.reset()

    def flush(self) -> None:
        """Send what the windows allow of what waits."""
        connection, queue = self._connection, self._queue
        while queue:
            data, is_block = queue[0]
            if is_block:
                queue.clear()
                self._finish(data)
                return
            size = min(len(data), FRAME_BYTES_MAX, self.window, connection.window)
            if size <= 0 and data:
                connection.waiting[self] = None
                return
            connection.write(frame(DATA, 0, self.number, data[:size]))
            self.window -= size
            connection.window -= size
            self.queued_bytes -= size
            if size == len(data):
                queue.popleft()
            else:
                queue[0] = (data[size:], False)
        connection.waiting.pop(self, None)
        self.tell_writable()

    def tell_writable(self) -> None:
        """Tell the handler that it may go on, if it was told to wait."""
        if self._was_full and not self.is_closed and not self.is_full:
            self._was_full = False
            self.handler.writable()


class Connection:
    """One connection. ``open_stream(stream)`` returns the handler of a new stream, or None to refuse it; ``write(bytes)`` sends."""

    def __init__(
        self,
        open_stream: Callable[[Stream], StreamHandler | None],
        write: Callable[[bytes], object],
        is_full: Callable[[], bool] = bool,
    ) -> None:
        self._open_stream = open_stream
        self.write = write
        self.is_full = is_full
        self.streams: dict[int, Stream] = {}
        self.waiting: dict[Stream, None] = {}  # streams that wait for a window
        self.window = WINDOW_DEFAULT  # what may be sent on the connection
        self.is_over = False
        self._buffer = b""
        self._decoder = Decoder()
        self._stream_window = WINDOW_DEFAULT  # what may be sent on a new stream
        self._taken_bytes = 0
        self._last_number = 0
        self._block: tuple[int, int, bytes] | None = None  # stream, flags and beginning of headers that go on

    def begin(self) -> None:
        """Send our settings. To be called once, when the preface has come."""
        settings = ((INITIAL_WINDOW_SIZE, STREAM_WINDOW), (MAX_CONCURRENT_STREAMS, STREAMS_MAX), (MAX_HEADER_LIST_SIZE, HEADER_BYTES_MAX))
        payload = b"".join(_SETTING.pack(*setting) for setting in settings)
        self.write(frame(SETTINGS, 0, 0, payload) + frame(WINDOW_UPDATE, 0, 0, _U32.pack(CONNECTION_WINDOW - WINDOW_DEFAULT)))

    def receive(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.is_over:
            return
        buffer = self._buffer + data if self._buffer else data
        at, size = 0, len(buffer)
        try:
            while size - at >= 9:
                high, low, kind, flags, number = _HEAD.unpack_from(buffer, at)
                length = high << 8 | low
                if length > FRAME_BYTES_MAX:
                    raise ConnectionError_(FRAME_SIZE_ERROR, f"a frame of {length} bytes")
                if size - at - 9 < length:
                    break
                at += 9
                self._take(kind, flags, number & WINDOW_MAX, buffer[at : at + length])
                at += length
        except ConnectionError_ as error:
            self.go_away(error.code, str(error))
            return
        self._buffer = buffer[at:]

    def go_away(self, code: int = NO_ERROR, reason: str = "") -> None:
        """Tell the client that the connection ends, and drop all streams."""
        if not self.is_over:
            self.write(frame(GOAWAY, 0, 0, _U32.pack(self._last_number) + _U32.pack(code) + reason.encode()[:200]))
            self.lost()

    def lost(self) -> None:
        """Take note that the connection has gone."""
        self.is_over = True
        for stream in list(self.streams.values()):
            stream.break_off()

    def writable(self) -> None:
        """Go on after ``is_full`` was true."""
        for stream in list(self.streams.values()):
            stream.tell_writable()

    # -- frames

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and (kind != CONTINUATION or number != self._block[0]):
            raise ConnectionError_(PROTOCOL_ERROR, "headers that do not go on")
        if kind == DATA:
            self._take_data(flags, number, payload)
        elif kind == HEADERS:
            self._take_headers(flags, number, payload)
        elif kind == WINDOW_UPDATE:
            self._take_window_update(number, payload)
        elif kind == RST_STREAM:
            stream = self.streams.get(number)
            if stream is not None:
                stream.break_off()
        elif kind == SETTINGS:
            self._take_settings(flags, payload)
        elif kind == PING:
            if not flags & ACK:
                self.write(frame(PING, ACK, 0, payload))
        elif kind == CONTINUATION:
            if self._block is None:
                raise ConnectionError_(PROTOCOL_ERROR, "a continuation of nothing")
            first, old_flags, block = self._block
            if len(block) + len(payload) > HEADER_BYTES_MAX:
                raise ConnectionError_(ENHANCE_YOUR_CALM, "the headers are too large")
            self._block = (first, old_flags, block + payload)
            if flags & END_HEADERS:
                self._end_headers()
        elif kind == PUSH_PROMISE:
            raise ConnectionError_(PROTOCOL_ERROR, "a client pushes nothing")

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._taken_bytes += size
        if self._taken_bytes > CONNECTION_WINDOW // 2:
            self.write(frame(WINDOW_UPDATE, 0, 0, _U32.pack(self._taken_bytes)))
            self._taken_bytes = 0
        stream = self.streams.get(number)
        if stream is None:
            if number > self._last_number or number == 0:
                raise ConnectionError_(PROTOCOL_ERROR, f"data on stream {number}, which is not open")
            return  # it was closed on our side
        stream.taken_bytes += size
        if stream.taken_bytes > STREAM_WINDOW // 2 and not flags & END_STREAM:
            self.write(frame(WINDOW_UPDATE, 0, number, _U32.pack(stream.taken_bytes)))
            stream.taken_bytes = 0
        if flags & PADDED:
            payload = _without_padding(payload)
        if flags & END_STREAM:
            stream.is_remote_closed = True
        if payload:
            stream.handler.data(payload)
        if flags & END_STREAM:
            stream.handler.end_of_request()

    def _take_headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & PADDED:
            payload = _without_padding(payload)
        if flags & HAS_PRIORITY:
            payload = payload[5:]
        self._block = (number, flags, payload)
        if flags & END_HEADERS:
            self._end_headers()

    def _decoded(self) -> tuple[int, int, dict[str, str]]:
        """The stream, flags and headers of the block that has just ended."""
        assert self._block is not None
        number, flags, block = self._block
        self._block = None
        try:
            headers = self._decoder.decode(block)
        except HpackError as error:
            raise ConnectionError_(COMPRESSION_ERROR, str(error)) from None
        return number, flags, headers

    def _end_headers(self) -> None:
        number, flags, headers = self._decoded()
        stream = self.streams.get(number)
        if stream is not None:  # trailers
            if flags & END_STREAM and not stream.is_remote_closed:
                stream.is_remote_closed = True
                stream.handler.end_of_request()
            return
        if number <= self._last_number:
            return  # trailers of a stream that we have closed
        if number % 2 == 0:
            raise ConnectionError_(PROTOCOL_ERROR, f"stream {number} is even")
        self._last_number = number
        self._begin_stream(number, headers, bool(flags & END_STREAM))

    def _begin_stream(self, number: int, headers: dict[str, str], has_ended: bool) -> None:
        stream = Stream(self, number, headers, self._stream_window)
        handler = self._open_stream(stream) if len(self.streams) < STREAMS_MAX else None
        if handler is None:
            stream.reset(REFUSED_STREAM)
            return
        if stream.is_closed:
            return  # answered already
        stream.handler = handler
        self.streams[number] = stream
        if has_ended:
            stream.is_remote_closed = True
            handler.end_of_request()

    def _take_settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            return
        if len(payload) % 6:
            raise ConnectionError_(FRAME_SIZE_ERROR, "settings of a bad size")
        for name, value in _SETTING.iter_unpack(payload):
            if name == INITIAL_WINDOW_SIZE:
                if value > WINDOW_MAX:
                    raise ConnectionError_(FLOW_CONTROL_ERROR, "a window that is too large")
                difference = value - self._stream_window
                self._stream_window = value
                for stream in list(self.streams.values()):
                    stream.window += difference
                    stream.flush()
        self.write(frame(SETTINGS, ACK, 0))

    def _take_window_update(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionError_(FRAME_SIZE_ERROR, "a window update of a bad size")
        increment = _U32.unpack(payload)[0] & WINDOW_MAX
        if number == 0:
            self.window += increment
            if self.window > WINDOW_MAX or not increment:
                raise ConnectionError_(FLOW_CONTROL_ERROR, "a window that is too large")
            for stream in list(self.waiting):
                stream.flush()
            return
        found = self.streams.get(number)
        if found is not None:
            found.window += increment
            if found.window > WINDOW_MAX:
                found.reset(FLOW_CONTROL_ERROR)
            elif found in self.waiting:
                found.flush()


def _without_padding(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise ConnectionError_(PROTOCOL_ERROR, "more padding than data")
    return payload[1 : len(payload) - payload[0]]
