"""Linearizable reads without writing: the leader remembers its commit index and asks a quorum whether it still leads.

Upstream: raft/read_only.go.
"""

from typing import Any

from kubesim.etcd.raft.messages import Message

SAFE = "safe"  # a heartbeat round confirms the leader
LEASE_BASED = "lease-based"  # the leader trusts its election timeout: needs bounded clock drift


class PendingRead:
    """One read that waits for its quorum."""

    __slots__ = ("acks", "index", "request")

    def __init__(self, request: Message, index: int) -> None:
        self.request = request
        self.index = index
        self.acks: set[int] = set()


class ReadOnly:
    """The reads that wait, in order; an answer to a later one answers all before it."""

    __slots__ = ("option", "pending")

    def __init__(self, option: str) -> None:
        self.option = option
        self.pending: dict[Any, PendingRead] = {}  # by context, in order of arrival

    def add(self, index: int, request: Message) -> None:
        """Remember a read at commit index ``index``."""
        self.pending.setdefault(request.entries[0].data, PendingRead(request, index))

    def acknowledge(self, member: int, context: Any) -> set[int]:
        """Record the heartbeat answer of ``member``; return all who answered this read."""
        read = self.pending.get(context)
        if read is None:
            return set()
        read.acks.add(member)
        return read.acks

    def advance(self, context: Any) -> list[PendingRead]:
        """Return and forget the reads up to the one confirmed."""
        if context not in self.pending:
            return []
        done = []
        for key in list(self.pending):
            done.append(self.pending.pop(key))
            if key == context:
                break
        return done

    def last_context(self) -> Any:
        """The context of the newest read, or None."""
        return next(reversed(self.pending)) if self.pending else None
