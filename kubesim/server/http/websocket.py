"""WebSockets (RFC 6455), the server's side, as bytes: the handshake, messages in, messages out."""

from base64 import b64encode
from hashlib import sha1
from struct import Struct

KEY = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MESSAGE_BYTES_MAX = 64 << 20
PROTOCOL_ERROR, TOO_LARGE = 1002, 1009
_U16 = Struct(">H")
_U64 = Struct(">Q")


class WebSocketError(Exception):
    """The client broke the protocol; ``code`` goes into the close frame."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the websocket is ended with {code}")
        self.code = code


def accept_of(key: str) -> str:
    """Return the answer to a handshake's key.

    >>> accept_of("dGhlIHNhbXBsZSBub25jZQ==")
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    return b64encode(sha1((key + KEY).encode("latin-1"), usedforsecurity=False).digest()).decode()


def frame(kind: int, data: bytes) -> bytes:
    """Return a frame that is a whole message."""
    size = len(data)
    if size < 126:
        return bytes((0x80 | kind, size)) + data
    if size < 1 << 16:
        return bytes((0x80 | kind, 126)) + _U16.pack(size) + data
    return bytes((0x80 | kind, 127)) + _U64.pack(size) + data


def unmask(data: bytes, mask: bytes) -> bytes:
    """Return what a client has masked."""
    if not any(mask):
        return data
    size = len(data)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


class Decoder:
    """Turns bytes into (kind, data) of whole messages; control frames come in between."""

    __slots__ = ("_buffer", "_kind", "_message")

    def __init__(self) -> None:
        self._buffer = b""
        self._message = b""
        self._kind = CONTINUATION

    def receive(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take bytes and return what is complete now. Raises WebSocketError."""
        self._buffer += data
        found: list[tuple[int, bytes]] = []
        while True:
            message = self._next()
            if message is None:
                return found
            kind, payload, is_last = message
            if kind >= CLOSE:
                found.append((kind, payload))
                continue
            if kind != CONTINUATION:
                self._kind, self._message = kind, b""
            self._message += payload
            if len(self._message) > MESSAGE_BYTES_MAX:
                raise WebSocketError(TOO_LARGE)
            if is_last:
                found.append((self._kind, self._message))
                self._message = b""

    def _next(self) -> tuple[int, bytes, bool] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        if not second & 0x80 or first & 0x70:
            raise WebSocketError(PROTOCOL_ERROR)
        size, at = second & 0x7F, 2
        if size == 126:
            if len(buffer) < 4:
                return None
            size, at = _U16.unpack_from(buffer, 2)[0], 4
        elif size == 127:
            if len(buffer) < 10:
                return None
            size, at = _U64.unpack_from(buffer, 2)[0], 10
        if size > MESSAGE_BYTES_MAX:
            raise WebSocketError(TOO_LARGE)
        if len(buffer) < at + 4 + size:
            return None
        mask, at = buffer[at : at + 4], at + 4
        self._buffer = buffer[at + size :]
        return first & 0x0F, unmask(buffer[at : at + size], mask), bool(first & 0x80)
