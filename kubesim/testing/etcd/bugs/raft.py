"""Bugs of consensus: what must not be committed, voted, confirmed or forgotten."""

from typing import Any

from kubesim.etcd.disk import Disk, Recovered
from kubesim.etcd.member import Member
from kubesim.etcd.raft import core, messages, roles
from kubesim.etcd.raft.core import Raft
from kubesim.etcd.raft.log import RaftLog
from kubesim.etcd.raft.messages import NONE, Message
from kubesim.etcd.raft.node import Node
from kubesim.testing.etcd.bugs.switch import Bug, Patch


def _commit_any_term(original: Any) -> Any:
    def maybe_commit(self: RaftLog, index: int, term: int) -> bool:
        if index <= self.committed:
            return False
        self.commit_to(index)
        return True

    return maybe_commit


def _vote_again(original: Any) -> Any:
    def on_vote_request(raft: Raft, message: Message) -> None:
        raft.vote = raft.lead = NONE
        original(raft, message)

    return on_vote_request


def _forget_vote(original: Any) -> Any:
    def recover(self: Disk) -> Recovered:
        recovered = original(self)
        hard_state = recovered.hard_state._replace(vote=NONE)
        self.storage.hard_state = hard_state
        return recovered._replace(hard_state=hard_state)

    return recover


def _confirm_at_once(original: Any) -> Any:
    def read_index(raft: Raft, message: Message) -> None:
        if raft.committed_in_term():
            original(raft, message)
        else:
            roles.confirm_read(raft, message)

    return read_index


def _send_first(original: Any) -> Any:
    def take(self: Member, ready: Any) -> None:
        self._send_all(ready.messages)
        original(self, ready._replace(messages=()))

    return take


def _lose_synced(original: Any) -> Any:
    def synced(self: Disk, *arguments: Any) -> None:
        before = self.synced_count
        original(self, *arguments)
        self.synced_count = before

    return synced


def _answer_alone(original: Any) -> Any:
    def read_index(raft: Raft, message: Message) -> None:
        roles.answer_read(raft, message, raft.log.committed)

    return read_index


def _commit_everywhere(original: Any) -> Any:
    def broadcast_heartbeat(self: Raft, context: Any = None) -> None:
        for member, _ in self.tracker.members():
            if member != self.id:
                self.send(
                    Message(messages.HEARTBEAT, to=member, commit=self.log.committed, context=context or self.read_only.last_context())
                )

    return broadcast_heartbeat


def _trust_index(original: Any) -> Any:
    def stable_to(self: RaftLog, index: int, term: int) -> None:
        own = self._unstable_term(index)
        original(self, index, term if own is None else own)

    return stable_to


def _no_term(original: Any) -> Any:
    def append_response(self: Node, snapshot: Any) -> Any:
        return tuple(message._replace(term=0) for message in original(self, snapshot))

    return append_response


RAFT_BUGS = (
    Bug(
        "commits-older-terms",
        "Raft, figure 8",
        "a leader counts copies of entries of older terms",
        ("S12",),
        (Patch(RaftLog, "maybe_commit", _commit_any_term),),
    ),
    Bug(
        "votes-twice",
        "Raft 5.2",
        "a member votes for two candidates of a term",
        ("S9", "S2"),
        (Patch(core._COMMON, messages.VOTE, _vote_again),),
    ),
    Bug(
        "forgets-its-vote",
        "Raft 5.2, persistent state",
        "a member that starts again may vote once more in the same term",
        ("S9", "S2"),
        (Patch(Disk, "recover", _forget_vote),),
    ),
    Bug(
        "votes-for-any-log",
        "Raft 5.4.1",
        "a member votes for a candidate whose log is behind its own",
        ("S7", "S6", "S5", "S1", "AssertionError"),
        (Patch(RaftLog, "is_up_to_date", lambda original: lambda self, index, term: True),),
    ),
    Bug(
        "answers-before-fsync",
        "etcd-14370",
        "promises leave before what they promise is durable",
        ("S9", "S8"),
        (Patch(Member, "_take", _send_first),),
    ),
    Bug(
        "fsync-does-nothing",
        "LazyFS",
        "what an fsync has confirmed is gone after a power cut",
        ("S5", "S9", "AssertionError"),
        (Patch(Disk, "_synced", _lose_synced),),
    ),
    Bug(
        "reads-without-a-quorum",
        "etcd-20418",
        "a leader answers reads though it may be deposed",
        ("K1",),
        (Patch(roles._LEADER, messages.READ_INDEX, _answer_alone),),
    ),
    Bug(
        "reads-before-its-term",
        "etcd-7331",
        "a new leader answers reads before it knows what older terms have committed",
        ("K1",),
        (Patch(roles._LEADER, messages.READ_INDEX, _confirm_at_once),),
    ),
    Bug(
        "heartbeats-commit",
        "Raft 5.3",
        "a heartbeat commits what the follower may not have",
        ("S1", "AssertionError"),
        (Patch(Raft, "broadcast_heartbeat", _commit_everywhere),),
    ),
    Bug(
        "append-aba",
        "etcd raft, async_storage_writes_append_aba_race",
        "an entry that was replaced while it was written is taken for durable",
        ("S8", "S9", "S4", "S5", "S1", "AssertionError", "Unavailable"),
        (Patch(RaftLog, "stable_to", _trust_index), Patch(Node, "_append_response", _no_term)),
    ),
)
