"""Leases in a cluster: only the leader knows when they end, renews them and revokes what is over.

A leader begins to lead its leases when it has applied all that older terms left: then all start over, an election timeout longer. Every
500 ms it looks for those whose time is over and has them revoked through Raft; a revocation that is lost is tried again after 3 s. A
member that has not ticked for three heartbeats asks a quorum whether it still leads before it renews or revokes: a process that was
stopped, or hung in an fsync, may have been deposed without noticing.

Upstream: etcd ``server/lease/lessor.go``, ``server/etcdserver/v3_server.go`` (LeaseRenew), ``server.go`` (revokeExpiredLeases).
"""

from collections.abc import Callable
from typing import Any

from kubesim.etcd.member import Member, Proposal
from kubesim.etcd.raft.messages import NONE
from kubesim.etcd.requests import Request, execute
from kubesim.etcd.unavailable import ConnectionLost, RequestTimeout
from kubesim.kernel.time import MILLISECOND, SECOND

RETRY_NS = 500 * MILLISECOND
REVOKE_AGAIN_NS = 3 * SECOND
REVOKED_PER_LOOK_MAX = 500

Done = Callable[[Any, Exception | None], object]


class Leasing:
    """The leases of one member, as the leader or on the way to it."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.is_primary = False  # it leads, and the deadlines of its leases are what counts
        self._look = 0
        self._promotion = 0  # counts them
        self._number = 0
        self._waiting: dict[int, tuple[Request, Done, int]] = {}  # number -> request, who waits, deadline
        member.on_term_begun.append(self._promote)
        member.on_leader.append(self._leader_changed)
        member.on_stop.append(self._stopped)
        member.on_message["forward"] = self._forwarded
        member.on_message["forwarded"] = self._answered

    # -- expiry

    def _promote(self) -> None:
        member = self.member
        member.state.leases.promote(member.clock.now_ns, member.settings.election_ns)
        self.is_primary = True
        member.cancel(self._look)
        self._promotion += 1
        self._look = member.after_standing(member.settings.lease_look_ns, self._expire, self._promotion)

    def _leader_changed(self) -> None:
        if self.is_primary and not self.member.is_leader:
            self.is_primary = False
            self.member.cancel(self._look)

    def _expire(self, promotion: int) -> None:
        member = self.member
        if promotion != self._promotion:
            return  # it came while the process was paused
        self._look = member.after_standing(member.settings.lease_look_ns, self._expire, promotion)
        if member.is_trusted:
            self._revoke_expired()
        else:
            member.confirm(lambda error: None if error is not None else self._revoke_expired())

    def _revoke_expired(self) -> None:
        member = self.member
        if not (self.is_primary and member.is_leader):
            return
        now_ns = member.clock.now_ns
        leases = member.state.leases
        for position, lease_id in enumerate(leases.expired(now_ns)):
            if position >= REVOKED_PER_LOOK_MAX:
                leases.look_again(lease_id, now_ns)
                continue
            leases.look_again(lease_id, now_ns + REVOKE_AGAIN_NS)
            if member.observer is not None:
                member.observer.expiring(member, lease_id)
            member.propose(Proposal(None, ("revoke", lease_id)), 0)

    # -- renewal

    def submit(self, request: Request, done: Done) -> None:
        """Answer ("keep_alive", lease) or ("time_to_live", lease), here or through the leader, within 7 s."""
        member = self.member
        self._number += 1
        self._waiting[self._number] = (request, done, member.clock.now_ns + member.settings.request_timeout_ns)
        self._try(self._number)

    def _try(self, number: int) -> None:
        found = self._waiting.get(number)
        if found is None:
            return
        request, _, deadline_ns = found
        member = self.member
        if member.clock.now_ns >= deadline_ns:
            self._end(number, None, RequestTimeout())
            return
        member.after_standing(RETRY_NS, self._try, number)
        lead = member.node.raft.lead
        if lead == member.member_id:
            self._serve(request, lambda answer: self._end(number, answer, None))
        elif lead != NONE and (host := member.members.host_of(lead)) is not None:
            member.send(host, ("forward", number, request))

    def _serve(self, request: Request, reply: Callable[[Any], object]) -> None:
        """Answer as the leader; in any other case not at all: who asks tries again."""

        def answer(error: Exception | None) -> None:
            if error is not None or not (self.is_primary and self.member.is_leader):
                return
            ttl = execute(self.member.state, self.member.clock.now_ns, request)
            if request[0] == "keep_alive" and ttl and self.member.observer is not None:
                self.member.observer.renewed(self.member, request[1], ttl)
            reply(ttl)

        if not (self.is_primary and self.member.is_leader):
            return
        if self.member.is_trusted:
            answer(None)
        else:
            self.member.confirm(answer)

    def _forwarded(self, source: str, number: int, request: Request) -> None:
        self._serve(request, lambda answer: self.member.send(source, ("forwarded", number, answer)))

    def _answered(self, source: str, number: int, answer: Any) -> None:
        self._end(number, answer, None)

    def _end(self, number: int, answer: Any, error: Exception | None) -> None:
        found = self._waiting.pop(number, None)
        if found is not None:
            found[1](answer, error)

    def _stopped(self, power_lost: bool) -> None:
        waiting, self._waiting = self._waiting, {}
        self.is_primary = False
        if not power_lost:
            for _, done, _ in waiting.values():
                done(None, ConnectionLost())
