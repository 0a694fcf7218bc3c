"""Compaction: every five minutes etcd forgets what was old five minutes ago.

Upstream: storage/etcd3/compact.go. Each round compacts to the revision of the round before, so a list page or a watch has between
five and ten minutes. Upstream's rounds also agree on a key of their own (``compact_rev_key``); here a round without a write in
between does nothing at all, so an idle cluster is idle.
"""

from typing import Any

from kubesim.kernel.loop import PRIORITY_STANDING, Kernel
from kubesim.kernel.time import MINUTE

INTERVAL_NS = 5 * MINUTE


class Compactor:
    """Compacts an etcd in rounds, from the first write until there is nothing left to forget."""

    __slots__ = ("_etcd", "_kernel", "_previous_revision", "interval_ns", "is_armed")

    def __init__(self, kernel: Kernel, etcd: Any, interval_ns: int = INTERVAL_NS) -> None:
        self.interval_ns = interval_ns
        self._kernel = kernel
        self._etcd = etcd
        self.is_armed = False  # a round is to come, so that ``written`` has nothing to do
        self._previous_revision = 0

    def written(self) -> None:
        """Note that there was a write; O(1)."""
        if not self.is_armed:
            self.is_armed = True
            self._kernel.after(self.interval_ns, self._round, priority=PRIORITY_STANDING)

    def _round(self) -> None:
        store = self._etcd.store
        head, target = store.revision, self._previous_revision
        if target > max(store.compact_revision, 0):
            self._etcd.execute(("compact", target))
        self._previous_revision = head
        self.is_armed = head > store.compact_revision
        if self.is_armed:
            self._kernel.after(self.interval_ns, self._round, priority=PRIORITY_STANDING)
