"""One member of an etcd cluster: Raft, the store and the leases behind one shell of ticks, messages and disk writes.

The pipeline of a Ready is etcd's: a leader sends while it writes, a follower answers after its fsync, what is committed is applied at
once, and while an fsync is under way neither a tick nor another Ready is taken (``_work``). A write is proposed with a number, and
whoever has its number when it is applied gets the answer. What a request becomes is in ``member_requests``.

Upstream: etcd ``server/etcdserver`` (raft.go, server.go). Differs: the state is kept as snapshot and log only, where etcd also has its
backend file; so a restart replays up to ``snapshot_count`` + ``catch_up_count`` entries.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from kubesim._core.agenda import PRIORITY_STANDING
from kubesim._core.revision_store import Compacted, FutureRevision
from kubesim.etcd.clock import MemberClock
from kubesim.etcd.disk import Disk
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.membership import MemberInfo, Members
from kubesim.etcd.raft.core import FOLLOWER, LEADER, Settings
from kubesim.etcd.raft.merging import merged
from kubesim.etcd.raft.messages import (
    CONF_CHANGE,
    NONE,
    NORMAL,
    SNAPSHOT,
    ConfChange,
    ConfState,
    Entry,
    HardState,
    Message,
    RaftError,
    Snapshot,
)
from kubesim.etcd.raft.node import Node, Ready
from kubesim.etcd.reads import Reads
from kubesim.etcd.requests import execute
from kubesim.etcd.state import State, StateDump
from kubesim.etcd.unavailable import ProposalDropped
from kubesim.kernel.loop import Kernel
from kubesim.kernel.time import MILLISECOND, SECOND

MEBIBYTE = 1 << 20
SNAPSHOT_TIMEOUT_NS = 5 * SECOND
REMOVED_STOP_NS = 1 * SECOND
LOST_ELECTION_PART = 4  # of an election timeout, drawn before a campaign against a leader that is gone, so that two seldom collide
INACTIVE_TICKS = 3  # a member whose last tick is longer ago does not trust what it believes about its role


@dataclass(frozen=True, slots=True)
class MemberSettings:
    """How members behave; the defaults are etcd's."""

    heartbeat_ns: int = 100 * MILLISECOND
    election_ticks: int = 10
    snapshot_count: int = 10_000
    catch_up_count: int = 5_000
    request_bytes_max: int = MEBIBYTE * 3 // 2
    message_bytes_max: int = MEBIBYTE
    inflight_max: int = 512
    lease_look_ns: int = 500 * MILLISECOND
    progress_ns: int = 600 * SECOND

    @property
    def election_ns(self) -> int:
        """The election timeout, before it is drawn."""
        return self.heartbeat_ns * self.election_ticks

    @property
    def request_timeout_ns(self) -> int:
        """How long a member works on a request."""
        return 5 * SECOND + 2 * self.election_ns


class Proposal(NamedTuple):
    """The data of an entry: ``number`` is (member, epoch, count) of who waits for the answer, None: nobody."""

    number: tuple[int, int, int] | None
    request: tuple[Any, ...]


class SnapshotData(NamedTuple):
    """The data of a snapshot."""

    state: StateDump
    members: tuple[tuple[MemberInfo, ...], tuple[int, ...]]


class Observer(Protocol):
    """Sees what a member does, for tests and metrics. It changes nothing."""

    def started(self, member: "Member") -> None:
        """It has started, or restarted."""

    def sending(self, member: "Member", message: Message) -> None:
        """A message leaves."""

    def applied(self, member: "Member", entry: Entry, answer: Any, error: Exception | None) -> None:
        """An entry was applied."""

    def expiring(self, member: "Member", lease_id: int) -> None:
        """It proposes to revoke a lease because its time is over."""

    def renewed(self, member: "Member", lease_id: int, ttl_seconds: int) -> None:
        """It renewed a lease as leader."""

    def stepped(self, member: "Member") -> None:
        """It has finished a step: a message, a tick, a disk write or a request."""


class Member:
    """A member over its disk. ``send(host, message)`` puts a message on the network."""

    def __init__(
        self,
        kernel: Kernel,
        info: MemberInfo,
        disk: Disk,
        send: Callable[[str, Any], object],
        settings: MemberSettings | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.kernel = kernel
        self.member_id = info.member_id
        self.name = info.name or info.host
        self.disk = disk
        self.settings = settings or MemberSettings()
        self.clock = MemberClock(kernel)
        self.observer = observer
        self.epoch = 0  # counts its starts
        self.is_running = False
        self.is_paused = False
        self.is_removed = False
        self.members = Members()
        self.state = State()
        self.node: Node
        self.applied_index = 0
        self.reads: Reads
        self.on_state: list[Callable[[], object]] = []  # called when ``state`` is another one
        self.on_leader: list[Callable[[], object]] = []  # called when the leader or the role changes
        self.on_term_begun: list[Callable[[], object]] = []  # called when it leads and has applied all that older terms left
        self.begun_term = 0
        self.on_apply: dict[tuple[int, int, int], Callable[[Any, Exception | None], object]] = {}
        self.on_stop: list[Callable[[bool], object]] = []
        self.on_message: dict[str, Callable[..., object]] = {}  # by the first field of what is no message of Raft
        self.defer: Callable[[], object] | None = None  # asks for ``end_turn`` soon; None: whatever comes is worked on at once
        self._proposals: list[Entry] = []  # of this turn
        self.merges = False  # whether messages that follow one another leave as one
        self._send = send
        self._stream = kernel.rng(f"etcd/{self.name}/election")
        self._backlog: list[tuple[Callable[..., object], tuple[Any, ...]]] = []  # what a paused process has not got to
        self._writing: Ready | None = None  # the one whose disk write is under way
        self._is_working = False
        self._tick_owed = False
        self._last_tick_ns = 0
        self._next_tick_ns = 0
        self._is_trusted = False
        self._snapshots_sent: dict[int, int] = {}  # target -> the handle of its timeout
        self._conf_state = ConfState()
        self._made: Snapshot | None = None
        self._remotes: dict[int, str] = {}

    # -- life

    def bootstrap(self, members: Iterable[MemberInfo]) -> None:
        """Write the log that all first members of a cluster begin with: one entry per member."""
        ordered = sorted(members)
        entries = [
            Entry(1, index, CONF_CHANGE, ConfChange((("voter", info.member_id),), context=Proposal(None, ("member_add", info))))
            for index, info in enumerate(ordered, start=1)
        ]
        self.disk.format(entries, HardState(1, NONE, len(entries)))

    def start(self, peers: Iterable[MemberInfo] = ()) -> None:
        """Start from the disk. ``peers`` are who a member that has not heard of the cluster yet may talk to."""
        assert not self.is_running, f"{self.name} runs already"
        recovered = self.disk.recover()
        self.disk.storage.make_snapshot = self._snapshot
        self._made, self._remotes = None, {}
        self.epoch += 1
        self.is_running, self.is_paused = True, False
        self._backlog, self._writing, self._tick_owed, self._is_working = [], None, False, False
        self._proposals = []
        self.begun_term = 0
        self.on_apply, self._snapshots_sent = {}, {}
        self.members = Members(peers)
        self.state = State()
        self.applied_index = recovered.snapshot.index
        if recovered.snapshot.index:
            self._load(recovered.snapshot)
        settings = self.settings
        raft_settings = Settings(
            id=self.member_id,
            election_ticks=settings.election_ticks,
            message_bytes_max=settings.message_bytes_max,
            applying_bytes_max=settings.message_bytes_max,
            inflight_max=settings.inflight_max,
            check_quorum=True,
            pre_vote=True,
        )
        self.node = Node(raft_settings, self.disk.storage, self._stream, recovered.snapshot.index)
        self.reads = Reads(self, settings.request_timeout_ns)
        self._is_trusted = True
        self._last_tick_ns = self.clock.now_ns
        first_ns = self._stream.below(settings.heartbeat_ns) + 1
        self._next_tick_ns = self.clock.now_ns + first_ns
        self.after_standing(first_ns, self._tick)
        for listener in self.on_state:
            listener()
        if self.observer is not None:
            self.observer.started(self)
        self._work()
        if self.node.raft.tracker.is_singleton() and self.node.raft.promotable():
            self.node.campaign()  # nobody else can lead
            self._work()

    def stop(self, power_lost: bool = False) -> None:
        """End at once, as ``kill -9`` does, or with the power. Who waits here is told unless the power is lost."""
        if not self.is_running:
            return
        self.is_running = self.is_paused = False
        self.disk.crash(power_lost)
        for listener in self.on_stop:
            listener(power_lost)

    def pause(self) -> None:
        """Stop doing anything, as SIGSTOP does; what comes in waits."""
        self.is_paused = self.is_running

    def resume(self) -> None:
        """Go on with what has waited."""
        if not self.is_paused:
            return
        self.is_paused = False
        backlog, self._backlog = self._backlog, []
        for position, (function, arguments) in enumerate(backlog):
            function(*arguments)
            if not self.is_running or self.is_paused:
                self._backlog = backlog[position + 1 :] + self._backlog
                return

    # -- time

    def after(self, interval_ns: int, function: Callable[..., object], *arguments: Any) -> int:
        """Call a function after an interval of the member's clock, unless it has been stopped by then; when paused, later."""
        return self.kernel.after(self.clock.delay_ns(interval_ns), self._enter, self.epoch, function, arguments)

    def after_standing(self, interval_ns: int, function: Callable[..., object], *arguments: Any) -> int:
        """The same for a timer that is always there."""
        delay_ns = self.clock.delay_ns(interval_ns)
        return self.kernel.after(delay_ns, self._enter, self.epoch, function, arguments, priority=PRIORITY_STANDING)

    def cancel(self, handle: int) -> None:
        """Take a call back."""
        self.kernel.cancel(handle)

    def enter(self, function: Callable[..., object], *arguments: Any) -> None:
        """Do something now, or when the process goes on; not after it has ended."""
        self._enter(self.epoch, function, arguments)

    def _enter(self, epoch: int, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        if epoch != self.epoch or not self.is_running:
            return
        if self.is_paused:
            self._backlog.append((function, arguments))
        else:
            function(*arguments)

    def _tick(self) -> None:
        # On a busy machine a tick comes late. The next one does not: else ten ticks would be more than an election timeout.
        heartbeat_ns = self.settings.heartbeat_ns
        late_ns = self.clock.now_ns - self._next_tick_ns
        if not 0 <= late_ns < heartbeat_ns:
            late_ns = 0  # it was paused, or its clock was set
        self._next_tick_ns = self.clock.now_ns - late_ns + heartbeat_ns
        self.after_standing(heartbeat_ns - late_ns, self._tick)
        if self._writing is not None:
            self._tick_owed = True  # taken when the disk is done; etcd's ticker keeps one, too
            return
        now_ns = self.clock.now_ns
        if now_ns - self._last_tick_ns > INACTIVE_TICKS * self.settings.heartbeat_ns:
            self._is_trusted = False  # much may have happened: ask before acting as leader
        self._last_tick_ns = now_ns
        self.node.tick()
        self._work()

    @property
    def is_leader(self) -> bool:
        """Whether it believes to lead."""
        return self.is_running and self.node.raft.role == LEADER

    @property
    def is_trusted(self) -> bool:
        """Whether it has ticked all the time, so that what it believes about its role holds but for an election timeout."""
        return self._is_trusted and self.clock.now_ns - self._last_tick_ns <= INACTIVE_TICKS * self.settings.heartbeat_ns

    def confirm(self, done: Callable[[Exception | None], object]) -> None:
        """Ask a quorum whether it still leads; ``done(None)``: whoever leads is known now, and trusted."""

        def confirmed(error: Exception | None) -> None:
            self._is_trusted = self._is_trusted or error is None
            done(error)

        self.reads.add(confirmed)

    # -- input

    def receive(self, source: str, message: Any) -> None:
        """Take a message from the network."""
        if not self.is_running:
            return
        if self.is_paused:
            self._backlog.append((self.receive, (source, message)))
            return
        if type(message) is Message:
            if message.from_ not in self.members.by_id:
                if message.from_ in self.members.removed:
                    return
                self._remotes[message.from_] = source  # it joined after what this member has heard of
            self.step(message)
            if message.type == SNAPSHOT:
                self._send(source, ("snapshot_arrived", self.member_id))
            return
        if message[0] == "snapshot_arrived":
            self._snapshot_sent(message[1], False)
            return
        self.on_message[message[0]](source, *message[1:])

    def step(self, message: Message) -> None:
        """Hand a message to Raft."""
        try:
            self.node.step(message)
        except RaftError:
            return  # a proposal that cannot be taken here, or a message of a stranger: who sent it asks again
        self._work_soon()

    def propose(self, proposal: Proposal, size_bytes: int) -> bool:
        """Propose an entry, here or at the leader; False when it is dropped. One that is dropped at the end of a turn is answered so."""
        if self.defer is not None:
            self._proposals.append(Entry(0, 0, NORMAL, proposal, size_bytes))
            self.defer()
            return True
        try:
            self.node.propose(proposal, size_bytes)
        except RaftError:
            return False
        self._work()
        return True

    def propose_change(self, change: ConfChange) -> bool:
        """Propose a change of membership; False when it is dropped."""
        self._propose_deferred()
        try:
            self.node.propose_conf_change(change, v1=True)
        except RaftError:
            return False
        self._work_soon()
        return True

    def transfer_leader(self, target: int) -> None:
        """Hand leadership over."""
        self.node.transfer_leader(target)
        self._work()

    def lost(self, host: str) -> None:
        """Take note that the process at ``host`` is gone: its machine refuses connections.

        If it led, an election need not wait for a timeout. That is safe: votes are asked for as always, a leader that is there after all
        is followed again at its next heartbeat, and what it renewed meanwhile a new leader extends by more than that.
        """
        if not self.is_running or self.is_leader:
            return
        leader = self.members.by_id.get(self.node.raft.lead)
        if leader is not None and leader.host == host:
            self.node.forget_leader()
            self.after(self._stream.below(self.settings.election_ns // LOST_ELECTION_PART) + 1, self._campaign_without_leader)
            self._work_soon()

    def _campaign_without_leader(self) -> None:
        if self.node.raft.lead == NONE and self.node.raft.role == FOLLOWER:
            self.node.campaign()
            self._work_soon()

    def ask_read_index(self, context: Any) -> None:
        """Start a round of ReadIndex; ``reads.confirmed`` gets the answer."""
        self.node.read_index(context)
        self._work_soon()

    # -- the pipeline

    def _work_soon(self) -> None:
        (self.defer or self._work)()

    def end_turn(self) -> None:
        """Work on all that has come since the last turn: its proposals are one step of Raft, one write and one round of messages."""
        if self.is_running and not self.is_paused:
            self._propose_deferred()
            self._work()

    def _propose_deferred(self) -> None:
        proposals, self._proposals = self._proposals, []
        if not proposals:
            return
        try:
            self.node.propose_entries(tuple(proposals))
        except RaftError:
            for entry in proposals:
                done = self.on_apply.pop(entry.data.number, None)
                if done is not None:
                    done(None, ProposalDropped())

    def _work(self) -> None:
        """Take Readys until there is none, or until one waits for the disk. Who is called from here may call it: that does nothing."""
        if self._is_working:
            return
        self._is_working = True
        node = self.node
        while self._writing is None and self.is_running and node.has_ready():
            self._take(node.ready())
        self._is_working = False
        if self.observer is not None:
            self.observer.stepped(self)

    def _take(self, ready: Ready) -> None:
        self._writing = ready
        if ready.soft_state is not None:
            self._note_leader(ready.soft_state.lead != NONE)
        is_leader = self.node.raft.role == LEADER
        if is_leader:
            self._send_all(ready.messages)
        if ready.committed and ready.snapshot is None:
            self._apply(ready.committed)
        if self.is_running and not self._write(ready, is_leader):
            self._finish(ready, is_leader)
        for read in ready.read_states:
            self.reads.confirmed(read.context, read.index)

    def _write(self, ready: Ready, is_leader: bool) -> bool:
        """Write what is to be durable; whether ``_written`` will be called."""
        if not (ready.must_sync or ready.snapshot is not None or ready.hard_state is not None):
            return False
        epoch = self.epoch
        return self.disk.write(
            ready.snapshot,
            ready.entries,
            ready.hard_state,
            ready.must_sync,
            lambda: self._enter(epoch, self._written, (ready, is_leader)),
        )

    def _written(self, ready: Ready, is_leader: bool) -> None:
        self._finish(ready, is_leader)
        if self._tick_owed:
            self._tick_owed = False
            now_ns = self.clock.now_ns
            if now_ns - self._last_tick_ns > INACTIVE_TICKS * self.settings.heartbeat_ns:
                self._is_trusted = False
            self._last_tick_ns = now_ns
            self.node.tick()
        self._work()

    def _finish(self, ready: Ready, was_leader: bool) -> None:
        self._writing = None
        if not was_leader:
            self._send_all(ready.messages)
        if ready.snapshot is not None:
            self._restore(ready.snapshot)
            if ready.committed:
                self._apply(ready.committed)
        if self.is_running:
            self.node.advance()

    def _send_all(self, messages: tuple[Message, ...]) -> None:
        observer = self.observer
        hosts = self.members.by_id
        for message in merged(messages) if self.merges else messages:
            info = hosts.get(message.to)
            host = self._remotes.get(message.to) if info is None else info.host
            if host is None:
                continue
            if observer is not None:
                observer.sending(self, message)
            self._send(host, message)
            if message.type == SNAPSHOT:
                self._await_snapshot(message.to)

    def send(self, host: str, message: Any) -> None:
        """Put a message on the network."""
        self._send(host, message)

    def _note_leader(self, has_new_leader: bool) -> None:
        for listener in self.on_leader:
            listener()
        if has_new_leader:
            self.reads.leader_changed()

    # -- applying

    def _apply(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            self.applied_index = entry.index
            if entry.type != NORMAL:
                self._apply_change(entry)
            elif entry.data is not None:
                self._apply_proposal(entry, entry.data)
            else:
                self._apply_empty(entry)
            if not self.is_running:
                return  # whoever got an answer has stopped it
        self.reads.applied()
        storage = self.disk.storage
        if storage.snapshot_state.index + self.settings.snapshot_count <= self.applied_index <= storage.last_index:
            self.disk.save_snapshot(self._snapshot(), self.settings.catch_up_count)
            self._made = None

    def _apply_empty(self, entry: Entry) -> None:
        """The first entry of a term: its leader has applied all that older terms left."""
        if self.observer is not None:
            self.observer.applied(self, entry, None, None)
        if self.node.raft.role == LEADER and entry.term == self.node.raft.term != self.begun_term:
            self.begun_term = entry.term
            for listener in self.on_term_begun:
                listener()

    def _apply_proposal(self, entry: Entry, proposal: Proposal) -> None:
        answer, error = None, None
        if proposal.request[0] == "publish":
            self.members.publish(*proposal.request[1:])
        else:
            try:
                answer = execute(self.state, self.clock.now_ns, proposal.request)
            except (EtcdError, Compacted, FutureRevision) as refused:
                error = refused
        self._answer(entry, proposal, answer, error)

    def _apply_change(self, entry: Entry) -> None:
        """Change the configuration, unless the change has become void since it was asked for."""
        change: ConfChange = entry.data
        proposal: Proposal = change.context
        try:
            self.members.check_still(proposal.request)
        except EtcdError as error:
            self._conf_state = self.node.apply_conf_change(ConfChange((("voter", NONE),)))
            self._answer(entry, proposal, None, error)
            return
        self._conf_state = self.node.apply_conf_change(change)
        self.members.change(proposal.request)
        self._answer(entry, proposal, list(self.members.by_id.values()), None)
        if self.member_id in self.members.removed and not self.is_removed:
            self.is_removed = True
            self.after(REMOVED_STOP_NS, self.stop)

    def _answer(self, entry: Entry, proposal: Proposal, answer: Any, error: Exception | None) -> None:
        if self.observer is not None:
            self.observer.applied(self, entry, answer, error)
        if proposal.number is not None:
            done = self.on_apply.pop(proposal.number, None)
            if done is not None:
                done(answer, error)

    # -- snapshots

    def _snapshot(self) -> Snapshot:
        """Return a snapshot of what is applied. O(records), but for the first of several at one index."""
        if self._made is None or self._made.index != self.applied_index:
            data = SnapshotData(self.state.dump(), self.members.dump())
            self._made = Snapshot(self.applied_index, self.node.raft.log.term(self.applied_index), self._conf_state, data)
        return self._made

    def _restore(self, snapshot: Snapshot) -> None:
        """Become what the leader was: this member was too far behind for its log."""
        self.applied_index = snapshot.index
        self.state = State()
        self._load(snapshot)
        for listener in self.on_state:
            listener()
        self.reads.applied()

    def _load(self, snapshot: Snapshot) -> None:
        data: SnapshotData = snapshot.data
        self._conf_state = snapshot.conf_state
        self.members = Members(*data.members)
        self.state.load(data.state, self.clock.now_ns)

    def _await_snapshot(self, target: int) -> None:
        self.cancel(self._snapshots_sent.pop(target, 0))
        self._snapshots_sent[target] = self.after(SNAPSHOT_TIMEOUT_NS, self._snapshot_sent, target, True)

    def _snapshot_sent(self, target: int, failed: bool) -> None:
        handle = self._snapshots_sent.pop(target, None)
        if handle is not None:
            self.cancel(handle)
            self.node.report_snapshot(target, failed)
            self._work()
