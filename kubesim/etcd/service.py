"""What a member does with a request: read, propose, forward, or do itself as the leader.

- ``get``, ``range``, ``count``, a ``txn`` that only reads: after a round of ReadIndex, or at once when asked for a serializable read;
- ``keep_alive``, ``time_to_live``: at the leader, which alone knows when leases end; other members forward them;
- ``member_add``, ``member_remove``, ``member_promote``: a change of the configuration; ``move_leader``: at the leader;
- ``member_list``, ``status``: at once;
- everything else is a write: proposed, and answered by its application.

A write that finds no leader waits for one. Nothing is answered after 7 s but an error.
Upstream: etcd ``server/etcdserver/v3_server.go``, ``server.go``.
"""

from collections.abc import Callable
from typing import Any

from kubesim._core.revision_store import Compacted, FutureRevision
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.kv import RangeRequest
from kubesim.etcd.leasing import Leasing
from kubesim.etcd.local import LEASE_ID_MAX
from kubesim.etcd.member import Member, Proposal
from kubesim.etcd.membership import MemberInfo, member_id_of
from kubesim.etcd.raft.messages import NONE, ConfChange
from kubesim.etcd.requests import HANDLERS, Request, execute
from kubesim.etcd.txn import TxnRequest, check_txn
from kubesim.etcd.unavailable import (
    BadTransferee,
    ConnectionLost,
    LearnerNotReady,
    LearnerRefuses,
    NotLeader,
    NotLearner,
    ProposalDropped,
    RequestTimeout,
    RequestTooLarge,
    TimeoutLeaderFailure,
    TooManyRequests,
    TransferTimeout,
)
from kubesim.kernel.time import MILLISECOND

READS = frozenset(("get", "range", "count"))
APPLY_BEHIND_MAX = 5_000
PUBLISH_RETRY_NS = 200 * MILLISECOND
LEARNER_READY_PERCENT = 90
ENTRY_BYTES = 64  # what an entry takes beside keys and values
OBJECT_BYTES = 256  # what a value that is no bytes is taken for

Done = Callable[[Any, Exception | None], object]


def size_of(request: Request) -> int:
    """Return about how many bytes a request takes in the log."""
    size_bytes = ENTRY_BYTES
    for part in request:
        kind = type(part)
        if kind is bytes or kind is str:
            size_bytes += len(part)
        elif isinstance(part, tuple):
            size_bytes += size_of(part)  # a transaction
        else:
            size_bytes += OBJECT_BYTES if kind is dict else 8
    return size_bytes


def is_read_only(txn: TxnRequest) -> bool:
    """Whether no branch of a transaction, at any depth, may write: then it needs no place in the log."""
    return all(
        isinstance(operation, RangeRequest) or (isinstance(operation, TxnRequest) and is_read_only(operation))
        for operation in txn.success + txn.failure
    )


class Service:
    """The requests of one member. ``submit`` is its whole surface."""

    def __init__(self, member: Member, token: str = "", client_urls: tuple[str, ...] = ()) -> None:
        self.member = member
        self.client_urls = client_urls
        self.leasing = Leasing(member)
        self._token = token
        self._lease_ids = member.kernel.rng(f"etcd/{member.name}/lease")
        self._number = 0
        self._waiting: dict[tuple[int, int, int], tuple[Done, int]] = {}  # number -> who waits, and the handle of the timeout
        self._held: list[tuple[tuple[int, int, int], Any, int]] = []  # writes that wait for a leader
        self._leader_since_ns = 0
        member.on_leader.append(self._leader_changed)
        member.on_stop.append(self._stopped)

    def submit(self, request: Request, done: Done, serializable: bool = False) -> None:
        """Work on a request and call ``done(answer, None)`` or ``done(None, error)`` once, now or later.

        Raises ValueError for a request that does not exist.
        """
        kind = request[0]
        member = self.member
        if not member.is_running:
            done(None, ConnectionLost())
        elif kind in READS:
            self._read(request, done, serializable)
        elif kind == "status":
            done(self.status(), None)
        elif kind == "member_list":
            done(list(member.members.by_id.values()), None)
        elif member.node.raft.learner:
            done(None, LearnerRefuses())
        elif kind in ("keep_alive", "time_to_live"):
            self.leasing.submit(request, done)
        elif kind == "txn":
            self._transact(request, done, serializable)
        elif kind in HANDLERS:
            self._write(request, done)
        elif kind in ("member_add", "member_remove", "member_promote", "member_update"):
            self._change_members(request, done)
        elif kind == "move_leader":
            self._move_leader(request[1], done)
        else:
            raise ValueError(f"unknown etcd request {kind!r}: expected one of {', '.join(HANDLERS)}")

    # -- reads

    def _read(self, request: Request, done: Done, serializable: bool) -> None:
        if serializable:
            self._execute(request, done)
        elif self.member.node.raft.learner:
            done(None, LearnerRefuses())
        else:
            self.member.reads.add(lambda error: done(None, error) if error is not None else self._execute(request, done))

    def _execute(self, request: Request, done: Done) -> None:
        try:
            answer = execute(self.member.state, self.member.clock.now_ns, request)
        except (EtcdError, Compacted, FutureRevision) as error:
            done(None, error)
        else:
            done(answer, None)

    def _transact(self, request: Request, done: Done, serializable: bool) -> None:
        try:
            check_txn(request[1])
        except EtcdError as error:
            done(None, error)
            return
        if is_read_only(request[1]):
            self._read(request, done, serializable)
        else:
            self._write(request, done)

    # -- writes

    def _write(self, request: Request, done: Done) -> None:
        member = self.member
        size_bytes = size_of(request)
        if size_bytes > member.settings.request_bytes_max:
            done(None, RequestTooLarge())
        elif member.node.raft.log.committed > member.applied_index + APPLY_BEHIND_MAX:
            done(None, TooManyRequests())
        else:
            if request[0] == "grant":
                lease_id = request[2] if len(request) > 2 and request[2] else self._free_lease_id()
                request = ("grant", request[1], lease_id)
            number = self._await(done)
            self._propose(number, Proposal(number, request), size_bytes)

    def _free_lease_id(self) -> int:
        while True:
            lease_id = self._lease_ids.u64() & LEASE_ID_MAX
            if lease_id and lease_id not in self.member.state.leases:
                return lease_id

    def _await(self, done: Done) -> tuple[int, int, int]:
        """Give the request a number, and ``done`` an end."""
        member = self.member
        self._number += 1
        number = (member.member_id, member.epoch, self._number)
        handle = member.after_standing(member.settings.request_timeout_ns, self._timed_out, number, member.clock.now_ns)
        self._waiting[number] = (done, handle)
        member.on_apply[number] = lambda answer, error: self._end(number, answer, error)
        return number

    def _propose(self, number: tuple[int, int, int], data: Any, size_bytes: int) -> None:
        member = self.member
        if member.node.raft.lead == NONE:
            self._held.append((number, data, size_bytes))
            return
        taken = member.propose_change(data) if isinstance(data, ConfChange) else member.propose(data, size_bytes)
        if not taken:
            self._end(number, None, ProposalDropped())

    def _end(self, number: tuple[int, int, int], answer: Any, error: Exception | None) -> None:
        found = self._waiting.pop(number, None)
        if found is None:
            return  # a timeout that came while the process was paused, and after the answer
        done, handle = found
        self.member.cancel(handle)
        self.member.on_apply.pop(number, None)
        done(answer, error)

    def _timed_out(self, number: tuple[int, int, int], start_ns: int) -> None:
        lost_ns = self._leader_since_ns - 2 * self.member.settings.election_ns
        self._end(number, None, TimeoutLeaderFailure() if lost_ns < start_ns < self._leader_since_ns else RequestTimeout())

    def _leader_changed(self) -> None:
        if self.member.node.raft.lead == NONE:
            return
        self._leader_since_ns = self.member.clock.now_ns
        if self._held:
            self.member.after(0, self._release)  # not from inside the step that brought the news

    def _release(self) -> None:
        held, self._held = self._held, []
        for number, data, size_bytes in held:
            if number in self._waiting:
                self._propose(number, data, size_bytes)

    def _stopped(self, power_lost: bool) -> None:
        waiting, self._waiting, self._held = self._waiting, {}, []
        rounds = self.member.reads.drop()
        if not power_lost:
            for done, _ in waiting.values():
                done(None, ConnectionLost())
            for confirmed in rounds:
                confirmed(ConnectionLost())

    # -- members

    def _change_members(self, request: Request, done: Done) -> None:
        """("member_add", host, is_learner), ("member_remove", id), ("member_promote", id), ("member_update", id, host)."""
        members = self.member.members
        try:
            if request[0] == "member_add":
                host, is_learner = request[1], len(request) > 2 and request[2]
                info = MemberInfo(member_id_of(host, self._token, self.member.clock.wall_ns), host, "", bool(is_learner))
                members.check_add(info)
                request, change = ("member_add", info), ("learner" if is_learner else "voter", info.member_id)
            elif request[0] == "member_remove":
                members.check_remove(request[1])
                change = ("remove", request[1])
            elif request[0] == "member_update":
                members.check_update(request[1], request[2])
                change = ("update", request[1])
            else:
                members.check_promote(request[1])
                self._check_caught_up(request[1])
                change = ("voter", request[1])
        except EtcdError as error:
            done(None, error)
            return
        number = self._await(done)
        self._propose(number, ConfChange((change,), context=Proposal(number, request)), 0)

    def _check_caught_up(self, member_id: int) -> None:
        """Only the leader knows how far a learner is. Raises NotLeader, LearnerNotReady."""
        raft = self.member.node.raft
        if not self.member.is_leader:
            raise NotLeader
        progress = raft.tracker.progress.get(member_id)
        if progress is None:
            raise NotLearner
        if progress.match * 100 < raft.log.last_index * LEARNER_READY_PERCENT:
            raise LearnerNotReady

    def _move_leader(self, target: int, done: Done) -> None:
        member = self.member
        if not member.is_leader:
            done(None, NotLeader())
            return
        info = member.members.by_id.get(target)
        if info is None or info.is_learner:
            done(None, BadTransferee())
            return
        member.transfer_leader(target)
        self._look_at_transfer(target, done, member.clock.now_ns + member.settings.request_timeout_ns)

    def _look_at_transfer(self, target: int, done: Done, deadline_ns: int) -> None:
        member = self.member
        if member.node.raft.lead == target:
            done(None, None)
        elif member.clock.now_ns >= deadline_ns:
            done(None, TransferTimeout())
        else:
            member.after(member.settings.heartbeat_ns, self._look_at_transfer, target, done, deadline_ns)

    # -- status

    def status(self) -> dict[str, Any]:
        """What this member believes: no quorum is asked."""
        member = self.member
        raft = member.node.raft
        return {
            "member_id": member.member_id,
            "leader": raft.lead,
            "raft_term": raft.term,
            "raft_index": raft.log.committed,
            "raft_applied_index": member.applied_index,
            "revision": member.state.store.revision,
            "is_learner": raft.learner,
            "errors": [] if raft.lead != NONE else ["etcdserver: no leader"],
        }

    def publish(self) -> None:
        """Tell the cluster under which name this member has started, until the cluster knows."""
        member = self.member
        info = member.members.by_id.get(member.member_id)
        is_known = info is not None and info.name == member.name and info.client_urls == self.client_urls
        if is_known or member.is_removed:
            return
        retry_ns = PUBLISH_RETRY_NS
        if info is not None and member.node.raft.lead != NONE:
            request = ("publish", member.member_id, member.name, self.client_urls)
            member.propose(Proposal(None, request), size_of(request))
            retry_ns = member.settings.request_timeout_ns
        member.after_standing(retry_ns, self.publish)
