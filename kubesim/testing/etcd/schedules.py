"""Schedules: a cluster, a list of steps, each an operation or a fault and a wait; and what must hold while and after they are run.

A schedule is plain data and decides everything, so what draws it (hypothesis) can also shrink it. It is run in two phases: the steps, in
which safety is checked after every step of every member, and then healing: all faults end, a leader must appear, every client's write
must succeed within a bound, and all members must come to the same state. Then the clients' histories and watches are checked.

In a step ``target`` 0 is the leader of that moment, n > 0 the n-th member; ``key`` chooses one of a few keys, or how bad a fault is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from kubesim.etcd.client import EtcdClient
from kubesim.etcd.cluster import EtcdCluster
from kubesim.etcd.disk import DiskProfile
from kubesim.etcd.member import Member, MemberSettings
from kubesim.etcd.raft.messages import Entry, Message
from kubesim.kernel.loop import Kernel
from kubesim.kernel.network import LinkProfile, Network
from kubesim.kernel.time import MICROSECOND, MILLISECOND, SECOND
from kubesim.testing.etcd.actions import ACTIONS
from kubesim.testing.etcd.histories import LinearRecorder, RecordedWatch
from kubesim.testing.etcd.raft_rules import RaftRules, require
from kubesim.testing.etcd.reference import Reference

HEALED_NS_MAX = 20 * SECOND  # after healing, until the last client has written
EVENTS_MAX = 60_000  # in one step; repeated messages can breed
CLIENT_TIMEOUT_NS = 4 * SECOND
PACES_NS = (0, MILLISECOND, 20 * MILLISECOND, 150 * MILLISECOND, 400 * MILLISECOND, SECOND, 2500 * MILLISECOND)


class Undecided(Exception):
    """A schedule that was given up: it neither keeps nor breaks a rule."""


class Knobs(NamedTuple):
    """What is different from etcd's defaults, mostly smaller, so that rare things are not rare."""

    snapshot_count: int = 10_000
    catch_up_count: int = 5_000
    message_bytes_max: int = 1 << 20
    loss_percent: int = 0
    duplication_percent: int = 0
    reorder_percent: int = 0
    jitter_ns: int = 250 * MICROSECOND
    in_turns: bool = False


class Step(NamedTuple):
    """One step: do ``kind``, then wait ``PACES_NS[pace]``."""

    kind: str
    target: int = 0
    key: int = 0
    pace: int = 0


class Schedule(NamedTuple):
    """Everything that decides a run."""

    seed: int
    member_count: int
    knobs: Knobs
    steps: tuple[Step, ...]


class Outcome(NamedTuple):
    """What a run was: virtual time, steps of members, operations and events that were checked, and how often what happened."""

    virtual_ns: int
    step_count: int
    operation_count: int
    event_count: int
    answered_count: int


class Checks:
    """Raft's rules and the reference, as one observer. ``raft`` False leaves the former out, for speed."""

    def __init__(self, is_raft_checked: bool = True) -> None:
        self.raft = RaftRules()
        self.reference = Reference()
        self.is_raft_checked = is_raft_checked

    def started(self, member: Member) -> None:
        """Pass on."""
        self.raft.members[member.member_id] = member
        if self.is_raft_checked:
            self.raft.started(member)
        self.reference.started(member)

    def sending(self, member: Member, message: Message) -> None:
        """Pass on."""
        if self.is_raft_checked:
            self.raft.sending(member, message)

    def applied(self, member: Member, entry: Entry, answer: Any, error: Exception | None) -> None:
        """Pass on."""
        if self.is_raft_checked:
            self.raft.applied(member, entry, answer, error)
        self.reference.applied(member, entry, answer, error)

    def expiring(self, member: Member, lease_id: int) -> None:
        """Nothing to check."""

    def renewed(self, member: Member, lease_id: int, ttl_seconds: int) -> None:
        """Pass on."""
        self.reference.renewed(member, lease_id, ttl_seconds)

    def stepped(self, member: Member) -> None:
        """Pass on."""
        if self.is_raft_checked:
            self.raft.stepped(member)


class Run:
    """One schedule being run."""

    def __init__(self, schedule: Schedule, is_raft_checked: bool = True) -> None:
        knobs = schedule.knobs
        self.schedule = schedule
        self.kernel = Kernel(schedule.seed)
        self.checks = Checks(is_raft_checked)
        self.link = LinkProfile(
            250 * MICROSECOND, knobs.jitter_ns, knobs.loss_percent / 100, knobs.duplication_percent / 100, knobs.reorder_percent / 100
        )
        settings = MemberSettings(
            snapshot_count=knobs.snapshot_count,
            catch_up_count=knobs.catch_up_count,
            message_bytes_max=knobs.message_bytes_max,
            progress_ns=SECOND,
        )
        self.cluster = EtcdCluster(
            self.kernel,
            Network(self.kernel),
            schedule.member_count,
            settings=settings,
            disk=DiskProfile(300 * MICROSECOND, 400 * MICROSECOND),
            link=self.link,
            observer=self.checks,
            in_turns=knobs.in_turns,
        )
        self.recorder = LinearRecorder()
        self.leases: list[int] = []
        self.watches: list[RecordedWatch] = []
        self.answered_count = 0
        # One client that goes round, and one per member that knows no other.
        self.clients = [self.cluster.client("client-0", timeout_ns=CLIENT_TIMEOUT_NS)]
        for number, host in enumerate(self.cluster.hosts, start=1):
            self.clients.append(self.cluster.client(f"client-{number}", [host], CLIENT_TIMEOUT_NS))

    # -- the two phases

    def run(self) -> Outcome:
        """Run it to the end. Raises Broken, or any AssertionError of the library, at the first thing that is wrong."""
        for step in self.schedule.steps:
            self.take(step)
        return self.finish()

    def take(self, step: Step) -> None:
        """Do one step and wait."""
        ACTIONS[step.kind](self, step)
        wait_ns = PACES_NS[step.pace % len(PACES_NS)]
        if wait_ns:
            self.run_for(wait_ns)

    def run_for(self, duration_ns: int) -> None:
        """Let time pass. Raises Undecided when a storm of messages would take for ever."""
        if self.kernel.run_due(self.kernel.now_ns + duration_ns, EVENTS_MAX) >= EVENTS_MAX:
            raise Undecided(f"more than {EVENTS_MAX} events in {duration_ns / SECOND} s")

    def finish(self) -> Outcome:
        """Heal, and check the histories."""
        self.heal()
        operation_count = self.recorder.check(self.checks.reference)
        event_count = sum(watch.check(self.checks.reference) for watch in self.watches)
        self.checks.raft.check_plainly()
        virtual_ns = self.kernel.now_ns - self.kernel.start_ns
        return Outcome(virtual_ns, self.checks.raft.step_count, operation_count, event_count, self.answered_count)

    def heal(self) -> None:
        """End all faults, and demand what a healthy cluster gives."""
        cluster, kernel = self.cluster, self.kernel
        cluster.set_links(LinkProfile(250 * MICROSECOND, 250 * MICROSECOND))
        cluster.heal()
        deadline_ns = kernel.now_ns + HEALED_NS_MAX
        waiting = set(range(len(self.clients)))
        for number in sorted(waiting):
            self._write_until_done(number, waiting)
        while waiting and kernel.now_ns < deadline_ns:
            self._start_added()
            self.run_for(100 * MILLISECOND)
            waiting -= {number for number in sorted(waiting) if self._is_out(number)}
        require(cluster.leader is not None, "liveness", f"no leader {HEALED_NS_MAX // SECOND} s after healing")
        require(not waiting, "liveness", f"the clients {sorted(waiting)} cannot write {HEALED_NS_MAX // SECOND} s after healing")
        self.run_for(10 * SECOND)  # what was under way is answered or given up, leases end, watches catch up
        self._check_settled()

    def _start_added(self) -> None:
        """Start members that were added though whoever asked for it got no answer: without them there may be no majority."""
        for member in list(self.checks.raft.members.values()):
            for info in list(member.members.by_id.values()):
                if info.host not in self.cluster.machines and not self._is_stranger_id(info.member_id):
                    self.cluster.add_member(info.member_id, info.host, list(member.members.by_id.values()))

    def _member_of(self, number: int) -> Member | None:
        return None if not number or number > len(self.cluster.hosts) else self.cluster.member(self.cluster.hosts[number - 1])

    def _is_out(self, number: int) -> bool:
        member = self._member_of(number)
        return member is not None and (member.is_removed or self._is_stranger(member))

    def _is_stranger(self, member: Member) -> bool:
        """Whether the cluster has removed it, though it may not have heard."""
        return self._is_stranger_id(member.member_id)

    def _is_stranger_id(self, member_id: int) -> bool:
        return any(member_id in known.members.removed for known in self.checks.raft.members.values())

    def _write_until_done(self, number: int, waiting: set[int]) -> None:
        def done(answer: Any, error: Exception | None) -> None:
            if error is None:
                waiting.discard(number)
            else:
                self.kernel.after(100 * MILLISECOND, self._write_until_done, number, waiting)

        self.clients[number].submit(("put", b"healed/%d" % number, number), done)

    def _check_settled(self) -> None:
        """W14, K10: every member and every watch has come to the end."""
        reference = self.checks.reference
        for host in self.cluster.hosts:
            member = self.cluster.member(host)
            if not member.is_removed and not self._is_stranger(member):
                require(member.is_running, "liveness", f"{host} does not run")
                reference.check_member(member)
        for watch in self.watches:
            if watch.ended is None and watch.watch.endpoint in self._healthy_hosts():
                end = reference.state.store.revision
                require(watch.revision == end, "W14", f"a watch at {watch.watch.endpoint} has come to {watch.revision} of {end}")

    def _healthy_hosts(self) -> list[str]:
        members = ((host, self.cluster.member(host)) for host in self.cluster.hosts)
        return [host for host, member in members if not member.is_removed and not self._is_stranger(member)]

    # -- who

    def host(self, target: int) -> str:
        """The n-th member's host; 0: the leader's."""
        hosts = self.cluster.hosts
        if target == 0:
            leader = self.cluster.leader
            return hosts[0] if leader is None else leader.name
        return hosts[(target - 1) % len(hosts)]

    def client(self, target: int) -> tuple[int, EtcdClient]:
        """The n-th client and its number; 0: the one that goes round."""
        number = target % len(self.clients)
        return number, self.clients[number]

    def linear(self, step: Step, *request: Any, serializable: bool = False) -> None:
        """Send a recorded request."""
        number, client = self.client(step.target)
        self.recorder.submit(number, client, request, serializable)

    def send(self, step: Step, *request: Any, then: Callable[[Any], object] = lambda answer: None) -> None:
        """Send a request that is only checked by the reference."""

        def done(answer: Any, error: Exception | None) -> None:
            if error is None:
                self.answered_count += 1
                then(answer)

        self.client(step.target)[1].submit(request, done)

    def lease(self, step: Step) -> int:
        """One of the leases that were granted; 0 when there is none."""
        return self.leases[step.key // 2 % len(self.leases)] if self.leases else 0


def run_schedule(schedule: Schedule, is_raft_checked: bool = True) -> Outcome:
    """Run a schedule. Raises AssertionError, mostly Broken with the name of the rule, if anything is wrong."""
    return Run(schedule, is_raft_checked).run()
