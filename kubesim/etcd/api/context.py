"""What every call of the API shares: the member, its settings, who asks, headers, and the ways into the log.

Upstream: etcd ``server/etcdserver/v3_server.go`` (processInternalRaftRequestOnce, linearizableReadNotify), ``api/v3rpc/header.go``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubesim.etcd.alarms import QUOTA_BYTES
from kubesim.etcd.api.calls import Answer
from kubesim.etcd.api.forward import Forward
from kubesim.etcd.auth.errors import InvalidToken, UserEmpty
from kubesim.etcd.auth.passwords import COST, Passwords
from kubesim.etcd.auth.store import Caller
from kubesim.etcd.auth.tokens import TOKEN_TTL_NS
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.member import Member
from kubesim.etcd.raft.messages import NONE
from kubesim.etcd.service import Service
from kubesim.etcd.state import State
from kubesim.etcd.txn import OPERATIONS_MAX
from kubesim.etcd.unavailable import LearnerRefuses, NoLeader, RequestTooLarge
from kubesim.etcd.watch import WatchHub
from kubesim.etcd.wire.codec import Fields, encode
from kubesim.etcd.wire.schema import MESSAGES
from kubesim.kernel.time import SECOND

VERSION = "3.6.13"
CLUSTER_VERSION = "3.6"
OVERHEAD_BYTES = 512 << 10  # what a message may have beside its request
INTERNAL = MESSAGES["InternalRaftRequest"]


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What a server's flags say about requests; the defaults are etcd's."""

    operations_max: int = OPERATIONS_MAX
    request_bytes_max: int = 3 << 19
    quota_bytes: int = QUOTA_BYTES  # 0: no quota
    progress_ns: int = 600 * SECOND
    password_cost: int = COST
    token_ttl_ns: int = TOKEN_TTL_NS

    @property
    def message_bytes_max(self) -> int:
        """How large a message may be before it is looked at; answers to watches are cut there."""
        return self.request_bytes_max + OVERHEAD_BYTES


class Call:
    """Who calls: the token, the name in the client's certificate, and whether it wants a leader. ``rpc`` is the method's path."""

    __slots__ = ("common_name", "needs_leader", "token")

    def __init__(self, token: str | None = None, needs_leader: bool = False, common_name: str = "") -> None:
        self.token = token
        self.needs_leader = needs_leader
        self.common_name = common_name


class Context:
    """One member as its API sees it."""

    def __init__(self, member: Member, service: Service, settings: ApiSettings, cluster_id: int) -> None:
        self.member = member
        self.service = service
        self.settings = settings
        self.cluster_id = cluster_id
        self.random = member.kernel.rng(f"etcd/{member.name}/api")
        self.passwords = Passwords(settings.password_cost, self.random)
        self.forward = Forward(member, service)
        self.hub: WatchHub
        self.on_state: list[Callable[[], object]] = []  # called after the state has become another one
        self.storage_old_until_ns = 0  # a member that joins takes its storage for one of v3.5 until etcd's monitor looks at it
        self.leader_changes = 0
        self.disk_error: EtcdError | None = None  # why nothing can be written at present
        self._lead = NONE
        self._request_number = 0
        self._proposed: dict[int, Answer] = {}
        member.on_state.append(self._take_state)
        member.on_leader.append(self._note_leader)

    def _take_state(self) -> None:
        state = self.member.state
        state.backend.quota_bytes = self.settings.quota_bytes
        state.tokens.ttl_ns = self.settings.token_ttl_ns
        self.hub = WatchHub(self.member.kernel, state.store)
        for listener in self.on_state:
            listener()

    def _note_leader(self) -> None:
        lead = self.member.node.raft.lead
        if lead not in (NONE, self._lead):
            self._lead = lead
            self.leader_changes += 1

    def refuse_writes(self, error: EtcdError | None) -> None:
        """Answer all writes with an error, those under way too, until this is called with None."""
        self.disk_error = error
        if error is not None:
            for answer in list(self._proposed.values()):
                answer.give(None, error)

    @property
    def state(self) -> State:
        """What the member has applied."""
        return self.member.state

    # -- who asks

    def caller(self, call: Call) -> Caller:
        """Return who asks; nobody when authentication is off or nothing was given. Raises InvalidToken."""
        auth = self.state.auth
        if not auth.enabled:
            return Caller()
        if call.token is not None:
            name = self.state.tokens.user_of(call.token, self.member.clock.now_ns)
            if name is None:
                raise InvalidToken
            return Caller(name, auth.revision)
        if call.common_name:
            return Caller(call.common_name, auth.revision)
        return Caller()

    def require_user(self, call: Call) -> None:
        """Let only users who are logged in. Raises InvalidToken, UserEmpty."""
        if self.state.auth.enabled and not self.caller(call).name:
            raise UserEmpty

    def require_admin(self, call: Call) -> None:
        """Let only root. Raises InvalidToken, UserEmpty, PermissionDenied."""
        if self.state.auth.enabled:
            self.state.auth.check_admin(self.caller(call))

    def check_member(self, call: Call, serves_learner: bool) -> None:
        """Refuse what a learner does not serve, and calls that want a leader where there is none."""
        raft = self.member.node.raft
        if raft.learner and not serves_learner:
            raise LearnerRefuses
        if call.needs_leader and raft.lead == NONE:
            raise NoLeader

    # -- answers

    @property
    def storage_version(self) -> str:
        """The version of the storage, as etcd would report it."""
        return "3.5.0" if self.member.clock.now_ns < self.storage_old_until_ns else f"{CLUSTER_VERSION}.0"

    def identity(self) -> Fields:
        """Return a header without a revision."""
        member = self.member
        return {"cluster_id": self.cluster_id, "member_id": member.member_id, "raft_term": member.node.raft.term}

    def headed(self, answer: Fields) -> Fields:
        """Complete the header of an answer; the revision is that of now unless it has one."""
        header = answer.get("header")
        revision = header.get("revision") if header else 0
        answer["header"] = {**self.identity(), "revision": revision or self.state.store.revision}
        return answer

    # -- the log

    async def propose(self, call: Call, kind: str, message: Fields, asks: bool = True) -> Any:
        """Put a request through the log and return its answer. Raises RequestTooLarge, and what applying it raises.

        ``asks`` False: who asks does not matter (a login).
        """
        self._request_number += 1
        number = (self.member.member_id & 0xFFFF) << 48 | (self.member.epoch & 0xFFFF) << 32 | self._request_number & 0xFFFFFFFF
        header: Fields = {"ID": number | 1 << 63}
        caller = self.caller(call) if asks and self.state.auth.enabled else None
        if caller is not None and caller.revision:
            header["username"], header["auth_revision"] = caller
        request = {"header": header, kind: message}
        encoded = encode(INTERNAL, request)
        if len(encoded) > self.settings.request_bytes_max:
            raise RequestTooLarge
        if self.disk_error is not None:
            raise self.disk_error
        answer = self._proposed[number] = Answer()
        try:
            self.service.submit(("api", request, encoded), answer.give)
            return await answer
        finally:
            del self._proposed[number]

    async def read_barrier(self) -> None:
        """Return once what this member has applied is what was committed when this was called.

        While the log cannot be written, no member can tell: the error is told at once, where waiting for a quorum would end in a timeout.
        """
        if self.disk_error is not None:
            raise self.disk_error
        answer = Answer()
        self.member.reads.add(lambda error: answer.give(None, error))
        await answer

    async def ask(self, request: tuple[Any, ...]) -> Any:
        """Have the member's service work on a request of its own and return the answer."""
        answer = Answer()
        self.service.submit(request, answer.give)
        return await answer

    async def wait(self, interval_ns: int) -> None:
        """Return after an interval."""
        answer = Answer()
        self.member.after(interval_ns, answer.give)
        await answer
