"""Bugs of members and clients: what is applied, kept in snapshots, expired, forwarded and asked again."""

from typing import Any

from kubesim.etcd.client import EtcdClient
from kubesim.etcd.cluster import Machine
from kubesim.etcd.errors import status_of
from kubesim.etcd.kv import RangeRequest
from kubesim.etcd.lease import Leases
from kubesim.etcd.leasing import Leasing
from kubesim.etcd.member import Member, Proposal, SnapshotData
from kubesim.etcd.raft.messages import Entry, Message
from kubesim.etcd.state import State
from kubesim.etcd.unavailable import UNAVAILABLE
from kubesim.testing.etcd.bugs.switch import Bug, Patch


def _skip_first(original: Any) -> Any:
    def apply_proposal(self: Member, entry: Entry, proposal: Proposal) -> None:
        if self.epoch > 1 and entry.index == self.disk.storage.snapshot_state.index + 1:
            self._answer(entry, proposal, None, None)
        else:
            original(self, entry, proposal)

    return apply_proposal


def _count_records(original: Any) -> Any:
    def load(self: State, dump: Any, now_ns: int) -> None:
        records = [record for record in dump.records if not (record.is_delete and record.mod_revision == dump.compact_revision)]
        revision = max((record.mod_revision for record in records), default=1)
        compact_revision = min(dump.compact_revision, revision)
        original(self, dump._replace(records=records, revision=revision, compact_revision=compact_revision), now_ns)

    return load


def _strip_ranges(original: Any) -> Any:
    def apply_proposal(self: Member, entry: Entry, proposal: Proposal) -> None:
        if proposal.request[0] == "txn" and proposal.number not in self.on_apply:
            txn = proposal.request[1]
            oldest = self.state.store.compact_revision
            kept = tuple(one for one in txn.success if not (isinstance(one, RangeRequest) and 0 < one.revision < oldest))
            proposal = proposal._replace(request=("txn", txn._replace(success=kept)))
        original(self, entry, proposal)

    return apply_proposal


def _lose_leases(original: Any) -> Any:
    def snapshot(self: Member) -> Any:
        made = original(self)
        data: SnapshotData = made.data
        return made._replace(data=data._replace(state=data.state._replace(leases=[])))

    return snapshot


def _one_by_one(original: Any) -> Any:
    def revoke(self: Leases, lease_id: int) -> int:
        keys = self.keys(lease_id)
        revision = original(self, lease_id)
        if len(keys) > 1:  # the first write of a second revision
            revision = self._store.put(keys[0], None)
            revision = self._store.delete(keys[0])
        return revision

    return revoke


def _always_revoke(original: Any) -> Any:
    def revoke_expired(self: Leasing) -> None:
        now_ns = self.member.clock.now_ns
        for lease_id in self.member.state.leases.expired(now_ns):
            self.member.propose(Proposal(None, ("revoke", lease_id)), 0)

    return revoke_expired


def _take_all(original: Any) -> Any:
    def take_once(self: Machine, source: str, sent_ns: int, message: Message) -> None:
        self.member.receive(source, message)

    return take_once


def _ask_again(original: Any) -> Any:
    def is_repeatable(request: Any, error: Exception) -> bool:
        return status_of(error)[0] == UNAVAILABLE

    return staticmethod(is_repeatable)


MEMBER_BUGS = (
    Bug(
        "index-before-apply",
        "etcd-13766",
        "the index of an entry is saved before what the entry does",
        ("K1", "K2", "K9", "K10"),
        (Patch(Member, "_apply_proposal", _skip_first),),
    ),
    Bug(
        "revision-from-records",
        "etcd-17780",
        "a compaction takes the newest record, a delete, and a start reads the revision off the newest that is left",
        ("K1", "K2", "K10"),
        (Patch(State, "load", _count_records),),
    ),
    Bug(
        "strips-compacted-ranges",
        "etcd-18667",
        "a transaction that reads a compacted revision fails only on the member that serves it",
        ("K1", "K2", "K10"),
        (Patch(Member, "_apply_proposal", _strip_ranges),),
    ),
    Bug(
        "snapshots-without-leases",
        "etcd-14019",
        "a snapshot holds no leases",
        ("K10", "K1", "K2"),
        (Patch(Member, "_snapshot", _lose_leases),),
    ),
    Bug(
        "revokes-in-two-revisions",
        "rule L1",
        "a lease takes its keys in more than one revision",
        ("L1",),
        (Patch(Leases, "revoke", _one_by_one),),
    ),
    Bug(
        "deposed-leader-revokes",
        "etcd-15247",
        "a leader that hung, and was deposed meanwhile, ends leases that others have renewed",
        ("L3",),
        (
            Patch(Leasing, "_leader_changed", lambda original: lambda self: None),
            Patch(Leasing, "_revoke_expired", _always_revoke),
            Patch(Member, "is_trusted", lambda original: property(lambda self: True)),
        ),
    ),
    Bug(
        "leases-go-on-at-a-new-leader",
        "etcd-12528",
        "a new leader ends leases by what it has heard as a follower",
        ("L3",),
        (Patch(Leases, "promote", lambda original: lambda self, now_ns, extension_ns: None),),
    ),
    Bug(
        "proposals-twice",
        "Raft 8",
        "a forwarded proposal that arrives twice is executed twice",
        ("K1", "K2"),
        (Patch(Machine, "_take_once", _take_all),),
    ),
    Bug(
        "writes-asked-again",
        "clientv3, retry.go",
        "a client sends a write again though the first may have been executed",
        ("K1", "K12"),
        (Patch(EtcdClient, "is_repeatable", _ask_again),),
    ),
)
