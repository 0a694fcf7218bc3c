"""A whole etcd cluster on the kernel's network: members as hosts, clients as hosts, and every fault that can befall them.

>>> from kubesim.kernel import Kernel, Network
>>> kernel = Kernel(seed=1)
>>> cluster = EtcdCluster(kernel, Network(kernel), member_count=3)
>>> client = cluster.client("app")
>>> client.submit(("put", b"a", 1), lambda answer, error: print(answer, error))
>>> _ = kernel.run_due(kernel.now_ns + 3_000_000_000)
2 None

A cluster of n members works while n // 2 + 1 of them do. Members talk over links as the network has them, clients over links that
neither repeat nor reorder (connections); both lose messages when links are cut.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kubesim.etcd.client import EtcdClient
from kubesim.etcd.disk import Disk, DiskProfile
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.member import Member, MemberSettings, Observer
from kubesim.etcd.membership import MemberInfo, member_id_of
from kubesim.etcd.raft.messages import PROPOSE, ConfChange, Message
from kubesim.etcd.service import Service
from kubesim.etcd.streams import Streams
from kubesim.kernel.loop import Kernel
from kubesim.kernel.network import LinkProfile, Network
from kubesim.kernel.time import MICROSECOND, SECOND
from kubesim.kernel.wake import Wakeup

TOKEN = "etcd-cluster"
FORWARDED_MAX = 1_000
WATCH_SILENCE_NS = 30 * SECOND
LINK = LinkProfile(latency_ns=250 * MICROSECOND, jitter_ns=250 * MICROSECOND)


@dataclass(slots=True)
class Machine:
    """One host with its disk and the member that runs, or does not run, on it."""

    host: str
    member: Member
    service: Service
    streams: Streams
    network: Network
    peers: list[MemberInfo] = field(default_factory=list)
    booted_ns: int = 0
    forwarded: dict[Any, None] = field(default_factory=dict)  # the proposals that others have passed on to this process

    def send(self, destination: str, message: Any) -> None:
        """Send what the member says. A proposal goes over a connection: see ``_take_once``."""
        if type(message) is Message and message.type == PROPOSE:
            message = ("proposal", self.network.kernel.now_ns, message)
        self.network.send(self.host, destination, message)

    def receive(self, source: str, message: Any) -> None:
        """Take a message; without a process the system itself answers that nobody listens."""
        if type(message) is tuple and message[0] == "proposal":
            self._take_once(source, *message[1:])
        elif not self.member.is_running:
            if type(message) is tuple and message[0] in ("request", "watch"):
                kind = "refused" if message[0] == "request" else "watch_refused"
                self.network.send(self.host, source, (kind, message[1]))
        else:
            self.member.receive(source, message)

    def _take_once(self, source: str, sent_ns: int, message: Message) -> None:
        """Take a forwarded proposal at most once, and not if it was sent to an earlier process of this host.

        Raft bears messages that are repeated, but a proposal that is would be executed twice; between real members it is in a TCP stream.
        """
        asked = (entry.data.context if isinstance(entry.data, ConfChange) else entry.data for entry in message.entries)
        number = (source, sent_ns, *(proposal.number for proposal in asked))
        if sent_ns > self.booted_ns and number not in self.forwarded:
            self.forwarded[number] = None
            if len(self.forwarded) > FORWARDED_MAX:
                del self.forwarded[next(iter(self.forwarded))]
            self.member.receive(source, message)

    def request(self, source: str, number: int, request: tuple[Any, ...], serializable: bool) -> None:
        """Work on the request of a client."""

        def done(answer: Any, error: Exception | None) -> None:
            self.network.send(self.host, source, ("answer", number, answer, error))

        self.service.submit(request, done, serializable)


class EtcdCluster:
    """Members, started, and a way to do harm to each: one on each of ``hosts``, or ``member_count`` on ``<name>-1`` and so on.

    ``in_turns``: what reaches a member in one instant is one step of Raft, for many clients at little cost.
    """

    def __init__(
        self,
        kernel: Kernel,
        network: Network,
        member_count: int = 3,
        *,
        name: str = "etcd",
        hosts: Sequence[str] | None = None,
        settings: MemberSettings | None = None,
        disk: DiskProfile | None = None,
        link: LinkProfile = LINK,
        observer: Observer | None = None,
        in_turns: bool = False,
    ) -> None:
        named = [f"{name}-{number}" for number in range(1, member_count + 1)] if hosts is None else list(hosts)
        if not named:
            raise ValueError(f"the cluster has {len(named)} members; expected at least 1")
        self.kernel = kernel
        self.network = network
        self.name = name
        self.settings = settings or MemberSettings()
        self.disk_profile = disk or DiskProfile()
        self.link = link
        self.observer = observer
        self.in_turns = in_turns
        self.machines: dict[str, Machine] = {}
        self._clients: list[str] = []
        self._hosts: dict[str, None] = {}  # all of the network that are ours
        infos = [MemberInfo(member_id_of(host, TOKEN), host) for host in named]
        for info in infos:
            self._install(info, infos).member.bootstrap(infos)
        for machine in self.machines.values():
            self._boot(machine)

    def _install(self, info: MemberInfo, peers: Iterable[MemberInfo]) -> Machine:
        network, host = self.network, info.host

        def send(destination: str, message: Any) -> None:
            if destination in self._hosts:  # a member that was added need not have been started yet
                machine.send(destination, message)

        disk = Disk(self.kernel, host, self.disk_profile)
        member = Member(self.kernel, info, disk, send, self.settings, self.observer)
        machine = Machine(host, member, Service(member, TOKEN), Streams(member), network, list(peers))
        member.on_message["request"] = machine.request
        if self.in_turns:
            member.merges = True
            member.defer = Wakeup(self.kernel, lambda: member.enter(member.end_turn)).set
        network.add_host(host, machine.receive)
        self._hosts[host] = None
        for other in self.machines:
            network.set_link(host, other, self.link)
        self.machines[host] = machine
        for client in self._clients:
            self._connect(client, host)
        return machine

    def _boot(self, machine: Machine) -> None:
        machine.booted_ns = self.kernel.now_ns
        machine.forwarded.clear()
        machine.member.start(machine.peers)
        machine.member.enter(machine.service.publish)

    # -- what there is

    @property
    def hosts(self) -> list[str]:
        """The members' hosts, also those of members that were removed."""
        return list(self.machines)

    def member(self, host: str) -> Member:
        """The member on a host."""
        return self.machines[host].member

    @property
    def leader(self) -> Member | None:
        """The running leader of the highest term, None: there is none."""
        leaders = [machine.member for machine in self.machines.values() if machine.member.is_leader]
        return max(leaders, key=lambda member: member.node.raft.term, default=None)

    def client(self, host: str, endpoints: Iterable[str] | None = None, timeout_ns: int = 10 * SECOND) -> EtcdClient:
        """Add a client on a host of its own; ``endpoints`` None: all members of now."""
        network = self.network
        chosen = list(endpoints) if endpoints is not None else self.hosts
        client = EtcdClient(self.kernel, host, chosen, lambda destination, message: network.send(host, destination, message), timeout_ns)
        client.watch_silence_ns = min(WATCH_SILENCE_NS, 3 * self.settings.progress_ns)
        network.add_host(host, client.receive)
        self._hosts[host] = None
        self._clients.append(host)
        for endpoint in self.hosts:
            self._connect(host, endpoint)
        return client

    def _connect(self, client: str, host: str) -> None:
        # A connection: nothing is repeated and nothing overtakes.
        self.network.set_link(client, host, replace(self.link, loss=0.0, duplication=0.0, reorder=0.0, standing=False))

    def set_links(self, link: LinkProfile) -> None:
        """Change the links between all members."""
        self.link = link
        for host in self.hosts:
            for other in self.hosts:
                if other != host:
                    self.network.set_link(host, other, link, one_way=True)

    # -- membership

    def add_member(self, member_id: int, host: str, peers: Iterable[MemberInfo]) -> Member:
        """Start a member that the cluster has taken in: on a host without one, with an empty disk."""
        if host in self.machines:
            raise ValueError(f"host {host!r} has a member; expected a new host")
        machine = self._install(MemberInfo(member_id, host), peers)
        self._boot(machine)
        return machine.member

    # -- faults

    def kill(self, host: str) -> None:
        """End the process (kill -9). What it has written stays in the system's cache, connections are reset."""
        self.machines[host].member.stop()

    def power_off(self, host: str) -> None:
        """Take the power: what was not synced is lost, and nobody is told."""
        self.machines[host].member.stop(power_lost=True)
        self.network.host_down(host)

    def restart(self, host: str) -> None:
        """Start a member that does not run, on what its disk has. Does nothing when it runs or was removed."""
        machine = self.machines[host]
        self.network.host_up(host)
        if not machine.member.is_running and not machine.member.is_removed:
            self._boot(machine)

    def pause(self, host: str) -> None:
        """Stop the process (SIGSTOP): it does nothing, and what it is sent waits."""
        self.machines[host].member.pause()

    def resume(self, host: str) -> None:
        """Let a paused process go on."""
        self.machines[host].member.resume()

    def slow_disk(self, host: str, fsync_ns: int) -> None:
        """Make every fsync of a member take so long from now on."""
        disk = self.machines[host].member.disk
        disk.profile = replace(disk.profile, fsync_ns=fsync_ns)

    def stall_disk(self, host: str, duration_ns: int) -> None:
        """Let no fsync of a member end for a while."""
        self.machines[host].member.disk.stall(duration_ns)

    def skew(self, host: str, rate_ppm: int = 0, offset_ns: int = 0) -> None:
        """Let a member's clock gain ``rate_ppm`` and stand ``offset_ns`` ahead."""
        self.machines[host].member.clock.skew(rate_ppm, offset_ns)

    def partition(self, *groups: Iterable[str]) -> None:
        """Let members (and clients) talk only inside their group; who is in none is in one more."""
        self.network.partition(*groups)

    def cut(self, source: str, destination: str, *, one_way: bool = False) -> None:
        """Let nothing pass between two hosts."""
        self.network.cut(source, destination, one_way=one_way)

    def heal(self) -> None:
        """End every fault: links, disks, clocks, pauses; members that are down start."""
        self.network.heal()
        for host, machine in self.machines.items():
            machine.member.disk.mend()
            machine.member.disk.profile = self.disk_profile
            machine.member.clock.skew()
            self.resume(host)
            self.restart(host)


__all__ = ["EtcdCluster", "EtcdError", "Machine"]
