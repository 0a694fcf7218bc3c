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

from kubesim.etcd.wire.schema import varint
from kubesim.server.http import hpack
from kubesim.server.http.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS, WINDOW_UPDATE, frame

VALUE_BYTES = 256
KEYS = 10_000
VALUE = b"v" * VALUE_BYTES
PUT = "/etcdserverpb.KV/Put"
WINDOW_BYTES = (1 << 31) - 1 - 65535
_U32 = Struct(">I")


def key_of(client: int, count: int) -> bytes:
    """Return the key of a client's put number ``count``."""
    return b"/registry/load/%03d/%06d" % (client, count % KEYS)


def put_message(key: bytes, value: bytes) -> bytes:
    """Return a PutRequest with gRPC's prefix."""
    message = b"\x0a" + varint(len(key)) + key + b"\x12" + varint(len(value)) + value
    return b"\0" + _U32.pack(len(message)) + message


class Refused(Exception):
    """A call that was answered with an error, or a server that has closed the connection."""


class Client:
    """One connection with one call under way at a time."""

    def __init__(self, host: str, port: int, number: int = 0, path: str = PUT) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self.begun = 0.0
        self.count = 0
        self._stream = -1
        self._buffer = b""
        self._answer = b""
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", f"{host}:{port}")]
        block = hpack.encode([*headers, ("te", "trailers"), ("content-type", "application/grpc")])
        self._headers = frame(HEADERS, END_HEADERS, 0, block)
        settings = frame(SETTINGS, 0, 0, b"\0\4" + _U32.pack((1 << 31) - 1))
        self.socket.sendall(PREFACE + settings + frame(WINDOW_UPDATE, 0, 0, _U32.pack(WINDOW_BYTES)))

    def call(self, message: bytes) -> None:
        """Send a request, gRPC's prefix included."""
        self._stream += 2
        self._answer = b""
        stream = _U32.pack(self._stream)
        body = frame(DATA, END_STREAM, 0, message)
        headers = self._headers
        self.begun = time.perf_counter()
        self.socket.sendall(headers[:5] + stream + headers[9:] + body[:5] + stream + body[9:])

    def put(self) -> None:
        """Send the next put of a load."""
        key = key_of(self.number, self.count)
        self.count += 1
        self.call(put_message(key, VALUE))

    def take(self) -> bytes | None:
        """Read; the answer when the call under way has ended. Raises Refused."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise Refused("the server has closed the connection")
        buffer = self._buffer + data
        at, is_over, trailers = 0, False, b""
        while len(buffer) - at >= 9:
            size = int.from_bytes(buffer[at : at + 3], "big")
            if len(buffer) - at - 9 < size:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            if kind == HEADERS and flags & END_STREAM:
                is_over, trailers = True, buffer[at + 9 : at + 9 + size]
            elif kind == DATA:
                self._answer += buffer[at + 9 : at + 9 + size]
            elif kind == PING and not flags & 1:
                self.socket.sendall(frame(PING, 1, 0, buffer[at + 9 : at + 9 + size]))
            elif kind == SETTINGS and not flags & 1:
                self.socket.sendall(frame(SETTINGS, 1, 0))
            at += 9 + size
        self._buffer = buffer[at:]
        if not is_over:
            return None
        if not self._answer:
            raise Refused(f"the call was refused: {hpack.Decoder().decode(trailers)}")
        return self._answer[5:]

    def wait(self) -> None:
        """Wait for the end of the call under way."""
        while self.take() is None:
            pass

    def close(self) -> None:
        """End the connection."""
        self.socket.close()


def run(url: str, client_count: int, put_count: int) -> dict[str, float]:
    """Have ``client_count`` clients make ``put_count`` puts in all, as many each; puts per second and latencies in seconds.

    Each makes its first before the clock runs: how long a server takes to accept so many connections at once is another question.
    """
    per_client = -(-put_count // client_count)
    put_count = per_client * client_count
    parts = urlsplit(url)
    clients = [Client(parts.hostname or "", parts.port or 2379, number) for number in range(client_count)]
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
    latencies = []
    for client in clients:
        client.put()
        client.wait()
    timed = put_count - client_count
    begun, cpu = time.perf_counter(), time.process_time()
    for client in clients if timed else ():
        client.put()
    while len(latencies) < timed:
        for key, _ in selector.select(10):
            client = key.data
            if client.take() is not None:
                latencies.append(time.perf_counter() - client.begun)
                if client.count < per_client:
                    client.put()
    seconds = time.perf_counter() - begun
    cpu = time.process_time() - cpu
    for client in clients:
        client.close()
    latencies.sort()
    latencies = latencies or [0.0]
    return {
        "puts": put_count,
        "puts_per_second": timed / seconds,
        "p50_seconds": latencies[len(latencies) // 2],
        "p99_seconds": latencies[len(latencies) * 99 // 100],
        "load_cpu_seconds_per_put": cpu / max(timed, 1),
    }


def main(arguments: Sequence[str]) -> int:
    """Print one run as JSON."""
    print(json.dumps(run(arguments[0], int(arguments[1]), int(arguments[2]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
