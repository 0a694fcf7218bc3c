"""A network between named hosts: messages are events of the agenda, and links delay, lose, repeat and reorder them.

It carries opaque Python objects and knows neither their meaning nor their size. A link is one direction between two hosts and
exists as soon as somebody uses it. A message is lost when its link is cut or its destination is down, both when it is sent and when
it would arrive; what was under way when a link is cut is lost unless the link is mended before. Every link draws from its own
stream (``network/<source>/<destination>``), so a fault on one changes nothing on the others.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from kubesim.kernel.loop import PRIORITY_NORMAL, PRIORITY_STANDING, Kernel
from kubesim.kernel.rng import Stream

Receive = Callable[[str, Any], object]  # (source, message)


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """How a link treats messages: ``latency_ns`` plus up to ``jitter_ns`` (uniform), and three probabilities.

    Messages arrive in the order in which they were sent, but a ``reorder`` fraction of them does not wait for earlier ones.
    A ``duplication`` fraction arrives a second time, with its own delay and out of order. With a ``quantum_ns`` everything arrives at
    multiples of it, as with a network card that coalesces interrupts: what many senders send is then one instant for its receiver.
    On a ``standing`` link there is always something, such as heartbeats: its messages keep nobody from being quiet.
    """

    latency_ns: int = 0
    jitter_ns: int = 0
    loss: float = 0.0
    duplication: float = 0.0
    reorder: float = 0.0
    quantum_ns: int = 0
    standing: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError, naming the field, for what is no duration or no probability."""
        for field in ("latency_ns", "jitter_ns", "quantum_ns"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} is {getattr(self, field)}; expected at least 0")
        for field in ("loss", "duplication", "reorder"):
            if not 0.0 <= getattr(self, field) <= 1.0:
                raise ValueError(f"{field} is {getattr(self, field)}; expected a probability, 0 to 1")


@dataclass(slots=True)
class NetworkCounts:
    """What became of the messages: sent + duplicated = delivered + lost + those under way."""

    sent: int = 0
    duplicated: int = 0
    delivered: int = 0
    lost: int = 0


@dataclass(slots=True)
class _Link:
    profile: LinkProfile
    stream: Stream
    is_cut: bool = False
    last_arrival_ns: int = -1
    batch: list[Any] | None = None  # what arrives at ``last_arrival_ns`` with a quantum


class Network:
    """Hosts and the links between them.

    >>> kernel = Kernel()
    >>> network = Network(kernel, LinkProfile(latency_ns=1_000_000))
    >>> network.add_host("a", print)
    >>> network.add_host("b", print)
    >>> network.send("a", "b", "hello")
    >>> kernel.drain()
    a hello
    1
    """

    def __init__(self, kernel: Kernel, profile: LinkProfile | None = None, name: str = "network") -> None:
        self.kernel = kernel
        self.name = name
        self.counts = NetworkCounts()
        self._profile = profile or LinkProfile()
        self._receivers: dict[str, Receive] = {}
        self._down: set[str] = set()
        self._links: dict[tuple[str, str], _Link] = {}
        self._group_of: dict[str, int] = {}

    # -- hosts and links --------------------------------------------------------------------------------------------------

    def add_host(self, host: str, receive: Receive) -> None:
        """Add a host; ``receive(source, message)`` is called for every message that arrives. Raises ValueError if it exists."""
        if host in self._receivers:
            raise ValueError(f"host {host!r} exists already; expected a new name")
        self._receivers[host] = receive

    def set_link(self, source: str, destination: str, profile: LinkProfile, *, one_way: bool = False) -> None:
        """Change how messages between two hosts fare from now on, in both directions or in one."""
        for link in self._both(source, destination, one_way):
            link.profile = profile

    def cut(self, source: str, destination: str, *, one_way: bool = False) -> None:
        """Let no message pass between two hosts, in both directions or in one."""
        for link in self._both(source, destination, one_way):
            link.is_cut = True

    def mend(self, source: str, destination: str, *, one_way: bool = False) -> None:
        """Undo ``cut``."""
        for link in self._both(source, destination, one_way):
            link.is_cut = False

    def partition(self, *groups: Iterable[str]) -> None:
        """Let messages pass only inside a group; hosts that are named in none are one more group. Replaces an earlier partition.

        Links that were cut one by one stay cut. Raises ValueError for a host that does not exist or is in two groups.
        """
        group_of: dict[str, int] = {}
        for number, group in enumerate(groups, start=1):
            for host in group:
                self._require(host)
                if host in group_of:
                    raise ValueError(f"host {host!r} is in two groups; expected every host in one")
                group_of[host] = number
        self._group_of = group_of

    def heal(self) -> None:
        """End the partition and mend every link. Hosts that are down stay down."""
        self._group_of = {}
        for link in self._links.values():
            link.is_cut = False

    def host_down(self, host: str) -> None:
        """Make a host deaf and mute; what arrives meanwhile is lost."""
        self._require(host)
        self._down.add(host)

    def host_up(self, host: str) -> None:
        """Undo ``host_down``."""
        self._require(host)
        self._down.discard(host)

    def is_up(self, host: str) -> bool:
        """Whether a host is up."""
        self._require(host)
        return host not in self._down

    def reaches(self, source: str, destination: str) -> bool:
        """Whether a message sent now and arriving now would pass, loss aside."""
        link = self._link(source, destination)
        return source not in self._down and self._passes(source, destination, link)

    # -- messages ---------------------------------------------------------------------------------------------------------

    def send(self, source: str, destination: str, message: Any) -> None:
        """Send a message; it arrives as an event later (also at latency 0), or never. Raises ValueError for an unknown host."""
        link = self._link(source, destination)
        profile, draw = link.profile, link.stream.uniform
        self.counts.sent += 1
        copies = 1
        if profile.duplication and draw() < profile.duplication:
            self.counts.duplicated += 1
            copies = 2
        if source in self._down or not self._passes(source, destination, link):
            self.counts.lost += copies
            return
        for copy in range(copies):
            if profile.loss and draw() < profile.loss:
                self.counts.lost += 1
                continue
            self._deliver_later(source, destination, link, message, out_of_order=copy > 0)

    def _deliver_later(self, source: str, destination: str, link: _Link, message: Any, *, out_of_order: bool) -> None:
        profile = link.profile
        arrival_ns = self.kernel.now_ns + profile.latency_ns
        if profile.jitter_ns:
            arrival_ns += link.stream.between(0, profile.jitter_ns)
        if profile.reorder and link.stream.uniform() < profile.reorder:
            out_of_order = True
        priority = PRIORITY_STANDING if profile.standing else PRIORITY_NORMAL
        if profile.quantum_ns:
            arrival_ns += -arrival_ns % profile.quantum_ns
            if not out_of_order:
                if link.batch is not None and arrival_ns <= link.last_arrival_ns:
                    link.batch.append(message)
                    return
                link.last_arrival_ns, link.batch = arrival_ns, [message]
                self.kernel.at(arrival_ns, self._arrive_together, source, destination, link, link.batch, priority=priority)
                return
        elif not out_of_order:
            # Strictly after the one before: equal times would lose their order when ties are shuffled.
            arrival_ns = max(arrival_ns, link.last_arrival_ns + 1)
            link.last_arrival_ns = arrival_ns
        self.kernel.at(arrival_ns, self._arrive, source, destination, link, message, priority=priority)

    def _arrive(self, source: str, destination: str, link: _Link, message: Any) -> None:
        if not self._passes(source, destination, link):
            self.counts.lost += 1
            return
        self.counts.delivered += 1
        self._receivers[destination](source, message)

    def _arrive_together(self, source: str, destination: str, link: _Link, batch: list[Any]) -> None:
        if link.batch is batch:
            link.batch = None
        for message in batch:
            self._arrive(source, destination, link, message)

    # -- inside -----------------------------------------------------------------------------------------------------------

    def _passes(self, source: str, destination: str, link: _Link) -> bool:
        if link.is_cut or destination in self._down:
            return False
        groups = self._group_of
        return not groups or groups.get(source, 0) == groups.get(destination, 0)

    def _link(self, source: str, destination: str) -> _Link:
        link = self._links.get((source, destination))
        if link is None:
            self._require(source)
            self._require(destination)
            link = _Link(self._profile, self.kernel.rng(f"{self.name}/{source}/{destination}"))
            self._links[source, destination] = link
        return link

    def _both(self, source: str, destination: str, one_way: bool) -> tuple[_Link, ...]:
        there = self._link(source, destination)
        return (there,) if one_way else (there, self._link(destination, source))

    def _require(self, host: str) -> None:
        if host not in self._receivers:
            raise ValueError(f"host {host!r} does not exist; expected one that was added")
