"""What the cluster's state must be: one plain state that executes the committed entries, once each, in order.

It is an Observer beside ``RaftRules``: every member's answer to every entry, and the state after it, must be those of the reference.

- K2 revisions and compaction revisions are the same at the same entry; K3 to K7 by equal answers
- K10 equal states at equal entries: every record and every lease, also after a snapshot or a restart
- L1 a revocation is one revision, or none, and leaves no key; L2 by equal answers
- L3 a lease ends no sooner than its TTL after the last renewal that was answered, L4 nor after the last change of leader

``changes`` is the history that watches are held to: never compacted.
"""

from typing import Any

from kubesim._core.revision_store import Change, Compacted, DeleteResult, FutureRevision, KeyValue
from kubesim.etcd.errors import EtcdError
from kubesim.etcd.member import Member, Proposal
from kubesim.etcd.raft.messages import NORMAL, Entry, Message
from kubesim.etcd.requests import execute
from kubesim.etcd.state import State
from kubesim.kernel.time import SECOND
from kubesim.testing.etcd.raft_rules import require

COMPARED_EVERY = 8  # entries between two comparisons of whole states
SKEW_PPM_MAX = 50_000
LEASE_SLACK_NS = SECOND  # a deposed leader believes to lead for up to two election timeouts, a new one adds one


def plain(record: KeyValue | None) -> tuple[Any, ...] | None:
    """Return a record as a tuple that compares by content."""
    if record is None:
        return None
    return (record.key, record.value, record.create_revision, record.mod_revision, record.sub, record.version, record.lease)


def plain_state(state: State) -> tuple[Any, ...]:
    """Return everything replicated of a state as tuples."""
    dump = state.dump()
    return (dump.revision, dump.compact_revision, tuple(plain(record) for record in dump.records), tuple(dump.leases))


def plain_answer(answer: Any, error: Exception | None) -> Any:
    """Return an answer as something that compares by content."""
    if error is not None:
        return type(error).__name__
    if isinstance(answer, DeleteResult):
        return answer.revision, [plain(record) for record in answer.previous]
    if isinstance(answer, KeyValue):
        return plain(answer)
    if isinstance(answer, list | tuple):
        return [plain_answer(part, None) for part in answer]
    return answer


class Reference:
    """The plain state, and what members must have been at each entry."""

    def __init__(self) -> None:
        self.state = State()
        self.applied_index = 0
        self.changes: list[Change] = []
        self.renewed_ns: dict[int, int] = {}  # lease -> when it was last renewed, in the kernel's time
        self.begun_term = 0  # the newest in which a leader has started leases over
        self._after: dict[int, tuple[Any, int, int]] = {}  # index -> answer, revision, compact revision
        self._whole: dict[int, tuple[Any, ...]] = {}  # index -> the whole state

    def started(self, member: Member) -> None:
        """Check the state that a member starts from."""
        self._check_whole(member)

    def sending(self, member: Member, message: Message) -> None:
        """Nothing to check."""

    def stepped(self, member: Member) -> None:
        """Nothing to check."""

    def expiring(self, member: Member, lease_id: int) -> None:
        """Nothing to check: what counts is the revocation."""

    def renewed(self, member: Member, lease_id: int, ttl_seconds: int) -> None:
        """Note a renewal that is being answered."""
        self.renewed_ns[lease_id] = member.kernel.now_ns

    def applied(self, member: Member, entry: Entry, answer: Any, error: Exception | None) -> None:
        """Apply an entry that is new, and compare the member with what it must be."""
        if entry.index == self.applied_index + 1:
            self._apply(member, entry)
        if entry.data is None and member.is_leader and self.begun_term < entry.term == member.node.raft.term:
            self.begun_term = entry.term
            self.renewed_ns = dict.fromkeys(self.renewed_ns, member.kernel.now_ns)
        expected = self._after.get(entry.index)
        require(expected is not None, "K9", f"{member.name} applies entry {entry.index}, the cluster is at {self.applied_index}")
        assert expected is not None
        store = member.state.store
        if entry.type == NORMAL and entry.data is not None:
            got = plain_answer(answer, error)
            require(got == expected[0], "K1", f"{member.name} answers {got} to entry {entry.index} {entry.data}, expected {expected[0]}")
        text = f"{member.name} is at revision {store.revision} after entry {entry.index}, not {expected[1]}"
        require(store.revision == expected[1], "K2", text)
        text = f"{member.name} has compacted {store.compact_revision} at entry {entry.index}, not {expected[2]}"
        require(store.compact_revision == expected[2], "K10", text)
        whole = self._whole.get(entry.index)
        if whole is not None:
            require(plain_state(member.state) == whole, "K10", f"{member.name} has another state after entry {entry.index}")

    def _apply(self, member: Member, entry: Entry) -> None:
        self.applied_index = entry.index
        state, outcome = self.state, None
        before = state.store.revision
        if entry.type == NORMAL and entry.data is not None and entry.data.request[0] != "publish":
            request = entry.data.request
            self._check_lease(member, entry.data)
            attached = self._attached(request[1]) if request[0] == "revoke" else []
            try:
                outcome = plain_answer(execute(state, 0, request), None)
            except (EtcdError, Compacted, FutureRevision) as error:
                outcome = type(error).__name__
            if request[0] == "grant" and isinstance(outcome, int):
                self.renewed_ns[outcome] = member.kernel.now_ns
            if request[0] == "revoke":
                text = f"revoking {request[1]:x} takes {state.store.revision - before} revisions for {len(attached)} keys"
                require(state.store.revision - before == bool(attached), "L1", text)
                require(not self._attached(request[1]), "L1", f"the revoked lease {request[1]:x} leaves keys behind")
        self.changes += state.store.changes(before)
        self._after[entry.index] = (outcome, state.store.revision, state.store.compact_revision)
        if not entry.index % COMPARED_EVERY:
            self._whole[entry.index] = plain_state(state)

    def _attached(self, lease_id: int) -> list[bytes]:
        """The keys whose newest record names the lease, found the slow way."""
        return [record.key for record in self.state.store.range(b"\0", b"\0").kvs if record.lease == lease_id != 0]

    def _check_lease(self, member: Member, proposal: Proposal) -> None:
        """L3: only a revocation that nobody asked for is an expiry."""
        if proposal.request[0] != "revoke" or proposal.number is not None:
            return
        lease_id = proposal.request[1]
        left = self.state.leases.time_to_live(lease_id, 0)[1]
        since_ns = self.renewed_ns.get(lease_id)
        if left and since_ns is not None:
            lived_ns = member.kernel.now_ns - since_ns
            least_ns = left * SECOND * 1_000_000 // (1_000_000 + SKEW_PPM_MAX) - LEASE_SLACK_NS
            text = f"lease {lease_id:x} of {left} s ends {lived_ns / SECOND:.3f} s after its last renewal"
            require(lived_ns >= least_ns, "L3", text)

    def _check_whole(self, member: Member) -> None:
        """Compare the state that came from a snapshot, if it is known what it must be."""
        whole = self._whole.get(member.applied_index)
        if whole is not None:
            require(plain_state(member.state) == whole, "K10", f"{member.name} starts with another state at {member.applied_index}")

    def check_member(self, member: Member) -> None:
        """Compare a member that has applied everything."""
        require(member.applied_index == self.applied_index, "K9", f"{member.name} is at {member.applied_index}, not {self.applied_index}")
        require(plain_state(member.state) == plain_state(self.state), "K10", f"{member.name} has another state than the reference")
