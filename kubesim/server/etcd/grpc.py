"""gRPC over HTTP/2: calls of the API as streams. Upstream: the gRPC HTTP/2 protocol (PROTOCOL-HTTP2.md).

A message is a byte that says whether it is compressed, its length and itself. The status of a call is in its trailers.
"""

import zlib
from struct import Struct
from typing import Any
from urllib.parse import quote

from kubesim.etcd.api.context import Call, Context
from kubesim.etcd.api.exchange import Exchange, LeaderMonitor, open_exchange
from kubesim.etcd.api.server import BY_PATH
from kubesim.etcd.wire.codec import DecodeError, Fields, decode, encode
from kubesim.etcd.wire.schema import Method
from kubesim.server.etcd.errors import DEADLINE_EXCEEDED, UNIMPLEMENTED, Refused, code_and_message, too_large
from kubesim.server.http import hpack
from kubesim.server.http.http2 import Stream

HEADERS = hpack.encode([(":status", "200"), ("content-type", "application/grpc")])
TRAILERS_OK = hpack.encode([("grpc-status", "0"), ("grpc-message", "")])
PREFIX_BYTES = 5
TIMEOUT_UNITS_NS = {"H": 3600 * 10**9, "M": 60 * 10**9, "S": 10**9, "m": 10**6, "u": 1000, "n": 1}
_PREFIX = Struct(">BI")


def call_of(headers: dict[str, str], common_name: str) -> Call:
    """Return who calls, by the headers of the call."""
    token = headers.get("token", headers.get("authorization"))
    return Call(None if token is None else token.removeprefix("Bearer "), headers.get("hasleader") == "true", common_name)


def trailers_of(error: Exception) -> list[tuple[str, str]]:
    """Return the trailers that tell an error."""
    code, message = code_and_message(error)
    return [("grpc-status", str(code)), ("grpc-message", quote(message, safe=" !\"#$&'()*+,/:;<=>?@[\\]^_`{|}"))]


def timeout_ns_of(text: str) -> int:
    """Return a ``grpc-timeout``; 0 for one that is none.

    >>> timeout_ns_of("5S")
    5000000000
    """
    number, unit = text[:-1], text[-1:]
    return int(number) * TIMEOUT_UNITS_NS[unit] if unit in TIMEOUT_UNITS_NS and number.isascii() and number.isdigit() else 0


class GrpcCall:
    """One stream that is a call: it cuts messages out of the bytes, and is the sink of the exchange."""

    __slots__ = ("_buffer", "_context", "_exchange", "_has_answered", "_is_over", "_method", "_monitor", "_stream", "_timer")

    def __init__(self, context: Context, monitor: LeaderMonitor, method: Method, call: Call, stream: Stream) -> None:
        self._context = context
        self._monitor = monitor
        self._method = method
        self._stream = stream
        self._buffer = b""
        self._has_answered = False
        self._is_over = False
        timeout = stream.headers.get("grpc-timeout")
        timeout_ns = timeout_ns_of(timeout) if timeout else 0
        self._timer = context.member.after(timeout_ns, self._timed_out) if timeout_ns else 0
        self._exchange: Exchange | None = None
        self._exchange = open_exchange(context, call, method, self)
        if call.needs_leader and method.has_response_stream:
            monitor.add(self)

    # -- the stream's side

    def data(self, data: bytes) -> None:
        """Take bytes of the request."""
        buffer = self._buffer + data if self._buffer else data
        at, size_max = 0, self._context.settings.message_bytes_max
        while len(buffer) - at >= PREFIX_BYTES and not self._is_over:
            is_compressed, size = _PREFIX.unpack_from(buffer, at)
            if size > size_max:
                self.end(too_large(size, size_max))
                return
            stop = at + PREFIX_BYTES + size
            if stop > len(buffer):
                break
            self._take(buffer[at + PREFIX_BYTES : stop], is_compressed)
            at = stop
        self._buffer = buffer[at:]

    def _take(self, data: bytes, is_compressed: int) -> None:
        assert self._exchange is not None
        try:
            if is_compressed:
                data = self._decompressed(data)
            self._exchange.receive(decode(self._method.request, data))
        except (DecodeError, Refused) as error:
            self.end(error)

    def _decompressed(self, data: bytes) -> bytes:
        if self._stream.headers.get("grpc-encoding") != "gzip":
            raise Refused(UNIMPLEMENTED, "grpc: Decompressor is not installed for grpc-encoding")
        size_max = self._context.settings.message_bytes_max
        try:
            unpacked = zlib.decompressobj(31).decompress(data, size_max + 1)
        except zlib.error as error:
            raise DecodeError(str(error)) from None
        if len(unpacked) > size_max:
            raise too_large(len(unpacked), size_max)
        return unpacked

    def end_of_request(self) -> None:
        """Take note that the request is whole."""
        if not self._is_over and self._exchange is not None:
            self._exchange.half_close()

    def reset(self) -> None:
        """Drop the call: the client has gone."""
        self._close()

    def writable(self) -> None:
        """Go on sending."""
        if not self._is_over and self._exchange is not None:
            self._exchange.resume()

    # -- the exchange's side

    def send(self, message: Fields) -> None:
        """Send an answer."""
        data = encode(self._method.response, message)
        data = _PREFIX.pack(0, len(data)) + data
        if not self._method.has_response_stream:
            self._is_over = True
            self._stream.answer(HEADERS, data, TRAILERS_OK)
            return
        if not self._has_answered:
            self._has_answered = True
            self._stream.send_headers(HEADERS)
        self._stream.send(data)

    def end(self, error: Exception | None) -> None:
        """End the call."""
        if not self._is_over:
            self._is_over = True
            if error is None:
                block = TRAILERS_OK if self._has_answered else HEADERS + TRAILERS_OK
            else:
                block = hpack.encode(trailers_of(error))
                block = block if self._has_answered else HEADERS + block
            self._stream.end(block)
        self._close()

    def is_full(self) -> bool:
        """Whether the client does not read."""
        return self._stream.is_full

    def _timed_out(self) -> None:
        self._timer = 0
        self.end(Refused(DEADLINE_EXCEEDED, "context deadline exceeded"))

    def _close(self) -> None:
        self._is_over = True
        if self._timer:
            self._context.member.cancel(self._timer)
            self._timer = 0
        self._monitor.drop(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.close()


class Refusal:
    """The handler of a stream that was answered at once."""

    def __init__(self) -> None:
        self.data = self.reset = self.end_of_request = self.writable = _nothing


def _nothing(*_: Any) -> None:
    return None


def open_stream(context: Context, monitor: LeaderMonitor, common_name: str, stream: Stream) -> Any:
    """Begin a call on a new stream and return its handler."""
    headers = stream.headers
    method = BY_PATH.get(headers.get(":path", ""))
    try:
        if not headers.get("content-type", "").startswith("application/grpc"):
            stream.end(hpack.encode([(":status", "415")]))
            return Refusal()
        if method is None:
            service, _, name = headers.get(":path", "").strip("/").partition("/")
            known = any(path.startswith(f"/{service}/") for path in BY_PATH)
            raise Refused(UNIMPLEMENTED, f"unknown method {name} for service {service}" if known else f"unknown service {service}")
        return GrpcCall(context, monitor, method, call_of(headers, common_name), stream)
    except Exception as error:
        stream.end(HEADERS + hpack.encode(trailers_of(error)))
        return Refusal()
