"""uvicorn's HTTP/1.1 protocol with two things more: the client's certificate, and methods that its parser does not know.

The parser refuses a method that no standard names before anybody can answer 405, so such a word is replaced by one that it takes and
kept beside it.
"""

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

KNOWN = frozenset((
    b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT",
))  # fmt: skip
REPLACEMENT = b"TRACE"
_LINE = re.compile(rb"([A-Z]{1,20}) [^ \r\n]+ HTTP/1\.[01]\r\n")


class Protocol(HttpToolsProtocol):
    """One connection."""

    _certificate: Any = None
    _odd_method = ""

    def connection_made(self, transport: Any) -> None:
        """Remember whom the TLS layer has verified."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self._certificate = tls.getpeercert() if tls is not None else None

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
