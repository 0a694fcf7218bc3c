"""The state machine of one member: its state, its transitions, what it sends, and the part of step() that all roles share.

What a role does with a message is in ``roles``. Nothing here does I/O: messages are collected in ``messages`` (to leave at once)
and ``after_append`` (promises, which leave when the state they promise is durable). Upstream: raft/raft.go.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from kubesim.etcd.raft import membership, messages, quorum
from kubesim.etcd.raft import progress as progress_states
from kubesim.etcd.raft.log import NO_LIMIT, Compacted, MemoryStorage, RaftLog, Unavailable
from kubesim.etcd.raft.membership import Config, ProgressMap, Tracker
from kubesim.etcd.raft.messages import (
    CONF_CHANGE,
    CONF_CHANGE_V2,
    NONE,
    NORMAL,
    ConfChange,
    ConfState,
    Entry,
    HardState,
    Message,
    RaftError,
    ReadState,
    Snapshot,
    SoftState,
    payload_size,
)
from kubesim.etcd.raft.progress import Progress
from kubesim.etcd.raft.reads import SAFE, ReadOnly

FOLLOWER = "follower"
CANDIDATE = "candidate"
PRE_CANDIDATE = "precandidate"
LEADER = "leader"


class Random(Protocol):
    """A seeded stream."""

    def below(self, limit: int) -> int:
        """Return an int in [0, limit)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a member behaves. Times are ticks, sizes bytes."""

    id: int
    election_ticks: int = 10
    heartbeat_ticks: int = 1
    message_bytes_max: int = NO_LIMIT
    applying_bytes_max: int = NO_LIMIT
    uncommitted_bytes_max: int = NO_LIMIT
    inflight_max: int = 256
    inflight_bytes_max: int = 0  # 0: no limit
    check_quorum: bool = False
    pre_vote: bool = False
    read_only: str = SAFE
    async_storage_writes: bool = False
    disable_proposal_forwarding: bool = False
    disable_conf_change_validation: bool = False
    step_down_on_removal: bool = False


class Raft:
    """One member. The invariants of each field stand beside it."""

    def __init__(
        self, settings: Settings, storage: MemoryStorage, random: Random, step_role: "Callable[[Raft, Message], None]", applied: int = 0
    ) -> None:
        self.settings = settings
        self.step_role = step_role
        self.id = settings.id
        self.random = random
        self.term = 0  # never falls, not even over a restart
        self.vote = NONE  # at most one per term, over restarts too
        self.lead = NONE
        self.role = FOLLOWER
        self.learner = False
        self.log = RaftLog(storage, settings.applying_bytes_max)
        self.tracker = Tracker(settings.inflight_max, settings.inflight_bytes_max)
        self.messages: list[Message] = []
        self.after_append: list[Message] = []
        self.read_states: list[ReadState] = []
        self.read_only = ReadOnly(settings.read_only)
        self.pending_reads: list[Message] = []  # reads before the leader's first commit of its term
        self.transferee = NONE
        self.pending_conf_index = 0  # a new change is taken only when this is applied
        self.uncommitted_bytes = 0
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.randomized_election_ticks = settings.election_ticks
        last_index = self.log.last_index
        self._switch_config(*membership.restore(self.tracker, last_index, storage.snapshot_state.conf_state))
        self._load(storage.hard_state)
        if applied > 0:
            self.log.applied_to(applied, 0)
        self.become_follower(self.term, NONE)

    def _load(self, state: HardState) -> None:
        if state == HardState():
            return
        assert self.log.committed <= state.commit <= self.log.last_index, f"commit {state.commit} is outside of the log"
        self.log.committed = state.commit
        self.term, self.vote = state.term, state.vote

    @property
    def soft_state(self) -> SoftState:
        """Leader and role."""
        return SoftState(self.lead, self.role)

    @property
    def hard_state(self) -> HardState:
        """Term, vote and commit index."""
        return HardState(self.term, self.vote, self.log.committed)

    # -- sending

    def send(self, message: Message) -> None:
        """Queue a message; the sender's id and term are filled in."""
        term = message.term
        if message.type in messages.VOTE_TYPES:
            assert term, f"a {message.type} without the term of its campaign"
        else:
            assert not term, f"a {message.type} with a term of its own"
            if message.type not in (messages.PROPOSE, messages.READ_INDEX):
                term = self.term
        if message.from_ == NONE:
            message = message._replace(from_=self.id, term=term)
        elif term != message.term:
            message = message._replace(term=term)
        if message.type in messages.AFTER_APPEND_TYPES:
            self.after_append.append(message)
        else:
            assert message.to != self.id, f"a {message.type} to itself"
            self.messages.append(message)

    def send_append(self, member: int) -> None:
        """Send an append, empty if there is nothing new."""
        self.maybe_send_append(member, send_if_empty=True)

    def maybe_send_append(self, member: int, send_if_empty: bool) -> bool:
        """Send an append or a snapshot unless the flow is paused; whether something was sent."""
        progress = self.tracker.progress[member]
        if progress.paused():
            return False
        previous = progress.next - 1
        try:
            previous_term = self.log.term(previous)
            entries: list[Entry] = []
            if progress.state != progress_states.REPLICATE or not progress.inflights.full():
                entries = self.log.entries(progress.next, self.settings.message_bytes_max)
        except (Compacted, Unavailable):
            return self._maybe_send_snapshot(member, progress)
        if not entries and not send_if_empty:
            return False
        committed = self.log.committed
        self.send(Message(messages.APPEND, to=member, index=previous, log_term=previous_term, entries=tuple(entries), commit=committed))
        progress.sent_entries(len(entries), payload_size(entries))
        progress.sent_commit = committed
        return True

    def _maybe_send_snapshot(self, member: int, progress: Progress) -> bool:
        if not progress.recently_active:
            return False
        snapshot = self.log.unstable_snapshot or self.log.storage.snapshot()
        assert snapshot.index, "a snapshot is needed and there is none"
        progress.become_snapshot(snapshot.index)
        self.send(Message(messages.SNAPSHOT, to=member, snapshot=snapshot))
        return True

    def broadcast_append(self) -> None:
        """Send an append to every other member that is not paused."""
        for member, _ in self.tracker.members():
            if member != self.id:
                self.send_append(member)

    def broadcast_heartbeat(self, context: Any = None) -> None:
        """Send a heartbeat to every other member, with the context of the newest read (or the one given)."""
        if context is None:
            context = self.read_only.last_context()
        for member, progress in self.tracker.members():
            if member != self.id:
                # Never commit on a follower what it may not have: heartbeats carry no log position.
                commit = min(progress.match, self.log.committed)
                self.send(Message(messages.HEARTBEAT, to=member, commit=commit, context=context))
                progress.sent_commit = commit

    # -- the log

    def append_entries(self, entries: list[Entry]) -> bool:
        """Append proposals of this leader; False when too many bytes are uncommitted."""
        if not self._reserve_uncommitted(payload_size(entries)):
            return False
        first = self.log.last_index + 1
        term = self.term
        placed = [Entry(term, first + offset, entry.type, entry.data, entry.size_bytes) for offset, entry in enumerate(entries)]
        last = self.log.append(placed)
        self.send(Message(messages.APPEND_RESPONSE, to=self.id, index=last))  # the leader's own promise, once durable
        return True

    def _reserve_uncommitted(self, size_bytes: int) -> bool:
        total = self.uncommitted_bytes + size_bytes
        if self.uncommitted_bytes > 0 and size_bytes > 0 and total > self.settings.uncommitted_bytes_max:
            return False
        self.uncommitted_bytes = total
        return True

    def release_uncommitted(self, size_bytes: int) -> None:
        """Give back the bytes of entries that were applied."""
        self.uncommitted_bytes = max(0, self.uncommitted_bytes - size_bytes)

    def maybe_commit(self) -> bool:
        """Commit what a quorum has, if it is of this term."""
        return self.log.maybe_commit(self.tracker.committed(), self.term)

    def applied_to(self, index: int, size_bytes: int) -> None:
        """Note what was applied; a leader then leaves a joint configuration that leaves by itself."""
        applied = max(index, self.log.applied)
        self.log.applied_to(applied, size_bytes)
        if self.tracker.config.auto_leave and applied >= self.pending_conf_index and self.role == LEADER:
            leave = Entry(0, 0, CONF_CHANGE_V2, ConfChange(()))
            with suppress(RaftError):  # leadership is being transferred: the next leader proposes it again
                self.step(Message(messages.PROPOSE, from_=self.id, entries=(leave,)))

    def committed_in_term(self) -> bool:
        """Whether an entry of this term is committed: before that the leader does not know what is."""
        return self.log.match_term(self.log.committed, self.term)

    # -- transitions

    def _reset(self, term: int) -> None:
        if self.term != term:
            self.term = term
            self.vote = NONE
        self.lead = NONE
        self.election_elapsed = self.heartbeat_elapsed = 0
        self._randomize_election()
        self.transferee = NONE
        self.tracker.votes.clear()
        last_index = self.log.last_index
        for member, old in self.tracker.members():
            match = last_index if member == self.id else 0
            self.tracker.progress[member] = Progress(match, last_index + 1, self.tracker.inflights(), old.learner)
        self.pending_conf_index = 0
        self.uncommitted_bytes = 0
        self.read_only = ReadOnly(self.read_only.option)

    def _randomize_election(self) -> None:
        self.randomized_election_ticks = self.settings.election_ticks + self.random.below(self.settings.election_ticks)

    def become_follower(self, term: int, lead: int) -> None:
        """Follow ``lead`` (or nobody yet) in ``term``."""
        self._reset(term)
        self.lead = lead
        self.role = FOLLOWER

    def become_candidate(self) -> None:
        """Start a term of its own and vote for itself."""
        assert self.role != LEADER, "a leader does not campaign"
        self._reset(self.term + 1)
        self.vote = self.id
        self.role = CANDIDATE

    def become_pre_candidate(self) -> None:
        """Ask whether a campaign could be won; the term stays."""
        assert self.role != LEADER, "a leader does not campaign"
        self.tracker.votes.clear()
        self.lead = NONE
        self.role = PRE_CANDIDATE

    def become_leader(self) -> None:
        """Lead, and append an empty entry so that what older terms left can be committed."""
        assert self.role != FOLLOWER, "a follower does not become leader"
        self._reset(self.term)
        self.lead = self.id
        self.role = LEADER
        progress = self.tracker.progress[self.id]
        progress.become_replicate()
        progress.recently_active = True
        self.pending_conf_index = self.log.last_index  # a change may hide in what is not committed yet
        appended = self.append_entries([Entry(0, 0, NORMAL, None)])
        assert appended, "the empty entry has no size"

    def campaign(self, kind: str) -> None:
        """Ask all voters, itself included once its own vote is durable."""
        if kind == PRE_CANDIDATE:
            self.become_pre_candidate()
            request, response, term = messages.PRE_VOTE, messages.PRE_VOTE_RESPONSE, self.term + 1
        else:
            self.become_candidate()
            request, response, term = messages.VOTE, messages.VOTE_RESPONSE, self.term
        context = messages.CAMPAIGN_TRANSFER if kind == messages.CAMPAIGN_TRANSFER else None
        last_index, last_term = self.log.last_index, self.log.last_term
        for member in self.tracker.config.voter_ids():
            if member == self.id:
                self.send(Message(response, to=member, term=term))
            else:
                self.send(Message(request, to=member, term=term, index=last_index, log_term=last_term, context=context))

    def hup(self, kind: str) -> None:
        """Campaign if this member may: a voter, without a snapshot or a membership change still to apply."""
        if self.role == LEADER or not self.promotable() or self.has_unapplied_change():
            return
        self.campaign(kind)

    def promotable(self) -> bool:
        """Whether this member may become leader."""
        progress = self.tracker.progress.get(self.id)
        return progress is not None and not progress.learner and self.log.unstable_snapshot is None

    def has_unapplied_change(self) -> bool:
        """Whether a change of membership is committed that this member has not applied: its configuration is an old one."""
        unapplied = self.log.slice(self.log.applied + 1, self.log.committed + 1) if self.log.applied < self.log.committed else ()
        return any(entry.type in (CONF_CHANGE, CONF_CHANGE_V2) for entry in unapplied)

    # -- time

    def tick(self) -> None:
        """Let one tick pass."""
        if self.role == LEADER:
            self._tick_leader()
            return
        self.election_elapsed += 1
        if self.promotable() and self.election_elapsed >= self.randomized_election_ticks:
            self.election_elapsed = 0
            self.step(Message(messages.HUP, from_=self.id))

    def _tick_leader(self) -> None:
        self.heartbeat_elapsed += 1
        self.election_elapsed += 1
        if self.election_elapsed >= self.settings.election_ticks:
            self.election_elapsed = 0
            if self.settings.check_quorum:
                self.step(Message(messages.CHECK_QUORUM, from_=self.id))
            if self.role == LEADER:
                self.transferee = NONE  # a transfer that took an election timeout has failed
        if self.role == LEADER and self.heartbeat_elapsed >= self.settings.heartbeat_ticks:
            self.heartbeat_elapsed = 0
            self.step(Message(messages.BEAT, from_=self.id))

    # -- messages

    def step(self, message: Message) -> None:
        """Take one message. Raises RaftError(proposal_dropped)."""
        if message.term > self.term:
            if self._in_lease(message):
                return
            self._see_higher_term(message)
        elif message.term and message.term < self.term:
            self._answer_lower_term(message)
            return
        handler = _COMMON.get(message.type)
        if handler is not None:
            handler(self, message)
        else:
            self.step_role(self, message)

    def _in_lease(self, message: Message) -> bool:
        """A member that heard from a leader within an election timeout does not help to depose it."""
        return (
            message.type in (messages.VOTE, messages.PRE_VOTE)
            and message.context != messages.CAMPAIGN_TRANSFER
            and self.settings.check_quorum
            and self.lead != NONE
            and self.election_elapsed < self.settings.election_ticks
        )

    def _see_higher_term(self, message: Message) -> None:
        if message.type == messages.PRE_VOTE or (message.type == messages.PRE_VOTE_RESPONSE and not message.reject):
            return  # a pre-vote speaks of a term that has not begun
        from_leader = message.type in (messages.APPEND, messages.HEARTBEAT, messages.SNAPSHOT)
        self.become_follower(message.term, message.from_ if from_leader else NONE)

    def _answer_lower_term(self, message: Message) -> None:
        settings = self.settings
        if message.type in (messages.HEARTBEAT, messages.APPEND) and (settings.check_quorum or settings.pre_vote):
            # A member that came back with a higher term frees itself by this answer: the leader steps down and a new term begins.
            self.send(Message(messages.APPEND_RESPONSE, to=message.from_))
        elif message.type == messages.PRE_VOTE:
            self.send(Message(messages.PRE_VOTE_RESPONSE, to=message.from_, term=self.term, reject=True))
        elif message.type == messages.STORAGE_APPEND_RESPONSE and message.snapshot is not None:
            self._applied_snapshot(message.snapshot)  # an entry of an older term may have been overwritten, a snapshot not

    def _on_hup(self, _: Message) -> None:
        self.hup(PRE_CANDIDATE if self.settings.pre_vote else CANDIDATE)

    def _on_storage_append_response(self, message: Message) -> None:
        if message.index:
            self.log.stable_to(message.index, message.log_term)
        if message.snapshot is not None:
            self._applied_snapshot(message.snapshot)

    def _applied_snapshot(self, snapshot: Snapshot) -> None:
        self.log.stable_snapshot_to(snapshot.index)
        self.applied_to(snapshot.index, 0)

    def _on_storage_apply_response(self, message: Message) -> None:
        if message.entries:
            size = payload_size(message.entries)
            self.applied_to(message.entries[-1].index, size)
            self.release_uncommitted(size)

    def _on_vote_request(self, message: Message) -> None:
        pre = message.type == messages.PRE_VOTE
        response = messages.PRE_VOTE_RESPONSE if pre else messages.VOTE_RESPONSE
        free = self.vote == NONE and self.lead == NONE
        may_vote = self.vote == message.from_ or free or (pre and message.term > self.term)
        if may_vote and self.log.is_up_to_date(message.index, message.log_term):
            # With the term of the request: a pre-vote is granted for a term that this member is not in.
            self.send(Message(response, to=message.from_, term=message.term))
            if not pre:
                self.election_elapsed = 0
                self.vote = message.from_
        else:
            self.send(Message(response, to=message.from_, term=self.term, reject=True))

    # -- snapshots and membership

    def restore(self, snapshot: Snapshot) -> bool:
        """Replace the log by a snapshot; False when it is old, not for this member, or the log has it already."""
        if snapshot.index <= self.log.committed:
            return False
        assert self.role == FOLLOWER, f"a {self.role} restores no snapshot"
        state = snapshot.conf_state
        if self.id not in state.voters + state.learners + state.voters_outgoing:
            return False
        if self.log.match_term(snapshot.index, snapshot.term):
            self.log.commit_to(snapshot.index)
            return False
        self.log.restore(snapshot)
        self.tracker = Tracker(self.settings.inflight_max, self.settings.inflight_bytes_max)
        self._switch_config(*membership.restore(self.tracker, self.log.last_index, state))
        return True

    def apply_conf_change(self, change: ConfChange) -> ConfState:
        """Switch to the configuration after ``change``. Raises ValueError with the broken rule."""
        last_index = self.log.last_index
        if change.leaves_joint():
            new = membership.leave_joint(self.tracker, last_index)
        elif change.enters_joint():
            new = membership.enter_joint(self.tracker, last_index, change.leaves_automatically(), change.changes)
        else:
            new = membership.simple(self.tracker, last_index, change.changes)
        return self._switch_config(*new)

    def _switch_config(self, config: Config, progress: ProgressMap) -> ConfState:
        self.tracker.config, self.tracker.progress = config, progress
        own = progress.get(self.id)
        self.learner = own is not None and own.learner
        if self.role != LEADER:
            return config.conf_state()
        if own is None or own.learner:
            # The leader removed itself: it goes on until the change is committed, or steps down at once if told so.
            if self.settings.step_down_on_removal:
                self.become_follower(self.term, NONE)
            return config.conf_state()
        if config.incoming:
            if self.maybe_commit():  # a smaller quorum may have everything already
                self.broadcast_append()
            else:
                for member, _ in self.tracker.members():
                    if member != self.id:
                        self.maybe_send_append(member, send_if_empty=False)
            if self.transferee not in config.incoming | config.outgoing:
                self.transferee = NONE
        return config.conf_state()

    def poll(self, message: Message) -> str:
        """Count a vote; return the result so far."""
        return self.tracker.record_vote(message.from_, not message.reject)


_COMMON: dict[str, Callable[[Raft, Message], None]] = {
    messages.HUP: Raft._on_hup,
    messages.STORAGE_APPEND_RESPONSE: Raft._on_storage_append_response,
    messages.STORAGE_APPLY_RESPONSE: Raft._on_storage_apply_response,
    messages.VOTE: Raft._on_vote_request,
    messages.PRE_VOTE: Raft._on_vote_request,
}

WON, LOST = quorum.WON, quorum.LOST
