"""What an etcd member replicates: the store and the leases on its keys."""

from typing import Any, NamedTuple

from kubesim._core.revision_store import KeyValue, RevisionStore
from kubesim.etcd.errors import LeaseNotFound
from kubesim.etcd.lease import LeaseRecord, Leases


class StateDump(NamedTuple):
    """Everything in a State, to fill another with. The records are shared, not copied."""

    records: list[KeyValue]
    revision: int
    compact_revision: int
    leases: list[LeaseRecord]


class State:
    """A store and its leases. ``put`` keeps both in step."""

    __slots__ = ("leases", "store")

    def __init__(self) -> None:
        self.store = RevisionStore()
        self.leases = Leases(self.store)

    def put(self, key: bytes, value: Any, lease: int = 0) -> int:
        """Write a key with or without a lease and return the revision. Raises LeaseNotFound."""
        if not lease:
            return self.store.put(key, value)
        if lease not in self.leases:
            raise LeaseNotFound
        revision = self.store.put(key, value, lease)
        self.leases.attach(lease, key)
        return revision

    def dump(self) -> StateDump:
        """Return everything in it. O(records)."""
        store = self.store
        return StateDump(store.dump(), store.revision, store.compact_revision, self.leases.dump())

    def load(self, dump: StateDump, now_ns: int) -> None:
        """Fill this fresh state with a dump. Raises ValueError when it is not fresh."""
        self.store.load(dump.records, dump.revision, dump.compact_revision)
        self.leases.load(dump.leases, now_ns)
