"""The machines under a control plane, and what can befall them: ``cluster.hosts["master-1"].kill()``.

A host is a few processes, each with its places in the network. What is done to a host is done to all of them; ``process`` names one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubesim.kernel.network import LinkProfile, Network
from kubesim.kernel.time import MICROSECOND

INSIDE = LinkProfile(latency_ns=20 * MICROSECOND, quantum_ns=100 * MICROSECOND)


@dataclass(frozen=True, slots=True)
class Process:
    """What a host can do to a process: start it, stop it (``power_lost``: and tell nobody), pause and resume it."""

    name: str
    places: tuple[str, ...]  # in the network
    start: Callable[[], object]
    stop: Callable[[bool], object]
    pause: Callable[[], object]
    resume: Callable[[], object]


class Host:
    """One machine. All of these can be called at any time and twice."""

    def __init__(self, hosts: "Hosts", name: str, processes: Iterable[Process]) -> None:
        self.name = name
        self.processes = {process.name: process for process in processes}
        self.is_up = True
        self._hosts = hosts

    @property
    def places(self) -> list[str]:
        """Its places in the network."""
        return [place for process in self.processes.values() for place in process.places]

    def _chosen(self, process: str | None) -> list[Process]:
        if process is None:
            return list(self.processes.values())
        if process not in self.processes:
            raise ValueError(f"process is {process!r}; expected one of {', '.join(self.processes)}")
        return [self.processes[process]]

    def kill(self, process: str | None = None) -> None:
        """Take the power: nobody is told, and what was not synced is lost. With a process: kill -9, connections are reset."""
        power_lost = process is None
        if power_lost:
            self.is_up = False
            for place in self.places:
                self._hosts.network.host_down(place)
        for each in self._chosen(process):
            each.stop(power_lost)

    def restart(self, process: str | None = None) -> None:
        """Power on, or start one process: what runs already goes on."""
        if process is None:
            self.is_up = True
            for place in self.places:
                self._hosts.network.host_up(place)
        for each in self._chosen(process):
            each.start()

    def pause(self, process: str | None = None) -> None:
        """Stop it where it is (SIGSTOP): what it is sent waits."""
        for each in self._chosen(process):
            each.pause()

    def resume(self, process: str | None = None) -> None:
        """Let it go on."""
        for each in self._chosen(process):
            each.resume()

    def isolate(self) -> None:
        """Cut it off from all other hosts."""
        self._hosts.isolated[self.name] = None
        self._hosts.draw_groups()

    def rejoin(self) -> None:
        """Undo ``isolate``."""
        self._hosts.isolated.pop(self.name, None)
        self._hosts.draw_groups()

    def slow(self, latency_ns: int) -> None:
        """Make every message from or to it take so long."""
        for other in self._hosts.values():
            if other is not self:
                self.slow_link(other.name, latency_ns)

    def slow_link(self, other: str, latency_ns: int) -> None:
        """Make every message between two hosts take so long. Raises ValueError for an unknown host."""
        profile = replace(self._hosts.usual, latency_ns=latency_ns)
        self._hosts.for_links(self, other, lambda a, b: self._hosts.set_link(a, b, profile))

    def cut(self, other: str, *, one_way: bool = False) -> None:
        """Let nothing pass to another host, and nothing back unless ``one_way``. Raises ValueError for an unknown host."""
        self._hosts.for_links(self, other, lambda a, b: self._hosts.network.cut(a, b, one_way=one_way))

    def mend(self, other: str) -> None:
        """Undo ``cut`` and ``slow_link``."""
        hosts = self._hosts

        def mend(place: str, there: str) -> None:
            hosts.network.mend(place, there)
            hosts.set_link(place, there, hosts.usual)

        self._hosts.for_links(self, other, mend)


class Hosts(Mapping[str, Host]):
    """The hosts by name, in the order of masters, etcd members and balancers."""

    def __init__(self, network: Network, usual: LinkProfile) -> None:
        self.network = network
        self.usual = usual
        self.isolated: dict[str, None] = {}
        self._hosts: dict[str, Host] = {}
        self._groups: list[tuple[str, ...]] = []

    def add(self, name: str, processes: Iterable[Process]) -> Host:
        """Add a host; its processes reach one another faster than others do."""
        host = self._hosts[name] = Host(self, name, processes)
        places = host.places
        for place in places:
            for other in places:
                if other != place:
                    self.network.set_link(place, other, INSIDE, one_way=True)
        return host

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)

    def partition(self, *groups: Iterable[str]) -> None:
        """Let hosts talk only inside their group; who is in none is in one more. Raises ValueError for an unknown host."""
        self._groups = [tuple(group) for group in groups]
        for group in self._groups:
            for name in group:
                self._known(name)
        self.draw_groups()

    def heal(self) -> None:
        """End every fault of links and hosts: what is down starts, what is paused goes on."""
        self._groups = []
        self.isolated.clear()
        self.network.heal()
        for host in self._hosts.values():
            host.slow(self.usual.latency_ns)
            host.resume()
            host.restart()

    def draw_groups(self) -> None:
        """Apply the partition and the isolated hosts."""
        alone = [self._hosts[name].places for name in self.isolated]
        rest = [[place for name in group if name not in self.isolated for place in self._hosts[name].places] for group in self._groups]
        self.network.partition(*alone, *rest)

    def set_link(self, place: str, there: str, profile: LinkProfile) -> None:
        """Change a link; between etcd members there is always something under way."""
        is_etcd = place.endswith("/etcd") and there.endswith("/etcd")
        self.network.set_link(place, there, replace(profile, standing=is_etcd))

    def for_links(self, host: Host, other: str, function: Callable[[str, str], Any]) -> None:
        """Call a function for each pair of places of two hosts."""
        for place in host.places:
            for there in self._known(other).places:
                function(place, there)

    def _known(self, name: str) -> Host:
        if name not in self._hosts:
            raise ValueError(f"host {name!r} does not exist; expected one of {', '.join(self._hosts)}")
        return self._hosts[name]
