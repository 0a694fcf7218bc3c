"""The client's side of HTTP/2 against the server's side: in any pieces, with bodies beyond every window, and broken off."""

from typing import Any

import pytest

from kubesim.server.http import hpack
from kubesim.server.http.http2 import CANCEL, CONNECTION_WINDOW, PREFACE, WINDOW_DEFAULT, Connection
from kubesim.server.http.http2_client import ClientConnection

REQUEST = hpack.encode([(":method", "POST"), (":path", "/echo"), (":scheme", "http"), (":authority", "here")])
HEADERS = hpack.encode([(":status", "200")])
TRAILERS = hpack.encode([("grpc-status", "0")])


class Echo:
    """Serves a stream: what comes goes back, then trailers."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.body = b""

    def data(self, data: bytes) -> None:
        self.body += data

    def end_of_request(self) -> None:
        self.stream.answer(HEADERS, self.body, TRAILERS)

    def reset(self) -> None:
        self.body = b""

    def writable(self) -> None:
        pass


class Asker:
    """Notes what a stream's handler is told."""

    def __init__(self) -> None:
        self.body = b""
        self.told: list[str] = []

    def data(self, data: bytes) -> None:
        self.body += data

    def end_of_request(self) -> None:
        self.told.append("end")

    def reset(self) -> None:
        self.told.append("reset")

    def writable(self) -> None:
        pass


class Pair:
    """Both sides, and the bytes between them, which ``pump`` delivers in pieces."""

    def __init__(self, piece: int = 1 << 20) -> None:
        self.piece = piece
        self.to_server: list[bytes] = []
        self.to_client: list[bytes] = []
        self.handlers: list[Echo] = []
        self.client = ClientConnection(self.to_server.append)
        self.server = Connection(self._serve, self.to_client.append)
        self.client.begin()
        assert self.to_server[0] == PREFACE
        del self.to_server[0]
        self.server.begin()

    def _serve(self, stream: Any) -> Echo:
        self.handlers.append(Echo(stream))
        return self.handlers[-1]

    def pump(self) -> None:
        """Deliver until nothing is under way."""
        while self.to_server or self.to_client:
            for queue, side in ((self.to_server, self.server), (self.to_client, self.client)):
                data = b"".join(queue)
                queue.clear()
                for at in range(0, len(data), self.piece):
                    side.receive(data[at : at + self.piece])

    def ask(self, body: bytes) -> tuple[Any, Asker]:
        """Send a request."""
        asker = Asker()
        stream = self.client.open(REQUEST, asker)
        stream.send(body)
        stream.finish()
        return stream, asker


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_request_is_answered(piece: int) -> None:
    pair = Pair(piece)
    asked = [pair.ask(b"hello %d" % number) for number in range(3)]
    pair.pump()
    for number, (stream, asker) in enumerate(asked):
        assert (asker.body, asker.told) == (b"hello %d" % number, ["end"])
        assert (stream.headers[":status"], stream.headers["grpc-status"]) == ("200", "0")
        stream.close()
    assert not pair.client.streams and not pair.server.streams


def test_bodies_beyond_every_window_come_through() -> None:
    pair = Pair()
    body = bytes(range(256)) * (WINDOW_DEFAULT // 32)
    (_, first), (_, second) = pair.ask(body), pair.ask(b"small")
    pair.pump()
    assert (first.body, second.body) == (body, b"small")
    assert pair.client.window <= CONNECTION_WINDOW


def test_what_is_under_way_is_told_of_the_end() -> None:
    pair = Pair()
    _, asker = pair.ask(b"x")
    pair.server.go_away()
    pair.pump()
    assert asker.told == ["reset"]
    assert pair.client.is_spent


def test_a_stream_that_is_given_up_is_forgotten_on_both_sides() -> None:
    pair = Pair()
    asker = Asker()
    stream = pair.client.open(REQUEST, asker)
    pair.pump()
    stream.reset(CANCEL)
    pair.pump()
    assert not pair.client.streams and not pair.server.streams
    pair.handlers[0].stream.answer(HEADERS, b"late", TRAILERS)
    pair.pump()
    assert (asker.body, asker.told) == (b"", [])


def test_a_ping_is_answered() -> None:
    pair = Pair()
    pair.pump()
    pair.client.ping()
    pair.server.receive(b"".join(pair.to_server))
    assert pair.to_client
