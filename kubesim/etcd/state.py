"""What an etcd member replicates: the store, the leases on its keys, users and roles, and alarms.

Beside it stands what every member reckons by itself while it applies the same requests: hashes of compactions, who is logged in, and how
large its backend would be.
"""

from typing import Any, NamedTuple

from kubesim._core.revision_store import KeyValue, RevisionStore
from kubesim.etcd.alarms import Alarms, Backend
from kubesim.etcd.auth.store import AuthDump, AuthStore
from kubesim.etcd.auth.tokens import Tokens
from kubesim.etcd.errors import LeaseNotFound
from kubesim.etcd.hashes import Hashes
from kubesim.etcd.lease import LeaseRecord, Leases


class StateDump(NamedTuple):
    """Everything in a State, to fill another with. The records are shared, not copied."""

    records: list[KeyValue]
    revision: int
    compact_revision: int
    leases: list[LeaseRecord]
    auth: AuthDump | None = None
    alarms: tuple[tuple[str, int], ...] = ()


class State:
    """A store with its leases, which ``put`` keeps in step, users and alarms."""

    __slots__ = ("alarms", "auth", "backend", "hashes", "leases", "store", "tokens")

    def __init__(self) -> None:
        self.store = RevisionStore()
        self.leases = Leases(self.store)
        self.auth = AuthStore()
        self.alarms = Alarms()
        self.tokens = Tokens()
        self.hashes = Hashes()
        self.backend = Backend()

    def put(self, key: bytes, value: Any, lease: int = 0) -> int:
        """Write a key with or without a lease and return the revision. Raises LeaseNotFound."""
        if not lease:
            return self.store.put(key, value)
        found = self.leases.get(lease)
        if found is None:
            raise LeaseNotFound
        revision = self.store.put(key, value, lease)
        self.leases.attach(found, key)
        return revision

    def dump(self) -> StateDump:
        """Return everything in it. O(records)."""
        store = self.store
        auth, alarms = self.auth.dump(), tuple(self.alarms.listed())
        return StateDump(store.dump(), store.revision, store.compact_revision, self.leases.dump(), auth, alarms)

    def load(self, dump: StateDump, now_ns: int) -> None:
        """Fill this fresh state with a dump. Raises ValueError when it is not fresh."""
        self.store.load(dump.records, dump.revision, dump.compact_revision)
        self.leases.load(dump.leases, now_ns)
        if dump.auth is not None:
            self.auth.load(dump.auth)
        for alarm in dump.alarms:
            self.alarms.activate(*alarm)
        self.backend.count(dump.records)
