"""The client's side of an HTTP/2 connection: the same frames as ``http2.py``, with streams that we open."""

from collections.abc import Callable

from kubesim.server.http.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    Connection,
    Stream,
    StreamHandler,
    frame,
)

NUMBER_MAX = (1 << 31) - 3  # a connection has no more streams after it


class ClientStream(Stream):
    """A stream that we have opened: ``headers`` are the answer's, with its trailers once these have come."""

    __slots__ = ()

    def finish(self) -> None:
        """Say that the request's body is whole."""
        self.end(b"")

    def _finish(self, block: bytes) -> None:
        self._connection.write(frame(DATA, END_STREAM, self.number, block))


class ClientConnection(Connection):
    """One connection to a server; ``write(bytes)`` sends. ``begin`` it once, ``open`` streams, ``receive`` what comes."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        super().__init__(_refuse, write)
        self._next_number = 1

    def begin(self) -> None:
        """Send the preface and our settings."""
        self.write(PREFACE)
        super().begin()

    @property
    def is_spent(self) -> bool:
        """Whether no more streams can be opened."""
        return self.is_over or self._next_number > NUMBER_MAX

    def open(self, block: bytes, handler: StreamHandler) -> ClientStream:
        """Open a stream with a block of request headers."""
        stream = ClientStream(self, self._next_number, {}, self._stream_window)
        self._last_number = self._next_number
        self._next_number += 2
        stream.handler = handler
        self.streams[stream.number] = stream
        self.write(frame(HEADERS, END_HEADERS, stream.number, block))
        return stream

    def ping(self) -> None:
        """Ask whether the server lives; it answers with bytes of any kind."""
        self.write(frame(PING, 0, 0, bytes(8)))

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == GOAWAY:  # the server ends; what is under way may have been done or not
            self.lost()
            return
        super()._take(kind, flags, number, payload)

    def _end_headers(self) -> None:
        number, flags, headers = self._decoded()
        stream = self.streams.get(number)
        if stream is None:
            return  # we have closed it
        stream.headers = {**stream.headers, **headers}
        if flags & END_STREAM and not stream.is_remote_closed:
            stream.is_remote_closed = True
            stream.handler.end_of_request()


def _refuse(stream: Stream) -> None:
    """A server opens no streams."""
