"""An apiserver's own copy of etcd, fed by a watch: what its reads, its plugins and its watch cache see. It can lag.

It has the form of an etcd of this process for reading, so that an ``ApiServer`` cannot tell; writes are for the quorum.
"""

from collections.abc import Callable, Sequence
from typing import Any

from kubesim._core.revision_store import Change, KeyValue, RevisionStore
from kubesim.etcd.requests import READS, Request, execute
from kubesim.etcd.state import State


class Replica:
    """The copy. ``pass_on(request)`` gets what only etcd can do: a compaction."""

    def __init__(self, pass_on: Callable[[Request], object]) -> None:
        self.state = State()
        self._pass_on = pass_on

    @property
    def store(self) -> RevisionStore:
        """The store, for reads, ``changes`` and ``on_change``."""
        return self.state.store

    def fill(self, records: Sequence[KeyValue], revision: int) -> None:
        """Become the records of a whole range at ``revision``; what was before is compacted. O(n log n)."""
        self.store.load(sorted(records, key=lambda record: (record.mod_revision, record.sub)), revision, revision)

    def follow(self, changes: Sequence[Change]) -> None:
        """Take the next changes: whole revisions, in order. Raises AssertionError when one is missing."""
        store = self.store
        position, count = 0, len(changes)
        while position < count:
            change = changes[position]
            assert change.revision == store.revision + 1, f"revision {change.revision} follows {store.revision} in a copy"
            stop = position + 1
            while stop < count and changes[stop].revision == change.revision:
                stop += 1
            if stop == position + 1:
                self._take(change)
            else:
                store.begin()
                for each in changes[position:stop]:
                    self._take(each)
                store.commit()
            position = stop

    def _take(self, change: Change) -> None:
        if change.is_delete:
            self.store.delete(change.key)
        else:
            self.store.put(change.key, change.value, change.lease)

    def execute(self, request: Request) -> Any:
        """Answer a read from the copy; compact the copy and pass that on. Raises ValueError for any other write."""
        if request[0] in READS:
            return execute(self.state, 0, request)
        if request[0] != "compact":
            raise ValueError(f"{request[0]!r} is for etcd; a copy answers {', '.join(sorted(READS))}")
        execute(self.state, 0, request)
        self._pass_on(request)
        return None
