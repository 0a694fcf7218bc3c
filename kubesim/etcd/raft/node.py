"""A member as its host drives it: propose, step, tick; then take a Ready, make it durable, send, apply, advance.

The contract (upstream: raft/rawnode.go, doc.go): of a Ready, first the snapshot, the entries and the hard state are made durable (with
an fsync if ``must_sync``), then the messages are sent, then the committed entries are applied, then ``advance()``. With
``async_storage_writes`` the writes and the application are messages themselves, to APPEND_THREAD and APPLY_THREAD, and there is no advance.
"""

from typing import Any, NamedTuple

from kubesim.etcd.raft import messages
from kubesim.etcd.raft.core import FOLLOWER, Raft, Random, Settings
from kubesim.etcd.raft.log import MemoryStorage
from kubesim.etcd.raft.messages import (
    APPEND_THREAD,
    APPLY_THREAD,
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
from kubesim.etcd.raft.roles import step_role


class Ready(NamedTuple):
    """What a member wants done; None or empty: nothing of that kind."""

    soft_state: SoftState | None
    hard_state: HardState | None
    entries: tuple[Entry, ...]
    snapshot: Snapshot | None
    committed: tuple[Entry, ...]
    messages: tuple[Message, ...]
    read_states: tuple[ReadState, ...]
    must_sync: bool


class Node:
    """One member over its stable storage."""

    def __init__(self, settings: Settings, storage: MemoryStorage, random: Random, applied: int = 0) -> None:
        self.raft = Raft(settings, storage, random, step_role, applied)
        self._soft = self.raft.soft_state
        self._hard = self.raft.hard_state
        self._on_advance: list[Message] = []

    # -- input

    def tick(self) -> None:
        """Let one tick pass."""
        self.raft.tick()

    def campaign(self) -> None:
        """Start an election."""
        self.raft.step(Message(messages.HUP, from_=self.raft.id))

    def propose(self, data: Any, size_bytes: int = 0) -> None:
        """Propose an entry. Raises RaftError(proposal_dropped)."""
        self.propose_entries((Entry(0, 0, NORMAL, data, size_bytes),))

    def propose_entries(self, entries: tuple[Entry, ...]) -> None:
        """Propose several entries in one step: all of them, or none. Raises RaftError(proposal_dropped)."""
        self.raft.step(Message(messages.PROPOSE, from_=self.raft.id, entries=entries))

    def propose_conf_change(self, change: ConfChange, v1: bool = False) -> None:
        """Propose a membership change (``v1``: as the old kind, one change). Raises RaftError(proposal_dropped)."""
        self.propose_entries((Entry(0, 0, CONF_CHANGE if v1 else CONF_CHANGE_V2, change),))

    def apply_conf_change(self, change: ConfChange) -> ConfState:
        """Switch to the configuration of a committed change; to be called when its entry is applied."""
        return self.raft.apply_conf_change(change)

    def step(self, message: Message) -> None:
        """Take a message from another member. Raises RaftError: local_message, peer_not_found, proposal_dropped."""
        local = message.from_ in (APPEND_THREAD, APPLY_THREAD)
        if message.type in messages.LOCAL_TYPES and not local:
            raise RaftError("local_message")
        if message.type in messages.RESPONSE_TYPES and not local and message.from_ not in self.raft.tracker.progress:
            raise RaftError("peer_not_found")
        self.raft.step(message)

    def transfer_leader(self, target: int) -> None:
        """Ask the leader to hand over to ``target``."""
        self.raft.step(Message(messages.TRANSFER_LEADER, from_=target))

    def forget_leader(self) -> None:
        """Forget the leader, so that a campaign of another member may be won."""
        self.raft.step(Message(messages.FORGET_LEADER))

    def read_index(self, context: Any) -> None:
        """Ask for a linearizable read; the ReadState with this context comes in a Ready."""
        self.raft.step(Message(messages.READ_INDEX, from_=self.raft.id, entries=(Entry(0, 0, NORMAL, context),)))

    def report_unreachable(self, member: int) -> None:
        """Tell that the last message to ``member`` was lost."""
        self.raft.step(Message(messages.UNREACHABLE, from_=member))

    def report_snapshot(self, member: int, failed: bool) -> None:
        """Tell how the sending of a snapshot ended."""
        self.raft.step(Message(messages.SNAPSHOT_STATUS, from_=member, reject=failed))

    # -- output

    def has_ready(self) -> bool:
        """Whether ``ready()`` would hold something."""
        raft, log = self.raft, self.raft.log
        return bool(
            raft.messages
            or raft.after_append
            or raft.read_states
            or raft.soft_state != self._soft
            or raft.hard_state != self._hard
            or log.next_unstable_snapshot() is not None
            or log.next_unstable_entries()
            or log.next_committed_entries(self._apply_unstable)
        )

    @property
    def _apply_unstable(self) -> bool:
        return not self.raft.settings.async_storage_writes

    def ready(self) -> Ready:
        """Return what is to be done, and take it as begun."""
        raft, log = self.raft, self.raft.log
        entries = tuple(log.next_unstable_entries())
        committed = tuple(log.next_committed_entries(self._apply_unstable))
        soft = raft.soft_state if raft.soft_state != self._soft else None
        hard = raft.hard_state if raft.hard_state != self._hard else None
        snapshot = log.next_unstable_snapshot()
        must_sync = bool(entries) or (hard is not None and (hard.term, hard.vote) != (self._hard.term, self._hard.vote))
        outgoing = list(raft.messages)
        if raft.settings.async_storage_writes:
            outgoing += self._storage_messages(entries, hard, snapshot, committed)
        else:
            outgoing += [message for message in raft.after_append if message.to != raft.id]
            self._remember_for_advance(snapshot, committed)
        ready = Ready(soft, hard, entries, snapshot, committed, tuple(outgoing), tuple(raft.read_states), must_sync)
        self._accept(ready)
        return ready

    def _storage_messages(
        self, entries: tuple[Entry, ...], hard: HardState | None, snapshot: Snapshot | None, committed: tuple[Entry, ...]
    ) -> list[Message]:
        raft = self.raft
        outgoing = []
        if entries or hard is not None or snapshot is not None or raft.after_append:
            responses = tuple(raft.after_append) + self._append_response(snapshot)
            append = Message(
                messages.STORAGE_APPEND, to=APPEND_THREAD, from_=raft.id, entries=entries, snapshot=snapshot, responses=responses
            )
            if hard is not None:
                append = append._replace(term=hard.term, vote=hard.vote, commit=hard.commit)
            outgoing.append(append)
        if committed:
            response = Message(messages.STORAGE_APPLY_RESPONSE, to=raft.id, from_=APPLY_THREAD, entries=committed)
            outgoing.append(Message(messages.STORAGE_APPLY, to=APPLY_THREAD, from_=raft.id, entries=committed, responses=(response,)))
        return outgoing

    def _append_response(self, snapshot: Snapshot | None) -> tuple[Message, ...]:
        """The note to itself that the log is durable up to its present end; it carries the term, so that a late one harms nothing."""
        raft, log = self.raft, self.raft.log
        if not log.unstable_entries and snapshot is None:
            return ()
        index, term = (log.last_index, log.last_term) if log.unstable_entries else (0, 0)
        return (
            Message(
                messages.STORAGE_APPEND_RESPONSE,
                to=raft.id,
                from_=APPEND_THREAD,
                term=raft.term,
                index=index,
                log_term=term,
                snapshot=snapshot,
            ),
        )

    def _remember_for_advance(self, snapshot: Snapshot | None, committed: tuple[Entry, ...]) -> None:
        assert not self._on_advance, "ready() before advance()"
        raft = self.raft
        self._on_advance += [message for message in raft.after_append if message.to == raft.id]
        self._on_advance += self._append_response(snapshot)
        if committed:
            self._on_advance.append(Message(messages.STORAGE_APPLY_RESPONSE, to=raft.id, from_=APPLY_THREAD, entries=committed))

    def _accept(self, ready: Ready) -> None:
        raft = self.raft
        if ready.soft_state is not None:
            self._soft = ready.soft_state
        if ready.hard_state is not None:
            self._hard = ready.hard_state
        raft.read_states = []
        raft.messages = []
        raft.after_append = []
        raft.log.accept_unstable()
        if ready.committed:
            raft.log.accept_applying(ready.committed[-1].index, payload_size(ready.committed), self._apply_unstable)

    def advance(self) -> None:
        """Note that the last Ready is done (not with asynchronous storage writes)."""
        steps, self._on_advance = self._on_advance, []
        for message in steps:
            self.raft.step(message)

    @property
    def is_follower(self) -> bool:
        """Whether this member follows (or knows no leader)."""
        return self.raft.role == FOLLOWER

    @property
    def lead(self) -> int:
        """The leader's id, NONE if unknown."""
        return self.raft.lead if self.raft.lead else NONE
