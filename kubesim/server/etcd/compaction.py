"""Compaction by the clock, as the flags ask for it: the leader compacts, the others take its word.

``periodic``: keep the revisions of the last while; looked at every tenth of it, at least every hour's tenth. ``revision``: every five
minutes keep the last so many revisions. Upstream: etcd ``server/etcdserver/api/v3compactor``.
"""

from collections import deque

from kubesim.etcd.api.calls import start
from kubesim.etcd.api.context import Call, Context
from kubesim.kernel.time import HOUR, MINUTE
from kubesim.server.etcd.flags import PERIODIC

LOOKS_PER_PERIOD = 10
REVISION_INTERVAL_NS = 5 * MINUTE


class Compactor:
    """Compacts one member's cluster while it leads."""

    def __init__(self, context: Context, mode: str, retention: int) -> None:
        self._context = context
        self._mode = mode
        self._retention = retention
        self._seen: deque[tuple[int, int]] = deque()  # (time, revision)
        self._compacted = 0
        interval_ns = max(min(retention, HOUR) // LOOKS_PER_PERIOD, 1) if mode == PERIODIC else REVISION_INTERVAL_NS
        self._interval_ns = interval_ns
        context.member.after_standing(interval_ns, self._look)

    def _look(self) -> None:
        member = self._context.member
        member.after_standing(self._interval_ns, self._look)
        revision = self._context.state.store.revision
        if self._mode == PERIODIC:
            target = self._periodic_target(member.clock.now_ns, revision)
        else:
            target = revision - self._retention
        if target > max(self._compacted, 0) and target > self._context.state.store.compact_revision and member.is_leader:
            self._compacted = target
            compacted = self._context.propose(Call(), "compaction", {"revision": target}, asks=False)
            start(compacted, lambda answer, error: None)

    def _periodic_target(self, now_ns: int, revision: int) -> int:
        """The newest revision that is older than the retention; taken once per period."""
        seen = self._seen
        seen.append((now_ns, revision))
        period_ns = min(self._retention, HOUR)
        target = 0
        if now_ns - seen[0][0] >= self._retention:
            target = seen[0][1]
            while seen and now_ns - seen[0][0] > self._retention - period_ns:
                seen.popleft()
        return target
