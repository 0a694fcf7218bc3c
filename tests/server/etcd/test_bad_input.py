"""Bytes that are no requests, requests that are too large, clients that hang or vanish: an error, and the member serves on."""

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from kubesim.etcd.wire.codec import decode, encode
from kubesim.etcd.wire.schema import MESSAGES
from kubesim.server.http import hpack, http2
from kubesim.server.http.http2 import DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame
from tests.server.etcd.members import Member

KV_PUT, KV_RANGE, WATCH = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range", "/etcdserverpb.Watch/Watch"
REQUEST_BYTES_MAX = 3 << 19
MESSAGE_BYTES_MAX = REQUEST_BYTES_MAX + (512 << 10)


class Connection:
    """A connection whose bytes the test chooses."""

    def __init__(self, member: Member) -> None:
        self.socket = socket.create_connection(("127.0.0.1", member.port), 20)
        self.buffer = b""
        self.decoder = hpack.Decoder()

    def send(self, *data: bytes) -> "Connection":
        self.socket.sendall(b"".join(data))
        return self

    def open(self) -> "Connection":
        return self.send(PREFACE, frame(SETTINGS, 0, 0))

    def call(self, path: str, message: bytes, stream: int = 1, flags: int = END_STREAM, **headers: str) -> "Connection":
        given = {"content-type": "application/grpc", "te": "trailers", **{name.replace("_", "-"): value for name, value in headers.items()}}
        block = hpack.encode([(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"), *given.items()])
        self.send(frame(HEADERS, END_HEADERS, stream, block))
        for at in range(0, len(message), http2.FRAME_BYTES_MAX):
            part = message[at : at + http2.FRAME_BYTES_MAX]
            self.send(frame(DATA, flags if at + len(part) == len(message) else 0, stream, part))
        return self

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Kind, flags, stream and payload of what comes; ends with the connection."""
        while True:
            while len(self.buffer) >= 9:
                size = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) < 9 + size:
                    break
                kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big")
                payload, self.buffer = self.buffer[9 : 9 + size], self.buffer[9 + size :]
                yield kind, flags, stream, payload
            data = self.socket.recv(1 << 16)
            if not data:
                return
            self.buffer += data

    def end(self) -> tuple[dict[str, str], bytes]:
        """The trailers and the body of the answer to the only call."""
        found: dict[str, str] = {}
        body = b""
        for kind, flags, _, payload in self.frames():
            if kind == HEADERS:
                found |= self.decoder.decode(payload)
                if flags & END_STREAM:
                    break
            elif kind == DATA:
                body += payload
            elif kind == GOAWAY:
                raise AssertionError(f"the connection was ended: {payload!r}")
        self.socket.close()
        return found, body

    def goaway(self) -> int:
        """The code with which the connection is ended."""
        code = next(int.from_bytes(payload[4:8], "big") for kind, _, _, payload in self.frames() if kind == GOAWAY)
        self.socket.close()
        return code

    def rest(self) -> bytes:
        """All that comes until the end of the connection."""
        parts = [self.buffer]
        while data := self.socket.recv(1 << 16):
            parts.append(data)
        self.socket.close()
        return b"".join(parts)


def grpc(name: str, **message: Any) -> bytes:
    data = encode(MESSAGES[name], message)
    return b"\0" + len(data).to_bytes(4, "big") + data


def works(member: Member) -> None:
    """The member serves on."""
    trailers, body = Connection(member).open().call(KV_PUT, grpc("PutRequest", key=b"alive", value=b"yes")).end()
    assert trailers["grpc-status"] == "0"
    assert decode(MESSAGES["PutResponse"], body[5:])["header"]["revision"] > 1


def prefixed(data: bytes, flag: bytes = b"\0") -> bytes:
    return flag + len(data).to_bytes(4, "big") + data


TOO_LARGE = f"grpc: received message larger than max ({MESSAGE_BYTES_MAX + 1} vs. {MESSAGE_BYTES_MAX})"
CALLS: dict[str, tuple[str, bytes, dict[str, str], tuple[str, str]]] = {
    "no protobuf": (KV_PUT, prefixed(b"\xff\xff\xff"), {}, ("13", "grpc: error while marshaling or unmarshaling: ")),
    "a field that is cut off": (KV_PUT, prefixed(b"\x0a\x7fab"), {}, ("13", "grpc: error while marshaling or unmarshaling: ")),
    "a message that is too large": (KV_PUT, b"\0" + (MESSAGE_BYTES_MAX + 1).to_bytes(4, "big"), {}, ("8", TOO_LARGE)),
    "a request that is too large": (
        KV_PUT,
        grpc("PutRequest", key=b"k", value=bytes(REQUEST_BYTES_MAX)),
        {},
        ("3", "etcdserver: request is too large"),
    ),
    "an unknown method": ("/etcdserverpb.KV/Steal", b"", {}, ("12", "unknown method Steal for service etcdserverpb.KV")),
    "an unknown service": ("/some.Thing/Put", b"", {}, ("12", "unknown service some.Thing")),
    "a compression that nobody named": (KV_PUT, prefixed(b"", b"\1"), {}, ("12", "grpc: Decompressor is not installed for grpc-encoding")),
    "no gzip": (KV_PUT, prefixed(b"xx", b"\1"), {"grpc_encoding": "gzip"}, ("13", "grpc: error while marshaling or unmarshaling: ")),
    "a bomb": (KV_PUT, prefixed(gzip.compress(bytes(MESSAGE_BYTES_MAX + 1)), b"\1"), {"grpc_encoding": "gzip"}, ("8", TOO_LARGE)),
    "no key": (KV_PUT, grpc("PutRequest", value=b"v"), {}, ("3", "etcdserver: key is not provided")),
    "an unknown lease": (KV_PUT, grpc("PutRequest", key=b"k", lease=99), {}, ("5", "etcdserver: requested lease not found")),
    "a revision to come": (
        KV_RANGE,
        grpc("RangeRequest", key=b"k", revision=1 << 40),
        {},
        ("11", "etcdserver: mvcc: required revision is a future revision"),
    ),
    "a sort order that is none": (KV_RANGE, b"\0\0\0\0\5\x0a\x01k\x28\x09", {}, ("3", "etcdserver: invalid sort option")),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_cannot_be_is_refused(call: str, member: Member) -> None:
    path, message, headers, (code, text) = CALLS[call]
    trailers, _ = Connection(member).open().call(path, message, **headers).end()
    assert trailers["grpc-status"] == code
    assert trailers["grpc-message"].startswith(text)
    works(member)


def test_a_compressed_request_is_taken(member: Member) -> None:
    data = gzip.compress(encode(MESSAGES["PutRequest"], {"key": b"zipped", "value": bytes(5000)}))
    trailers, _ = Connection(member).open().call(KV_PUT, prefixed(data, b"\1"), grpc_encoding="gzip").end()
    assert trailers["grpc-status"] == "0"
    answer = member.post("/v3/kv/range", key="emlwcGVk")
    assert len(answer["kvs"][0]["value"]) > 6000


def test_a_deadline_is_kept(member: Member) -> None:
    connection = Connection(member).open().call(WATCH, grpc("WatchRequest", create_request={"key": b"k"}), flags=0, grpc_timeout="50m")
    trailers, _ = connection.end()
    assert (trailers["grpc-status"], trailers["grpc-message"]) == ("4", "context deadline exceeded")


def test_another_content_type_is_refused(member: Member) -> None:
    headers, _ = Connection(member).open().call(KV_PUT, b"{}", content_type="application/json").end()
    assert headers[":status"] == "415"


PROTOCOL, FRAME_SIZE, COMPRESSION, CALM = 1, 6, 9, 11
FRAMES: dict[str, tuple[bytes, int]] = {
    "a frame that is too large": (b"\x00\x40\x01" + b"\0\0\0\0\0\1" + bytes(100), FRAME_SIZE),
    "data on a stream that is not open": (frame(DATA, 0, 7, b"x"), PROTOCOL),
    "data on no stream": (frame(DATA, 0, 0, b"x"), PROTOCOL),
    "an even stream": (frame(HEADERS, END_HEADERS, 2, hpack.encode([(":path", "/")])), PROTOCOL),
    "headers that are none": (frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), COMPRESSION),
    "headers that go on elsewhere": (frame(HEADERS, 0, 1, b"") + frame(PING, 0, 0, bytes(8)), PROTOCOL),
    "headers without an end": (frame(HEADERS, 0, 1, b"") + frame(9, 0, 1, bytes(16384)) * 5, CALM),
    "a continuation of nothing": (frame(9, END_HEADERS, 1, b""), PROTOCOL),
    "a promise": (frame(5, 0, 1, bytes(4)), PROTOCOL),
    "padding that is longer than the frame": (frame(HEADERS, END_HEADERS | 8, 1, b"\x09abc"), PROTOCOL),
    "a window that is too large": (frame(8, 0, 0, b"\x7f\xff\xff\xff") * 2, 3),
    "settings of odd length": (frame(SETTINGS, 0, 0, b"abc"), FRAME_SIZE),
}


@pytest.mark.parametrize("bad", FRAMES)
def test_a_connection_that_breaks_the_protocol_is_ended(bad: str, member: Member) -> None:
    data, code = FRAMES[bad]
    assert Connection(member).open().send(data).goaway() == code
    works(member)


def test_a_stream_that_is_reset_is_forgotten(member: Member) -> None:
    connection = Connection(member).open().call(WATCH, grpc("WatchRequest", create_request={"key": b"k"}), flags=0)
    connection.send(frame(RST_STREAM, 0, 1, bytes(4)))
    connection.call(KV_PUT, grpc("PutRequest", key=b"k"), stream=3)
    trailers, _ = connection.end()
    assert trailers["grpc-status"] == "0"


def http1(member: Member, data: bytes) -> tuple[int, bytes]:
    answer = Connection(member).send(data).rest()
    return int(answer.split(b" ")[1]), answer.partition(b"\r\n\r\n")[2]


def posted(path: str, body: bytes, extra: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


HTTP1: dict[str, tuple[bytes, int, str]] = {
    "no request": (b"hello there\r\n\r\n", 400, "the request line is none"),
    "no header": (b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400, "a header line is none"),
    "headers without an end": (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 12_000, 431, "the headers are too large"),
    "a length that is none": (b"POST /v3/kv/put HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400, "the content length is no number"),
    "a body of a terabyte": (b"POST /v3/kv/put HTTP/1.1\r\nContent-Length: 1099511627776\r\n\r\n", 413, "the body is too large"),
    "a chunk that is none": (
        b"POST /v3/kv/put HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
        "the size of a chunk is no number",
    ),
    "both lengths": (
        b"POST /v3/kv/put HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        400,
        "the transfer encoding is not chunked",
    ),
    "no JSON": (posted("/v3/kv/put", b"{nonsense"), 400, ""),
    "no base64": (posted("/v3/kv/put", b'{"key": "!!"}'), 400, ""),
    "a list": (posted("/v3/kv/put", b"[]"), 400, ""),
    "no text": (posted("/v3/kv/put", b"\xff\xfe"), 400, ""),
    "a path that is none": (posted("/v3/kv/steal", b"{}"), 404, "Not Found"),
    "a page that is none": (b"GET /nothing HTTP/1.1\r\nConnection: close\r\n\r\n", 404, "404 page not found"),
    "a get of a call": (b"GET /v3/kv/put HTTP/1.1\r\nConnection: close\r\n\r\n", 501, "Method Not Allowed"),
}


@pytest.mark.parametrize("bad", HTTP1)
def test_an_http_request_that_cannot_be_is_refused(bad: str, member: Member) -> None:
    data, status, text = HTTP1[bad]
    found, body = http1(member, data)
    assert found == status
    assert text in body.decode()
    works(member)


def test_a_nest_of_transactions_is_refused(member: Member) -> None:
    request: dict[str, Any] = {}
    for _ in range(120):
        request = {"success": [{"requestTxn": request}]}
    status, body = http1(member, posted("/v3/kv/txn", json.dumps(request).encode()))
    assert status == 400
    assert "exceeded max recursion depth" in body.decode()
    works(member)


WEBSOCKET = "GET /v3/watch HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: eA==\r\n\r\n"


def test_a_websocket_that_breaks_the_protocol_is_ended(member: Member) -> None:
    for data in (b"\x81\x05hello", b"\xf1\x80\0\0\0\0", b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(4)):
        connection = Connection(member).send(WEBSOCKET.encode())
        answer = connection.send(data).rest()
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert answer.partition(b"\r\n\r\n")[2][0] == 0x88, "a close frame"
    works(member)


def test_clients_that_hang_or_vanish_harm_nobody(member: Member) -> None:
    hanging = [
        Connection(member),
        Connection(member).send(PREFACE[:9]),
        Connection(member).open().send(frame(HEADERS, 0, 1, b"")),
        Connection(member).open().call(KV_PUT, b"\0\0\0", flags=0),
        Connection(member).send(b"POST /v3/kv/put HTTP/1.1\r\nContent-Length: 100\r\n\r\n{"),
        Connection(member).send(WEBSOCKET.encode()),
    ]
    works(member)
    for _ in range(20):
        watching = Connection(member).open()
        watching.call(WATCH, grpc("WatchRequest", create_request={"key": b"\0", "range_end": b"\0"}), flags=0)
        next(watching.frames())
        watching.socket.close()
    works(member)
    for connection in hanging:
        connection.socket.close()
    works(member)


def test_a_watcher_that_does_not_read_holds_up_nobody(member: Member) -> None:
    slow = Connection(member).open()
    slow.call(WATCH, grpc("WatchRequest", create_request={"key": b"slow"}), flags=0)
    next(found for found in slow.frames() if found[0] == DATA)  # it is created
    revision = 0
    for _ in range(30):
        _, body = Connection(member).open().call(KV_PUT, grpc("PutRequest", key=b"slow", value=bytes(200_000))).end()
        revision = decode(MESSAGES["PutResponse"], body[5:])["header"]["revision"]
    works(member)
    slow.send(frame(8, 0, 0, (1 << 30).to_bytes(4, "big")), frame(8, 0, 1, (1 << 30).to_bytes(4, "big")))
    seen, data = [], b""
    for kind, _, _, payload in slow.frames():
        data += payload if kind == DATA else b""
        while len(data) >= 5 and len(data) >= 5 + (size := int.from_bytes(data[1:5], "big")):
            answer = decode(MESSAGES["WatchResponse"], data[5 : 5 + size])
            seen += [event["kv"]["mod_revision"] for event in answer.get("events", [])]
            data = data[5 + size :]
        if seen and seen[-1] == revision:
            break
    slow.socket.close()
    assert seen == sorted(seen) and len(seen) == 30, "all of it, in order, once it reads"
