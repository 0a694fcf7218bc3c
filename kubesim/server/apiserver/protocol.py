"""uvicorn's HTTP/1.1 protocol with two things more: the client's certificate, and methods that its parser does not know.

The parser refuses a method that no standard names before anybody can answer 405, so such a word is replaced by one that it takes and
kept beside it.
"""

import re
from asyncio import AbstractEventLoop
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

KNOWN = frozenset((
    b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT",
))  # fmt: skip
REPLACEMENT = b"TRACE"
_LINE = re.compile(rb"([A-Z]{1,20}) [^ \r\n]+ HTTP/1\.[01]\r\n")


class Joined:
    """A transport that sends in one piece what is written in one turn of the loop: head and body, or many events.

    Each piece is a TLS record and a system call, which cost more than most answers.
    """

    __slots__ = ("_loop", "_parts", "_transport")

    def __init__(self, transport: Any, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send at the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)

    def flush(self) -> None:
        """Send what has been written."""
        if self._parts:
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts.clear()
            if not self._transport.is_closing():
                self._transport.write(data)

    def close(self) -> None:
        """Send what is left and close."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return bool(self._transport.is_closing())


class Protocol(HttpToolsProtocol):
    """One connection."""

    _certificate: Any = None
    _odd_method = ""

    def connection_made(self, transport: Any) -> None:
        """Remember whom the TLS layer has verified."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self._certificate = tls.getpeercert() if tls is not None else None
        self._joined = Joined(transport, self.loop)

    def on_headers_complete(self) -> None:
        """Begin to answer; the task that does so starts in a later turn of the loop, so that it sees what is set here."""
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.transport = self._joined  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Take bytes; a request line with an unknown method is rewritten."""
        if self.cycle is None or self.cycle.response_complete:
            match = _LINE.match(data)
            if match is not None and match[1] not in KNOWN:
                self._odd_method = match[1].decode()
                data = REPLACEMENT + data[match.end(1) :]
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["kubesim.certificate"] = self._certificate  # type: ignore[typeddict-unknown-key]
        self.scope["kubesim.method"] = self._odd_method  # type: ignore[typeddict-unknown-key]
        self.scope["kubesim.abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]
        self._odd_method = ""


class SocketProtocol(WSProtocol):
    """A connection that has become a websocket."""

    _certificate: Any = None

    def connection_made(self, transport: Any) -> None:
        """Remember whom the TLS layer has verified."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self._certificate = tls.getpeercert() if tls is not None else None

    def handle_connect(self, event: Any) -> None:
        """Begin the session; its task starts in a later turn of the loop, so that it sees what is added here."""
        super().handle_connect(event)
        self.scope["kubesim.certificate"] = self._certificate  # type: ignore[typeddict-unknown-key]
