"""Service addresses and node ports: each given out once, kept in etcd, given back on delete.

An address is an IPAddress object whose name is the address, as upstream has it since 1.33 (pkg/registry/core/service/ipallocator):
taking one is creating its object, so two servers cannot both get it. The node ports are one record, like upstream's RangeAllocation
(portallocator), changed by compare-and-put. Both choose at random from a seeded stream, outside the low band that upstream leaves
to Services that name their address or port, and fall back to a scan when they keep hitting taken ones.
"""

import ipaddress
from collections.abc import Generator, Iterable
from typing import Any

from kubesim._core.random import Stream
from kubesim.apiserver.metadata import stamp

Object = dict[str, Any]
SERVICE_CIDR = "10.96.0.0/12"
PORT_MIN, PORT_MAX = 30_000, 32_767
PORTS_KEY = b"/registry/ranges/servicenodeports"
ADDRESSES_PREFIX = "/registry/ipaddresses/"
DRAWS_MAX = 64
WRITES_MAX = 16


class Taken(Exception):
    """What was asked for cannot be had; the text is upstream's reason."""


def address_key(address: str) -> bytes:
    """The etcd key of an IPAddress object."""
    return f"{ADDRESSES_PREFIX}{address}".encode()


class AddressAllocator:
    """Addresses of one IPv4 network."""

    def __init__(self, stream: Stream, cidr: str = SERVICE_CIDR) -> None:
        self._network = ipaddress.IPv4Network(cidr)
        self._stream = stream
        size = self._network.num_addresses - 2  # neither the network's address nor the broadcast's
        self._size = size
        self._static_size = min(max(16, size // 16), 256)

    def take(self, address: str, obj: Object) -> Generator[Any, Any, None]:
        """Take ``address`` by storing ``obj`` for it. Raises Taken."""
        try:
            inside = ipaddress.IPv4Address(address) in self._network
        except ValueError:
            inside = False
        if not inside:
            raise Taken("the provided network does not match the current range")
        revision = yield ("put_if", address_key(address), obj, 0)
        if not revision:
            raise Taken("provided IP is already allocated")
        stamp(obj, revision)

    def draw(self) -> Generator[Any, Any, str]:
        """A free address, not yet taken. Raises Taken when there is none."""
        first = int(self._network.network_address) + 1
        for _ in range(DRAWS_MAX):
            address = str(ipaddress.IPv4Address(first + self._static_size + self._stream.below(self._size - self._static_size)))
            if (yield ("get", address_key(address))) is None:
                return address
        for offset in (*range(self._static_size, self._size), *range(self._static_size)):
            address = str(ipaddress.IPv4Address(first + offset))
            if (yield ("get", address_key(address))) is None:
                return address
        raise Taken("range is full")

    def release(self, address: str) -> Generator[Any, Any, None]:
        """Give an address back."""
        found = yield ("get", address_key(address))
        if found is not None:
            yield ("delete_if", address_key(address), found.mod_revision)


class PortAllocator:
    """Node ports; the record is ``{"ports": {port: owner}}``."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        size = PORT_MAX - PORT_MIN + 1
        self._static_size = min(max(16, size // 32), 128)

    def take(self, ports: Iterable[int], count: int, owner: str, dry_run: bool) -> Generator[Any, Any, list[int]]:
        """Take the given ports, and ``count`` free ones, which are returned. Raises Taken with the port in front."""
        wanted = list(ports)
        if not wanted and not count:
            return []
        for _ in range(WRITES_MAX):
            found = yield ("get", PORTS_KEY)
            taken: dict[int, str] = {} if found is None else found.value["ports"]
            for port in wanted:
                if not PORT_MIN <= port <= PORT_MAX:
                    raise Taken(f"{port}:provided port is not in the valid range. The range of valid ports is {PORT_MIN}-{PORT_MAX}")
                if port in taken:
                    raise Taken(f"{port}:provided port is already allocated")
            chosen = self._choose(taken, wanted, count)
            if dry_run:
                return chosen
            record = {"ports": {**taken, **dict.fromkeys((*wanted, *chosen), owner)}}
            if (yield ("put_if", PORTS_KEY, record, 0 if found is None else found.mod_revision)):
                return chosen
        raise Taken("0:the record of node ports keeps changing")

    def _choose(self, taken: dict[int, str], wanted: list[int], count: int) -> list[int]:
        chosen: list[int] = []
        low, size = PORT_MIN + self._static_size, PORT_MAX + 1 - PORT_MIN - self._static_size
        while len(chosen) < count:
            drawn = (low + self._stream.below(size) for _ in range(DRAWS_MAX))
            free = (port for port in (*drawn, *range(low, PORT_MAX + 1), *range(PORT_MIN, low)) if port not in taken)
            port = next((port for port in free if port not in wanted and port not in chosen), None)
            if port is None:
                raise Taken("0:range is full")
            chosen.append(port)
        return chosen

    def release(self, ports: Iterable[int]) -> Generator[Any, Any, None]:
        """Give ports back."""
        gone = set(ports)
        if not gone:
            return
        for _ in range(WRITES_MAX):
            found = yield ("get", PORTS_KEY)
            if found is None:
                return
            left = {port: owner for port, owner in found.value["ports"].items() if port not in gone}
            if (yield ("put_if", PORTS_KEY, {"ports": left}, found.mod_revision)):
                return
