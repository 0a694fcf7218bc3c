"""The JSON gateway: calls of the API under /v3/ over HTTP/1.1, streams as lines or over a WebSocket.

Upstream: grpc-gateway v2 and grpc-websocket-proxy as etcd sets them up.
"""

from collections.abc import Callable

import orjson

from kubesim.etcd.api.context import Call, Context
from kubesim.etcd.api.exchange import Exchange, LeaderMonitor, open_exchange
from kubesim.etcd.wire.codec import Fields, encode
from kubesim.etcd.wire.json_text import JsonError, concatenated, from_json, to_json
from kubesim.etcd.wire.schema import Method
from kubesim.server.etcd.errors import HTTP_STATUS, code_and_message, too_large
from kubesim.server.http import http1

NOT_FOUND = b'{"code":5,"message":"Not Found","details":[]}'
NOT_ALLOWED = b'{"code":12,"message":"Method Not Allowed","details":[]}'


def error_body(error: Exception) -> tuple[int, bytes]:
    """Return the HTTP status and the body that tell an error."""
    code, message = code_and_message(error)
    return HTTP_STATUS.get(code, 500), orjson.dumps({"code": code, "message": message, "details": []})


def call_of(headers: dict[str, str]) -> Call:
    """Return who calls. A gateway's call never has the name of a certificate: it would be the server's own."""
    token = headers.get("grpc-metadata-token", headers.get("authorization"))
    if token is None and headers.get("sec-websocket-protocol", "").startswith("Bearer"):
        token = headers["sec-websocket-protocol"].partition(",")[2].strip()
    return Call(None if token is None else token.removeprefix("Bearer "), headers.get("grpc-metadata-hasleader") == "true")


class Plain:
    """A call with one answer."""

    def __init__(self, context: Context, method: Method, request: http1.Request, answer: Callable[[int, bytes], object]) -> None:
        self._context = context
        self._method = method
        self._request = request
        self._answer = answer
        self._message: Fields = {}
        self._exchange: Exchange | None = None
        self._is_over = False

    def start(self, body: bytes) -> None:
        """Begin, the body being whole."""
        try:
            message = from_json(self._method.request, body)
            size, size_max = len(encode(self._method.request, message)), self._context.settings.message_bytes_max
            if size > size_max:
                raise too_large(size, size_max)
            self._exchange = open_exchange(self._context, call_of(self._request.headers), self._method, self)
            self._exchange.receive(message)
            self._exchange.half_close()
        except Exception as error:
            self.end(error)

    def send(self, message: Fields) -> None:
        """Keep the answer until the call has ended."""
        self._message = message

    def end(self, error: Exception | None) -> None:
        """Answer."""
        if self._is_over:
            return
        self._is_over = True
        if error is None:
            self._answer(200, to_json(self._method.response, self._message))
        else:
            self._answer(*error_body(error))

    def is_full(self) -> bool:
        """Never: there is one answer."""
        return False

    def close(self) -> None:
        """Drop the call."""
        self._is_over = True
        if self._exchange is not None:
            self._exchange.close()


class Lines:
    """A stream: requests as JSON objects one after the other, answers as lines. ``write(status, line)``; ``finish()``.

    The status counts with the first line only.
    """

    def __init__(
        self,
        context: Context,
        monitor: LeaderMonitor,
        method: Method,
        headers: dict[str, str],
        write: Callable[[int, bytes], object],
        finish: Callable[[], object],
        is_full: Callable[[], bool],
    ) -> None:
        self._context = context
        self._monitor = monitor
        self._method = method
        self._headers = headers
        self._write = write
        self._finish = finish
        self.is_full = is_full
        self._text = ""
        self._exchange: Exchange | None = None
        self._is_over = False

    def start(self) -> None:
        """Begin."""
        try:
            call = call_of(self._headers)
            self._exchange = open_exchange(self._context, call, self._method, self)
            if call.needs_leader:
                self._monitor.add(self)
        except Exception as error:
            self.end(error)

    def take(self, data: bytes) -> None:
        """Take a part of the requests."""
        text = self._text + data.decode("utf-8", "replace")
        taken = 0
        try:
            for message, end in concatenated(self._method.request, text):
                taken = end
                size, size_max = len(encode(self._method.request, message)), self._context.settings.message_bytes_max
                if size > size_max:
                    raise too_large(size, size_max)
                if self._exchange is not None:
                    self._exchange.receive(message)
        except Exception as error:
            self.end(error)
        self._text = text[taken:]

    def half_close(self) -> None:
        """Take note that no more requests come."""
        if self._text.strip():
            self.end(JsonError("proto: syntax error: unexpected end of the request"))
        elif self._exchange is not None:
            self._exchange.half_close()

    def resume(self) -> None:
        """Go on sending."""
        if self._exchange is not None:
            self._exchange.resume()

    def send(self, message: Fields) -> None:
        """Send an answer."""
        if not self._is_over:
            self._write(200, b'{"result":' + to_json(self._method.response, message) + b"}")

    def end(self, error: Exception | None) -> None:
        """End the stream."""
        if self._is_over:
            return
        self._is_over = True
        if error is not None:
            status, body = error_body(error)
            self._write(status, b'{"error":' + body + b"}")
        self.close()
        self._finish()

    def close(self) -> None:
        """Drop the call."""
        self._is_over = True
        self._monitor.drop(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.close()
