"""Linearizable reads of one member: all that wait share one round of ReadIndex.

One round at a time: what comes while a round is under way waits for the next, because a round confirms only what was committed after it
began. A round that is not answered is asked again every 500 ms and fails after 7 s; a new leader fails it at once, and clients ask again.
Upstream: etcd ``server/etcdserver/v3_server.go`` (linearizableReadLoop, requestCurrentIndex).
"""

from collections.abc import Callable
from typing import Any, Protocol

from kubesim.etcd.unavailable import ClusterError, LeaderChanged, RequestTimeout
from kubesim.kernel.time import MILLISECOND

RETRY_NS = 500 * MILLISECOND

Confirmed = Callable[[ClusterError | None], object]


class Host(Protocol):
    """What reads need of their member."""

    member_id: int
    epoch: int
    applied_index: int

    def ask_read_index(self, context: Any) -> None:
        """Start a round at the leader."""

    def after_standing(self, interval_ns: int, function: Callable[..., object], *arguments: Any) -> int:
        """Call later, by the member's clock; who asked waits for it, not this."""

    def cancel(self, handle: int) -> None:
        """Take a call back."""


class Reads:
    """The reads that wait for a round, for its confirmation, or for the application of its index."""

    def __init__(self, host: Host, timeout_ns: int) -> None:
        self._host = host
        self._timeout_ns = timeout_ns
        self._next: list[Confirmed] = []
        self._current: list[Confirmed] = []
        self._context: Any = None  # of the round under way
        self._number = 0
        self._handles: tuple[int, int] = (0, 0)  # retry, timeout
        self._unapplied: list[tuple[int, list[Confirmed]]] = []  # by index, which only grows

    def add(self, done: Confirmed) -> None:
        """Call ``done(None)`` when a local read is linearizable, ``done(error)`` when that cannot be known."""
        self._next.append(done)
        if self._context is None:
            self._begin()

    def _begin(self) -> None:
        host = self._host
        self._current, self._next = self._next, []
        self._number += 1
        context = self._context = (host.member_id, host.epoch, self._number)
        self._handles = (
            host.after_standing(RETRY_NS, self._retry, context),
            host.after_standing(self._timeout_ns, self._fail, context, RequestTimeout),
        )
        host.ask_read_index(context)

    def _retry(self, context: Any) -> None:
        if context == self._context:
            self._handles = (self._host.after_standing(RETRY_NS, self._retry, context), self._handles[1])
            self._host.ask_read_index(context)

    def confirmed(self, context: Any, index: int) -> None:
        """Take the answer of a round: what is applied at ``index`` may be read."""
        if context != self._context:
            return  # of a round that has been answered, or given up
        self._unapplied.append((index, self._end()))
        self.applied()
        self._begin_next()

    def applied(self) -> None:
        """Answer the reads whose index is applied now."""
        while self._unapplied and self._unapplied[0][0] <= self._host.applied_index:
            for done in self._unapplied.pop(0)[1]:
                done(None)

    def leader_changed(self) -> None:
        """Fail the round under way: the leader that was asked may not answer."""
        if self._context is not None:
            self._fail(self._context, LeaderChanged)

    def _fail(self, context: Any, error: type[ClusterError]) -> None:
        if context != self._context:
            return
        for done in self._end():
            done(error())
        self._begin_next()

    def _end(self) -> list[Confirmed]:
        for handle in self._handles:
            self._host.cancel(handle)
        self._context = None
        current, self._current = self._current, []
        return current

    def _begin_next(self) -> None:
        if self._next and self._context is None:
            self._begin()

    def drop(self) -> list[Confirmed]:
        """Forget everything, and return who waited."""
        waiting = [done for _, confirmed in self._unapplied for done in confirmed] + self._current + self._next
        self._unapplied, self._current, self._next, self._context = [], [], [], None
        return waiting
