"""A connection of HTTP/2 as bytes: streams, both windows, settings, padding, and pieces of any size."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubesim.server.http import hpack
from kubesim.server.http.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_MAX,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_DEFAULT,
    WINDOW_UPDATE,
    Connection,
    Stream,
    frame,
)

REQUEST = hpack.encode([(":method", "POST"), (":path", "/a")])
OK = hpack.encode([(":status", "200")])
TRAILERS = hpack.encode([("grpc-status", "0")])


class Handler:
    """Remembers what came on a stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.parts: list[bytes] = []
        self.events: list[str] = []

    def data(self, data: bytes) -> None:
        self.parts.append(data)

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    def end_of_request(self) -> None:
        self.events.append("end")

    def reset(self) -> None:
        self.events.append("reset")

    def writable(self) -> None:
        self.events.append("writable")


class Bench:
    """A connection, its handlers, and what it has sent."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []
        self.sent = b""
        self.connection = Connection(self.open, self.write)

    def open(self, stream: Stream) -> Any:
        self.handlers.append(Handler(stream))
        return self.handlers[-1]

    def write(self, data: bytes) -> None:
        self.sent += data

    def take(self) -> list[tuple[int, int, int, bytes]]:
        """The frames that were sent since the last look."""
        data, self.sent, found = self.sent, b"", []
        while data:
            size = int.from_bytes(data[:3], "big")
            found.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
            data = data[9 + size :]
        return found

    def request(self, stream: int = 1, flags: int = END_HEADERS | END_STREAM) -> Handler:
        self.connection.receive(frame(HEADERS, flags, stream, REQUEST))
        return self.handlers[-1]


def window(stream: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def test_an_answer_leaves_in_one_write() -> None:
    bench = Bench()
    handler = bench.request()
    assert handler.events == ["end"]
    handler.stream.answer(OK, b"body", TRAILERS)
    ended = END_HEADERS | END_STREAM
    assert bench.take() == [(HEADERS, END_HEADERS, 1, OK), (DATA, 0, 1, b"body"), (HEADERS, ended, 1, TRAILERS)]
    assert bench.connection.streams == {}
    assert handler.stream.handler is not handler, "a stream that is over holds nobody"


def test_what_the_windows_do_not_allow_waits() -> None:
    bench = Bench()
    handler = bench.request()
    body = bytes(range(256)) * 400
    handler.stream.answer(OK, body, TRAILERS)
    first = b"".join(payload for kind, _, _, payload in bench.take() if kind == DATA)
    assert first == body[:WINDOW_DEFAULT]
    bench.connection.receive(window(1, 10_000))
    assert bench.take() == [], "the connection has a window, too"
    bench.connection.receive(window(0, 1_000))
    assert [len(payload) for _, _, _, payload in bench.take()] == [1_000]
    bench.connection.receive(window(0, 1 << 20) + window(1, 1 << 20))
    found = bench.take()
    assert b"".join(payload for kind, _, _, payload in found if kind == DATA) == body[WINDOW_DEFAULT + 1_000 :]
    assert found[-1] == (HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS)
    assert max(len(payload) for _, _, _, payload in found) <= FRAME_BYTES_MAX


def test_another_initial_window_counts_for_open_streams() -> None:
    bench = Bench()
    handler = bench.request()
    bench.connection.receive(frame(SETTINGS, 0, 0, b"\0\4\0\0\0\5") + window(0, 1 << 20))
    bench.take()
    handler.stream.send(b"0123456789")
    assert [payload for kind, _, _, payload in bench.take() if kind == DATA] == [b"01234"]
    bench.connection.receive(frame(SETTINGS, 0, 0, b"\0\4\0\0\0\x08"))
    assert [payload for kind, _, _, payload in bench.take() if kind == DATA] == [b"567"]


def test_a_stream_that_nobody_reads_is_full_until_somebody_does() -> None:
    bench = Bench()
    handler = bench.request()
    handler.stream.send(bytes(2 << 20))
    assert handler.stream.is_full
    bench.connection.receive(window(0, 4 << 20) + window(1, 4 << 20))
    assert not handler.stream.is_full
    assert handler.events == ["end", "writable"]


def test_what_a_client_sends_is_given_back() -> None:
    bench = Bench()
    handler = bench.request(flags=END_HEADERS)
    part = bytes(FRAME_BYTES_MAX)
    for _ in range(2100):
        bench.connection.receive(frame(DATA, 0, 1, part))
    given = [0, 0]
    for kind, _, stream, payload in bench.take():
        if kind == WINDOW_UPDATE:
            given[stream] += int.from_bytes(payload, "big")
    assert len(handler.body) == 2100 * FRAME_BYTES_MAX
    assert min(given) > len(handler.body) // 2


def test_padding_priority_and_continuations_are_taken_off() -> None:
    bench = Bench()
    head, tail = REQUEST[:5], REQUEST[5:]
    bench.connection.receive(frame(HEADERS, PADDED | HAS_PRIORITY, 1, b"\3" + bytes(5) + head + b"pad"))
    bench.connection.receive(frame(CONTINUATION, END_HEADERS, 1, tail))
    (handler,) = bench.handlers
    assert handler.stream.headers == {":method": "POST", ":path": "/a"}
    bench.connection.receive(frame(DATA, PADDED | END_STREAM, 1, b"\2bodyxx"))
    assert (handler.body, handler.events) == (b"body", ["end"])


def test_pings_and_settings_are_answered() -> None:
    bench = Bench()
    bench.connection.receive(frame(PING, 0, 0, b"12345678") + frame(PING, ACK, 0, b"12345678") + frame(SETTINGS, ACK, 0))
    assert bench.take() == [(PING, ACK, 0, b"12345678")]


def test_a_reset_and_a_lost_connection_are_told() -> None:
    bench = Bench()
    one, two = bench.request(1), bench.request(3)
    bench.connection.receive(frame(RST_STREAM, 0, 1, bytes(4)))
    assert one.events == ["end", "reset"]
    one.stream.send(b"late")
    assert bench.take() == []
    bench.connection.lost()
    assert two.events == ["end", "reset"]


def test_an_answer_before_the_end_of_a_request_tells_to_stop() -> None:
    bench = Bench()
    handler = bench.request(flags=END_HEADERS)
    handler.stream.end(OK)
    assert [(kind, payload) for kind, _, _, payload in bench.take()] == [(HEADERS, OK), (RST_STREAM, bytes(4))]
    bench.connection.receive(frame(DATA, END_STREAM, 1, b"late"))
    assert not bench.connection.is_over


@given(st.lists(st.integers(1, 60), max_size=40))
def test_pieces_of_any_size_are_the_same(sizes: list[int]) -> None:
    data = b"".join(
        frame(HEADERS, END_HEADERS, stream, REQUEST) + frame(DATA, 0, stream, b"ab") + frame(DATA, END_STREAM, stream, b"c" * stream)
        for stream in (1, 3, 5, 7)
    )
    bench, at = Bench(), 0
    for size in [*sizes, len(data)]:
        bench.connection.receive(data[at : at + size])
        at += size
    assert [(handler.body, handler.events) for handler in bench.handlers] == [(b"ab" + b"c" * stream, ["end"]) for stream in (1, 3, 5, 7)]


@given(st.binary(max_size=80))
def test_no_bytes_break_it(data: bytes) -> None:
    bench = Bench()
    bench.request(flags=END_HEADERS)
    bench.connection.receive(data)
