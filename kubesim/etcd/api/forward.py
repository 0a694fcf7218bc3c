"""Requests that only the leader can answer, asked of it by the member that got them.

Upstream: etcd ``server/etcdserver/server.go`` (PromoteMember), which asks the leader's peer address until the request times out.
"""

from typing import Any

from kubesim.etcd.api.calls import Answer
from kubesim.etcd.errors import EtcdError, status_of
from kubesim.etcd.member import Member
from kubesim.etcd.raft.messages import NONE
from kubesim.etcd.service import Service
from kubesim.etcd.unavailable import NotLeader, RequestTimeout

LOOK_ELECTION_PART = 10  # how often to look for a leader, as a part of the election timeout


class Told(EtcdError):
    """An error that another member has told of."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__()


class Forward:
    """Asks the leader, here or on another member."""

    def __init__(self, member: Member, service: Service) -> None:
        self._member = member
        self._service = service
        self._number = 0
        self._waiting: dict[int, Answer] = {}
        member.on_message["ask"] = self._asked
        member.on_message["told"] = self._told

    async def ask(self, request: tuple[Any, ...]) -> Any:
        """Return the leader's answer. Raises its error, and RequestTimeout when there is none in 7 s."""
        member = self._member
        deadline_ns = member.clock.now_ns + member.settings.request_timeout_ns
        while member.clock.now_ns < deadline_ns:
            try:
                return await self._ask_once(request, deadline_ns)
            except NotLeader:
                answer = Answer()
                member.after(member.settings.election_ns // LOOK_ELECTION_PART, answer.give)
                await answer
        raise RequestTimeout

    async def _ask_once(self, request: tuple[Any, ...], deadline_ns: int) -> Any:
        member = self._member
        answer = Answer()
        if member.is_leader:
            self._service.submit(request, answer.give)
            return await answer
        host = member.members.host_of(member.node.raft.lead) if member.node.raft.lead != NONE else None
        if host is None:
            raise NotLeader
        self._number += 1
        number = self._number
        self._waiting[number] = answer
        timer = member.after(deadline_ns - member.clock.now_ns, lambda: answer.give(None, RequestTimeout()))
        member.send(host, ("ask", number, request))
        try:
            return await answer
        finally:
            member.cancel(timer)
            self._waiting.pop(number, None)

    def _asked(self, source: str, number: int, request: tuple[Any, ...]) -> None:
        def done(answer: Any, error: Exception | None) -> None:
            self._member.send(source, ("told", number, None if error is None else status_of(error), answer))

        if request[0] == "member_promote":
            self._service.submit(request, done)

    def _told(self, source: str, number: int, error: tuple[int, str] | None, value: Any = None) -> None:
        answer = self._waiting.get(number)
        if answer is None:
            return
        if error is None:
            answer.give(value)
        elif error[1] == NotLeader.message:
            answer.give(None, NotLeader())
        else:
            answer.give(None, Told(*error))
