"""The other members: messages over TCP (or TLS), each as a frame; one connection for each direction of each pair.

A frame is a length (u32) and a plain value. The first one says hello: magic, cluster, sender, and to whom. What cannot be sent now is
dropped: Raft sends again what matters. Whoever does not say hello with the right cluster is cut off. Besides messages a stranger may ask
who the members are, which is how a new member finds its way.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from struct import Struct
from typing import Any
from urllib.parse import urlsplit

from kubesim.etcd.membership import MemberInfo
from kubesim.etcd.wire.codec import DecodeError
from kubesim.etcd.wire.plain import pack, unpack

MAGIC = "kubesim-etcd-peer-1"
FRAME_BYTES_MAX = 1 << 31
HELLO_BYTES_MAX = 4096
QUEUE_BYTES_MAX = 256 << 20
REDIAL_SECONDS = 0.2
REDIAL_SECONDS_MAX = 1.0
DIAL_TIMEOUT_SECONDS = 2.0
ASK_TIMEOUT_SECONDS = 3.0
_LENGTH = Struct(">I")

Receive = Callable[[str, Any], object]


def frame(value: Any) -> bytes:
    """Return a value as a frame."""
    data = pack(value)
    return _LENGTH.pack(len(data)) + data


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of a peer's address."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 2380


class Frames:
    """Cuts what comes in into values."""

    __slots__ = ("_buffer", "bytes_max")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.bytes_max = HELLO_BYTES_MAX  # until the hello was right

    def receive(self, data: bytes) -> list[Any]:
        """Return the values that are complete now. Raises DecodeError."""
        buffer = self._buffer
        buffer += data
        found, at = [], 0
        while len(buffer) - at >= 4:
            (size,) = _LENGTH.unpack_from(buffer, at)
            if size > self.bytes_max:
                raise DecodeError(f"a frame of {size} bytes")
            if len(buffer) - at - 4 < size:
                break
            found.append(unpack(bytes(buffer[at + 4 : at + 4 + size])))
            at += 4 + size
        del buffer[:at]
        return found


class Incoming(asyncio.Protocol):
    """A connection that another member has made."""

    def __init__(self, peers: "Peers") -> None:
        self._peers = peers
        self._frames = Frames()
        self._source: str | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peers.incoming[self] = None

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection."""
        self._peers.incoming.pop(self, None)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Hand messages on."""
        try:
            for value in self._frames.receive(data):
                if self._source is None:
                    self._greet(value)
                else:
                    self._peers.receive(self._source, value)
        except (DecodeError, KeyError, TypeError, IndexError):
            self.close()

    def _greet(self, hello: Any) -> None:
        assert self._transport is not None
        magic, cluster_id, source = hello[:3]
        if magic != MAGIC:
            raise DecodeError("not a member")
        if source == "":
            self._transport.write(frame((MAGIC, self._peers.cluster_id, self._peers.members())))
            self._transport.close()
        elif cluster_id != self._peers.cluster_id:
            raise DecodeError("a member of another cluster")
        else:
            self._frames.bytes_max = FRAME_BYTES_MAX
            self._source = source


class Outgoing(asyncio.Protocol):
    """The connection to another member, made again when it breaks."""

    def __init__(self, peers: "Peers", host: str) -> None:
        self._peers = peers
        self._host = host
        self._urls = host.split(",")
        self._attempt = 0
        self._transport: asyncio.Transport | None = None
        self._is_open = True
        self._task = peers.loop.create_task(self._dial())

    async def _dial(self) -> None:
        while self._is_open:
            url = self._urls[self._attempt % len(self._urls)]
            self._attempt += 1
            name, port = address_of(url)
            context = self._peers.client_tls if url.startswith("https") else None
            try:
                async with asyncio.timeout(DIAL_TIMEOUT_SECONDS):
                    await self._peers.loop.create_connection(lambda: self, name, port, ssl=context)
                return
            except (OSError, ssl.SSLError, TimeoutError) as error:
                if isinstance(error, ConnectionRefusedError):
                    self._peers.on_refused(self._host)
                await asyncio.sleep(min(REDIAL_SECONDS * self._attempt, REDIAL_SECONDS_MAX))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._attempt = 0
        _no_delay(transport)
        transport.write(frame((MAGIC, self._peers.cluster_id, self._peers.host)))

    def connection_lost(self, error: Exception | None) -> None:
        """Dial again."""
        self._transport = None
        if self._is_open:
            self._task = self._peers.loop.create_task(self._again())

    async def _again(self) -> None:
        await asyncio.sleep(REDIAL_SECONDS)
        await self._dial()

    def send(self, data: bytes) -> None:
        """Send a frame, or drop it."""
        transport = self._transport
        if transport is not None and transport.get_write_buffer_size() < QUEUE_BYTES_MAX:
            transport.write(data)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._transport is not None

    def close(self) -> None:
        """End the connection for good."""
        self._is_open = False
        self._task.cancel()
        if self._transport is not None:
            self._transport.close()


class Peers:
    """All connections to other members. ``receive(source, message)`` is called for what comes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        cluster_id: int,
        host: str,
        receive: Receive,
        members: Callable[[], list[MemberInfo]],
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        self.loop = loop
        self.cluster_id = cluster_id
        self.host = host
        self.receive = receive
        self.members = members
        self.client_tls = client_tls
        self.on_refused: Callable[[str], object] = lambda host: None  # the machine is there, the process is not
        self.incoming: dict[Incoming, None] = {}
        self._outgoing: dict[str, Outgoing] = {}
        self._local: list[Any] = []

    def send(self, host: str, message: Any) -> None:
        """Send a message to a member by its addresses; one to oneself goes round the loop."""
        if host == self.host:
            self.loop.call_soon(self.receive, host, message)
            return
        self.connection(host).send(frame(message))

    def connection(self, host: str) -> Outgoing:
        """Return the connection to a member, making one if there is none."""
        found = self._outgoing.get(host)
        if found is None:
            found = self._outgoing[host] = Outgoing(self, host)
        return found

    def keep(self, hosts: set[str]) -> None:
        """Connect to these members and end the connections to all others."""
        for host in sorted(hosts - {self.host}):
            self.connection(host)
        for host in [host for host in self._outgoing if host not in hosts]:
            self._outgoing.pop(host).close()

    def close(self) -> None:
        """End all connections."""
        for outgoing in self._outgoing.values():
            outgoing.close()
        for incoming in list(self.incoming):
            incoming.close()


def _no_delay(transport: asyncio.Transport) -> None:
    found = transport.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def ask_members(url: str, tls: ssl.SSLContext | None = None) -> tuple[int, list[MemberInfo]] | None:
    """Ask one member who the members are; (cluster, members), None when it does not answer. Blocks for 3 s at most."""
    host, port = address_of(url)
    try:
        with socket.create_connection((host, port), ASK_TIMEOUT_SECONDS) as plain:
            plain.settimeout(ASK_TIMEOUT_SECONDS)
            connection = tls.wrap_socket(plain, server_hostname=host) if tls is not None and url.startswith("https") else plain
            connection.sendall(frame((MAGIC, 0, "")))
            frames = Frames()
            frames.bytes_max = FRAME_BYTES_MAX
            while data := connection.recv(1 << 16):
                for _, cluster_id, members in frames.receive(data):
                    return cluster_id, members
    except (OSError, DecodeError, ValueError, TypeError):
        return None
    return None
