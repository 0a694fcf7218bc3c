"""A gRPC server over the same HTTP/2 whose every call is answered with constant bytes: what the layer itself costs."""

import asyncio
import os
import signal
from typing import Any

from kubesim.etcd.wire.codec import encode
from kubesim.etcd.wire.schema import MESSAGES
from kubesim.server.etcd.front import ClientConnection
from kubesim.server.etcd.grpc import HEADERS, TRAILERS_OK
from kubesim.server.http.http2 import Stream
from tests.server.etcd.members import free_port

ANSWER = encode(MESSAGES["PutResponse"], {"header": {"cluster_id": 1 << 62, "member_id": 1 << 62, "revision": 1 << 20, "raft_term": 2}})
MESSAGE = b"\0" + len(ANSWER).to_bytes(4, "big") + ANSWER


class Nothing:
    """The handler of a call: it answers once the request is whole."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def data(self, data: bytes) -> None:
        """Take bytes, and look at none."""

    def end_of_request(self) -> None:
        """Answer."""
        self._stream.answer(HEADERS, MESSAGE, TRAILERS_OK)

    def reset(self) -> None:
        """Forget the call."""

    writable = reset


class NullFront:
    """What connections ask of the front, without a member: everything of a turn is sent at its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.connections: dict[ClientConnection, None] = {}
        self._dirty: list[ClientConnection] = []

    def wake(self) -> None:
        """Nobody sleeps."""

    def flush_soon(self, connection: ClientConnection) -> None:
        """Send what the connection has at the end of the turn."""
        if not self._dirty:
            self.loop.call_soon(self.flush)
        self._dirty.append(connection)

    def flush(self) -> None:
        """Send what all connections have."""
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()


class NullConnection(ClientConnection):
    """A connection whose calls do nothing."""

    def _open_stream(self, stream: Stream) -> Any:
        return Nothing(stream)


class NullServer:
    """The server as a process."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        reading, writing = os.pipe()
        self.process = os.fork()
        if not self.process:
            try:
                os.close(reading)
                asyncio.run(_serve(self.port, writing))
            finally:
                os._exit(0)
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)

    def close(self) -> None:
        """End it."""
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


async def _serve(port: int, ready: int) -> None:
    loop = asyncio.get_running_loop()
    front: Any = NullFront(loop)
    server = await loop.create_server(lambda: NullConnection(front), "127.0.0.1", port, backlog=1024)
    os.write(ready, b".")
    await server.serve_forever()
