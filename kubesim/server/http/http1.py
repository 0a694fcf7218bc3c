"""HTTP/1.1 as bytes: the head of a request, its body in pieces, and answers. One request after the other on a connection."""

from typing import NamedTuple
from urllib.parse import urlsplit

HEAD_BYTES_MAX = 64 << 10
BODY_BYTES_MAX = 64 << 20
LINE_BYTES_MAX = 1024
REASONS = {
    101: "Switching Protocols",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    499: "Client Closed Request",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
LAST_CHUNK = b"0\r\n\r\n"


class HttpError(Exception):
    """A request that is none; ``status`` is the answer to it, after which the connection ends."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Request(NamedTuple):
    """The head of a request; header names in lower case. ``length`` -1: in chunks."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    length: int
    keeps_alive: bool


def parse_head(head: bytes) -> Request:
    """Read the head of a request, without the empty line. Raises HttpError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise HttpError(400, "the request line is none")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise HttpError(400, "a header line is none")
        headers[name.lower()] = value.strip()
    try:
        target = urlsplit(parts[1])
    except ValueError:
        raise HttpError(400, "the target is no URL") from None
    connection = headers.get("connection", "").lower()
    keeps_alive = connection != "close" and (parts[2] == "HTTP/1.1" or connection == "keep-alive")
    return Request(parts[0], target.path, target.query, headers, _length(headers), keeps_alive)


def _length(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked" or "content-length" in headers:
            raise HttpError(400, "the transfer encoding is not chunked")
        return -1
    text = headers.get("content-length", "0")
    if not text.isascii() or not text.isdigit():
        raise HttpError(400, "the content length is no number")
    if int(text) > BODY_BYTES_MAX:
        raise HttpError(413, "the body is too large")
    return int(text)


class Body:
    """The body of a request as it comes: of a known length, or in chunks (length -1)."""

    __slots__ = ("_after_chunk", "_in_trailers", "_left", "_total", "is_chunked", "is_over")

    def __init__(self, length: int) -> None:
        self.is_chunked = length < 0
        self.is_over = length == 0
        self._left = max(length, 0)  # of the body, or of the present chunk
        self._total = 0
        self._after_chunk = False  # a line end is to come
        self._in_trailers = False

    def take(self, buffer: bytes) -> tuple[bytes, bytes]:
        """Return what of the buffer is body, and what is not used yet. Raises HttpError."""
        out = []
        while buffer and not self.is_over:
            if self._left:
                data, buffer = buffer[: self._left], buffer[self._left :]
                self._left -= len(data)
                out.append(data)
                self.is_over = not self._left and not self.is_chunked
                continue
            line, end, rest = buffer.partition(b"\r\n")
            if not end:
                if len(line) > LINE_BYTES_MAX:
                    raise HttpError(400, "a line of a chunked body is too long")
                break
            buffer = rest
            self._take_line(line)
        return b"".join(out), buffer

    def _take_line(self, line: bytes) -> None:
        if self._in_trailers:
            self.is_over = not line
        elif self._after_chunk and not line:
            self._after_chunk = False
        else:
            self._begin_chunk(line)

    def _begin_chunk(self, line: bytes) -> None:
        try:
            size = int(line.split(b";")[0].strip(), 16)
        except ValueError:
            size = -1
        if size < 0 or self._after_chunk:
            raise HttpError(400, "the size of a chunk is no number")
        self._total += size
        if self._total > BODY_BYTES_MAX:
            raise HttpError(413, "the body is too large")
        self._left, self._after_chunk, self._in_trailers = size, size > 0, size == 0


def head_of(status: int, headers: list[tuple[str, str]]) -> bytes:
    """Return the head of an answer."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}"] + [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer(status: int, body: bytes, content_type: str = "application/json", keeps_alive: bool = True) -> bytes:
    """Return a whole answer."""
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    if not keeps_alive:
        headers.append(("Connection", "close"))
    return head_of(status, headers) + body


def chunk(data: bytes) -> bytes:
    """Return a part of an answer whose length is not known."""
    return b"%x\r\n%s\r\n" % (len(data), data)
