"""A light load for an etcd server: N clients, each with a connection of its own and one put under way, over gRPC written by hand.

The server shares two cores with its load, so the load must cost next to nothing: requests are made in advance but for their stream number,
answers are looked at only for how they end, and one thread waits for all sockets. ``python -m bench.etcd_load URL CLIENTS PUTS`` prints
one line of JSON.
"""

import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from struct import Struct
from urllib.parse import urlsplit

from kubesim.server.http import hpack
from kubesim.server.http.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, WINDOW_UPDATE, frame

VALUE_BYTES = 256
KEYS = 10_000
STREAM_MAX = (1 << 31) - 3
WINDOW_BYTES = (1 << 31) - 1 - 65535
_U32 = Struct(">I")


def put_message(key: bytes, value: bytes) -> bytes:
    """Return a PutRequest with gRPC's prefix."""
    size = len(value)
    message = b"\x0a" + bytes((len(key),)) + key + b"\x12" + bytes((size & 0x7F | 0x80, size >> 7)) + value
    return b"\0" + _U32.pack(len(message)) + message


class Client:
    """One connection with one put under way."""

    def __init__(self, host: str, port: int, number: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self.stream = -1
        self.begun = 0.0
        self.count = 0
        self._buffer = b""
        headers = [(":method", "POST"), (":scheme", "http"), (":path", "/etcdserverpb.KV/Put"), (":authority", f"{host}:{port}")]
        block = hpack.encode([*headers, ("te", "trailers"), ("content-type", "application/grpc")])
        self._headers = frame(HEADERS, END_HEADERS, 0, block)
        settings = frame(SETTINGS, 0, 0, b"\0\4" + _U32.pack((1 << 31) - 1))
        self.socket.sendall(PREFACE + settings + frame(WINDOW_UPDATE, 0, 0, _U32.pack(WINDOW_BYTES)))

    def put(self) -> None:
        """Send the next put."""
        self.stream += 2
        stream = _U32.pack(self.stream)
        key = b"/registry/load/%03d/%06d" % (self.number, self.count % KEYS)
        body = frame(DATA, END_STREAM, 0, put_message(key, b"v" * VALUE_BYTES))
        headers = self._headers
        self.count += 1
        self.begun = time.perf_counter()
        self.socket.sendall(headers[:5] + stream + headers[9:] + body[:5] + stream + body[9:])

    def take(self) -> bool:
        """Read; whether the put under way has been answered. Raises ConnectionError when it was refused."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server has closed the connection")
        buffer = self._buffer + data
        at, is_answered = 0, False
        while len(buffer) - at >= 9:
            size = int.from_bytes(buffer[at : at + 3], "big")
            if len(buffer) - at - 9 < size:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            if kind == HEADERS and flags & END_STREAM:
                is_answered = True
            elif kind == DATA:
                self._has_data = size > 5
            elif kind == PING and not flags & 1:
                self.socket.sendall(frame(PING, 1, 0, buffer[at + 9 : at + 9 + size]))
            elif kind == SETTINGS and not flags & 1:
                self.socket.sendall(frame(SETTINGS, 1, 0))
            at += 9 + size
        self._buffer = buffer[at:]
        if is_answered and not self._has_data:
            raise ConnectionError("the put was refused")
        return is_answered

    _has_data = False


def run(url: str, client_count: int, put_count: int) -> dict[str, float]:
    """Have ``client_count`` clients make ``put_count`` puts in all; puts per second and latencies in seconds."""
    parts = urlsplit(url)
    clients = [Client(parts.hostname or "", parts.port or 2379, number) for number in range(client_count)]
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
    latencies = []
    sent, begun, cpu = 0, time.perf_counter(), time.process_time()
    for client in clients:
        client.put()
        sent += 1
    while len(latencies) < put_count:
        for key, _ in selector.select(10):
            client = key.data
            if client.take():
                latencies.append(time.perf_counter() - client.begun)
                if sent < put_count:
                    client.put()
                    sent += 1
    seconds = time.perf_counter() - begun
    cpu = time.process_time() - cpu
    for client in clients:
        client.socket.close()
    latencies.sort()
    return {
        "puts_per_second": put_count / seconds,
        "p50_seconds": latencies[len(latencies) // 2],
        "p99_seconds": latencies[len(latencies) * 99 // 100],
        "load_cpu_seconds_per_put": cpu / put_count,
    }


def main(arguments: Sequence[str]) -> int:
    """Print one run as JSON."""
    print(json.dumps(run(arguments[0], int(arguments[1]), int(arguments[2]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
