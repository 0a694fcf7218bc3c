"""What a mode of kube-proxy is: a balancer per node, and a dump of a table. Session affinity is the same in all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kubesim.kernel.time import SECOND
from kubesim.proxy.endpoint import Endpoint
from kubesim.proxy.service_port import ServicePort

if TYPE_CHECKING:
    from kubesim.proxy.table import Table

Draw = Callable[[int], int]
AFFINITIES_MAX = 65536


class Chooser(Protocol):
    """How a mode picks among equals."""

    def __call__(self, port: ServicePort, endpoints: Sequence[Endpoint], draw: Draw) -> Endpoint:
        """One of ``endpoints``, which is not empty."""


@dataclass(slots=True)
class Balancer:
    """What one node remembers: who was sent where, for Services with session affinity. Every use renews it, as ``-m recent`` does."""

    chooser: Chooser
    _sent: dict[tuple[str, str, str], tuple[str, int]] = field(default_factory=dict)

    def choose(self, port: ServicePort, endpoints: Sequence[Endpoint], source_ip: str, now_ns: int, draw: Draw) -> Endpoint:
        """An endpoint for a flow: the remembered one while it is usable and its time has not run out, else the mode's choice."""
        if not port.affinity_seconds:
            return self.chooser(port, endpoints, draw)
        key = (port.name, port.protocol, source_ip)
        address, since_ns = self._sent.pop(key, ("", 0))
        chosen = None
        if address and now_ns - since_ns <= port.affinity_seconds * SECOND:
            chosen = next((each for each in endpoints if each.address == address), None)
        if chosen is None:
            chosen = self.chooser(port, endpoints, draw)
        if len(self._sent) >= AFFINITIES_MAX:
            del self._sent[next(iter(self._sent))]
        self._sent[key] = (chosen.address, now_ns)
        return chosen


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode: its name, a new chooser for a node, and the text of a table's rules."""

    name: str
    chooser: Callable[[], Chooser]
    dump: Callable[["Table"], str]


def at_random(port: ServicePort, endpoints: Sequence[Endpoint], draw: Draw) -> Endpoint:
    """Every endpoint with the same probability."""
    return endpoints[draw(len(endpoints))] if len(endpoints) > 1 else endpoints[0]
